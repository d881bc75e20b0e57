# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with two devices: data, reboots, the pool, isolation."""

import json
import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Fail, Group, require

# A driver domain made for a guest carries the guest's name in front.
B = "g1-b1"

group = Group("main")
MEMORY = 128
SEED = {"vda": 11, "vdb": 22}
MIB = {"vda": 32, "vdb": 16}  # twice the pools
MOUNTED = {"vda": "/mnt", "vdb": "/mnt2"}


def pattern(verb, disk):
    """The guest's command that writes or checks a disk's data."""
    return f"pattern {verb} {MOUNTED[disk]}/data {MIB[disk]} {SEED[disk]}"


def ready(h):
    """Both disks are mounted, with data; made where they are not."""
    h.gx_ok("g1", " && ".join(
        f"keepfs /dev/{disk} {MOUNTED[disk]} {MIB[disk]} {SEED[disk]}"
        for disk in SEED), 180)


# The second disk's transport. Where virtio_pci is built in, as in x86's kernel,
# that disk would be the first.
OTHER = {"transport": "pci"} if arch.now.name == "arm64" else {}


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb"), memory=128))
    cfg = h.put("g1.cfg", guest_cfg("g1", [
        device(size="16M", serial="one"),
        device(id="disk1", target="/dev/xvdc", size="8M", queues="1",
               **OTHER),
    ], memory=MEMORY))
    begin = time.monotonic()
    r = h.create(cfg, 120)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    created = time.monotonic() - begin
    h.gx_ok("g1", "true")
    return {"created": created}


@group.check("xl create makes guest and driver domain")
def created(h, made):
    domains = h.domains()
    require({"g1", B} <= set(domains), f"{sorted(domains)}")
    return f"xl create {made['created']:.1f} s, driver domain's boot included"


@group.check("both disks are there, with size, serial and driver")
def disks(h, _made):
    out = h.gx_ok("g1", "for d in vda vdb; do echo $d $(cat "
                  "/sys/block/$d/size) $(cat /sys/block/$d/serial) "
                  "$(basename $(readlink /sys/block/$d/device/driver)); done")
    require(re.search(r"vda \d{5,} one virtio_blk", out) and
            re.search(r"vdb \d{5,} \S* ?virtio_blk", out), out)


@group.check("ext4 made, twice the pool written, synced and read back", 240)
def write(h, _made):
    ready(h)
    h.gx_ok("g1", "echo 3 > /proc/sys/vm/drop_caches; "
            f"{pattern('check', 'vda')} && {pattern('check', 'vdb')}", 60)


def windows(h):
    return [(d["window_base"], d["window_size"])
            for d in h.show("g1")["devices"]]


@group.check("the guest's kernel says that each device uses its own pool")
def kernel_says(h, _made):
    log = h.gx_ok("g1", "dmesg | grep -iE 'restricted|reserved mem'")
    pools = re.findall(arch.now.pool_says, log)
    require(len(pools) == 2, f"pools: {log}")
    bases = {b for b, _ in windows(h)}
    said = {int(p, 16) for p in pools}
    require(said == bases, f"kernel says {said}, vrctl {bases}")


@group.check("two devices, two reserved memory nodes", arches=("arm64",))
def assigned(h, _made):
    log = h.gx_ok("g1", "dmesg | grep -i 'reserved mem'")
    nodes = re.findall(r"assigned reserved memory node (\S+)", log)
    require(len(set(nodes)) == 2, f"assigned: {log}")


@group.check("rings and payload lie inside the pool")
def inside(h, _made):
    ready(h)
    shown = h.show("g1")
    for dev in shown["devices"]:
        low, size = dev["window_base"], dev["window_size"]
        high = low + size
        enabled = [r for r in dev["rings"] if r["enabled"]]
        require(enabled, f"{dev['id']}: no ring is enabled")
        for ring in enabled:
            for part in ("descriptors", "available", "used"):
                require(low <= ring[part] < high,
                        f"{dev['id']}: {part} at {ring[part]:#x}, window "
                        f"{low:#x}-{high:#x}")
        count = dev["counters"]
        require(count["requests"] > 50, f"requests: {count['requests']}")
        require(low <= count["payload_low"] <= count["payload_high"] <= high,
                f"payload {count['payload_low']:#x}-"
                f"{count['payload_high']:#x} outside {low:#x}-{high:#x}")
        require(not count["faults"] and not count["backend_faults"],
                f"faults: {count}")
        require(not count["backend_grant_ops"],
                f"grant operations: {count['backend_grant_ops']}")
    tables = [(d["window_base"], d["window_size"]) for d in shown["devices"]]
    (a, an), (b, bn) = sorted(tables)
    require(a + an <= b, f"pools overlap: {tables} {bn}")


@group.check("the guest's swiotlb figures show the pools at work",
             arches=("arm64",))
def swiotlb(h, _made):
    ready(h)
    out = h.gx_ok("g1", "cd /sys/kernel/debug; for d in pool@*; do "
                  "echo $d $(cat $d/io_tlb_nslabs $d/io_tlb_used_hiwater); "
                  "done")
    pools = [l.split() for l in out.splitlines() if len(l.split()) >= 2]
    slabs = sorted(int(p[1]) for p in pools if int(p[1]))
    require(len(pools) >= 2 and slabs, out)
    # 2 KiB a slab: 16 MiB and 8 MiB
    require({4096, 8192} <= set(slabs), out)
    require(all(int(p[2]) > 0 for p in pools), f"a pool was never used: {out}")


@group.check("vrctl list and show, as text and JSON")
def shown(h, _made):
    text = h.ok("vrctl list")
    require(re.search(r"g1.*disk0", text) and re.search(r"g1.*disk1", text),
            text)
    json.loads(h.ok("vrctl list --json"))
    text = h.ok("vrctl show g1")
    require("disk0" in text and B in text and "window" in text, text)
    data = h.show("g1")
    require(data["phase"] == "running" and data["broker"] > 0 and
            data["devices"][0]["state"] == "connected",
            f"{data['phase']} {data['devices'][0]['state']}")
    return (f"broker {data['broker_rss_kib']} KiB resident in "
            f"{data['broker_processes']} processes")


@group.check("xenstore: state is live, permissions as documented")
def xenstore(h, _made):
    g, b = h.domid("g1"), h.domid(B)
    base = f"/local/domain/{b}/backend/virtio_restricted/{g}/disk0"
    out = h.ok(f"xenstore-ls -p {base}; echo --; xenstore-ls -p "
               f"/local/domain/{g}/device/virtio_restricted/disk0; echo --; "
               f"xenstore-ls -p /libxl/{g}/virtio_restricted/disk0")
    back, guest, truth = out.split("--\n")
    perms = {}
    for line in back.splitlines():
        m = re.match(r"\s*(\S+) = \"(.*?)\".*\((.*)\)", line)
        if m:
            perms[m.group(1)] = (m.group(2), m.group(3))
    require(perms["state"][0] == "4", f"state {perms['state']}")
    for name, (_, perm) in perms.items():
        want = f"b{b}" if name in ("state", "error") else f"r{b}"
        require(perm.startswith("n0") and perm.split(",")[1:] == [want],
                f"{name}: {perm}")
    require(all(f"n0,r{g})" in l for l in guest.splitlines()), guest[:300])
    require(all("(n0)" in l for l in truth.splitlines()), truth[:300])
    require(re.search(r'state = "connected"', truth), truth)
    requests = f"/libxl/{g}/virtio_restricted/disk1/counters/requests"
    before = int(h.sh(f"xenstore-read {requests}").out or 0)
    made = json.loads(h.gx_ok("g1", "ioload -f /dev/vdb -m randread -t 2 -s 8"))
    # The broker writes them now and then, the first time after a while.
    h.wait("counters move", lambda: int(
        h.sh(f"xenstore-read {requests}").out or 0) >= before + made["ios"], 15)


def audit(h):
    r = h.sh("vrctl audit g1")
    require(r.rc == 0 and "OK" in r.out, f"[{r.rc}] {r.text[-500:]}")


@group.check("audit agrees before, during and after I/O", 120)
def audits(h, _made):
    audit(h)
    h.gx_ok("g1", "umount /mnt2 2>/dev/null; "
            "load start -f /dev/vdb -m randwrite -q 16 -t 30 -s 32")
    for _ in range(3):
        audit(h)
    out = h.gx_ok("g1", "load end 40", 45)
    require('"errors":0,' in out, out)
    audit(h)
    # Where a file system was there is none any more.
    h.gx_ok("g1", "dd if=/dev/zero of=/dev/vdb bs=1M count=1 2>/dev/null")


@group.check("audit finds an entry that nobody declared")
def planted(h, _made):
    g, b = h.domid("g1"), h.domid(B)
    data = h.show("g1")
    low = min(d["gref_base"] for d in data["devices"])
    h.ok(f"plant add {g} {b} {low - 7} 0x40100")
    try:
        r = h.sh("vrctl audit g1")
    finally:
        h.ok(f"plant del {g} {b} {low - 7} 0")
    require(r.rc == 1 and "EXCESS" in r.out, f"[{r.rc}] {r.text[-400:]}")
    audit(h)


def attack(h, guest, driver, memory):
    """The hostile program's outcomes by name. memory: the guest's, in MiB."""
    g, b = h.domid(guest), h.domid(driver)
    data = h.show(guest)
    win = " ".join(f"-w {w['gref_base']}:{w['gref_count']}"
                   for d in data["devices"] for w in d["windows"])
    refs = data["grant_frames"] * 512
    out = h.gx_ok(driver, f"hostile -g {g} -b {b} "
                  f"-m {arch.now.ram}:{memory * 256} "
                  f"-r {refs} {win} 2>/tmp/hostile.err", 180)
    return {t["name"]: t for t in json.loads(out)}


def judge(result, memory):
    """Fail when anything was allowed that has to be refused."""
    bad = [t["name"] for t in result.values()
           if t["expect"] == "refused" and (t["allowed"] or
                                            not t["attempted"])]
    require(not bad, "allowed: " + ", ".join(
        f"{n} {result[n]['allowed']}/{result[n]['attempted']}" for n in bad))
    refused = [t for t in result.values() if t["expect"] == "refused"]
    require(result["foreign_map"]["attempted"] == memory * 256,
            "not every page was tried")
    return (f"{sum(t['attempted'] for t in refused)} attempts of "
            f"{len(refused)} kinds, 0 allowed")


@group.check("hostile driver domain: every attempt refused by Xen", 240)
def isolation(h, made):
    memory = arch.now.memory(MEMORY)
    result = made["hostile"] = attack(h, "g1", B, memory)
    return judge(result, memory)


def arrived(result, pages, raw_map):
    """Fail unless the attack could reach just what it may."""
    for name in (("grant_map_inside",) if raw_map else ()) + (
            "grant_copy_inside",):
        require(result[name]["allowed"] == pages,
                f"{name}: {result[name]['allowed']} of {pages}")


@group.check("the same calls reach Xen, and the windows' grants succeed")
def reach(h, made):
    result = made.get("hostile") or attack(h, "g1", B, arch.now.memory(MEMORY))
    pages = sum(d["gref_count"] for d in h.show("g1")["devices"])
    arrived(result, pages, arch.now.raw_map)
    for name in ("reach_xen_version", "reach_own_grant_table_size"):
        require(result[name]["allowed"] == 1, name)
    require(result["reach_unknown_domain"]["errors"] == {"ESRCH": 1},
            str(result["reach_unknown_domain"]))
    return f"{pages} references inside the windows"


@group.check("positive control: the same calls from dom0 succeed")
def control(h, _made):
    g = h.domid("g1")
    (first, last) = arch.now.frames(MEMORY)[-1]
    out = h.ok(f"hostile -c -g {g} -b 0 -m {first}:{last + 1 - first} "
               "2>/tmp/hostile.err", 60)
    result = json.loads(out)
    bad = [t["name"] for t in result if t["refused"] or not t["attempted"]]
    require(len(result) > 10 and not bad, f"refused in dom0: {bad}")
    return f"{sum(t['allowed'] for t in result)} calls of {len(result)} kinds"


@group.check("after the attack: guest alive, data right, audit agrees", 90)
def survived(h, _made):
    ready(h)
    h.gx_ok("g1", "echo 3 > /proc/sys/vm/drop_caches; "
            f"{pattern('check', 'vdb')}", 60)
    audit(h)


def check_data(h):
    """After a reboot."""
    h.gx_ok("g1", "mount -t ext4 /dev/vda /mnt && "
            "mount -t ext4 /dev/vdb /mnt2 && "
            f"{pattern('check', 'vda')} && {pattern('check', 'vdb')}", 150)


def rebooted(h, old, driver):
    """Wait for the guest after a reboot: a new domain of the same name."""
    h.wait_again("g1", old, 60)
    h.gx_ok("g1", "true", up=90)
    require(h.domid(B) != driver, "the driver domain is still the old one")


@group.check("guest unbinds and rebinds its driver", 60)
def rebind(h, _made):
    ready(h)
    h.gx_ok("g1", "umount /mnt2; rebind /sys/bus/virtio/drivers/virtio_blk 3 "
            "$(basename $(readlink /sys/block/vdb/device)); "
            "mount -t ext4 /dev/vd[b-z] /mnt2 && "
            f"{pattern('check', 'vdb')}", 50)
    audit(h)


@group.check("xl save and xl remus are refused, the guest goes on",
             arches=("x86",))
def not_moved(h, _made):
    for command, word in (("xl save g1 /tmp/g1.save", "saved or migrated"),
                          ("xl remus -F -b -n -d g1 none", "replicated")):
        r = h.sh(command)
        require(r.rc != 0 and f"cannot be {word}" in r.text, r.text[-300:])
    ready(h)
    h.gx_ok("g1", pattern("check", "vda"))


@group.check("guest reboots by itself, data still right", 300)
def self_reboot(h, _made):
    ready(h)
    old, b = h.domid("g1"), h.domid(B)
    h.gx("g1", "umount /mnt /mnt2; sync; (sleep 0.3; /sbin/reboot) "
         "</dev/null >/dev/null 2>&1 &")
    rebooted(h, old, b)
    check_data(h)
    audit(h)


@group.check("xl reboot, data still right", 300)
def xl_reboot(h, _made):
    ready(h)
    old, b = h.domid("g1"), h.domid(B)
    h.ok("xl reboot g1")
    rebooted(h, old, b)
    check_data(h)


@group.check("xl mem-set and xl reboot: the guest begins with what it had", 300,
             arches=("x86",))
def smaller(h, _made):
    ready(h)
    old, b = h.domid("g1"), h.domid(B)
    h.ok(f"xl mem-set g1 {arch.now.memory(MEMORY) - 4}")
    h.ok("xl reboot g1")
    rebooted(h, old, b)
    check_data(h)


@group.check("xl destroy ends guest, driver domain and broker", 60)
def destroy(h, _made):
    begin = time.monotonic()
    h.ok("xl destroy g1", 60)
    h.wait_gone("g1", B, seconds=15)
    spent = time.monotonic() - begin
    try:
        h.leftovers(10)
    except Fail as fail:
        raise Fail(f"after xl destroy: {fail}") from fail
    return f"{spent:.1f} s"
