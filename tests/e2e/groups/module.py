# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's kernel with the guest module: static devices, one boot."""

import re

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

G, B = "gm", "gm-b1"
SEED = {"one": 71, "two": 72}  # of the disks, by serial number
STATS = "/sys/kernel/debug/virtio_restricted"
DRIVER, DEVICES = arch.now.bound
# /modules has a number before each name, in the order of loading.
MODULE = "/modules/*-virtio_restricted.ko"

group = Group("module")


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb"), memory=128))
    # Two CPUs: the pools get two areas.
    text = guest_cfg(G, [
        device(serial="one"),
        device(id="disk1", target="/dev/xvdc", size="16M", serial="two"),
    ], **arch.now.module)
    r = h.create(h.put("gm.cfg", text.replace("vcpus = 1", "vcpus = 2")), 120)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=150)
    return {}


@group.on_teardown
def teardown(h):
    for name in (G, "gs"):
        if h.sh(f"xl domid {name}").rc == 0:
            h.sh(f"xl destroy {name}", 60)
    h.wait_gone(G, B, "gs", "gs-b1", seconds=20)


def stats(h):
    """The counters of each device, by the pool's address."""
    out = h.gx_ok(G, f"cd {STATS}; for d in *; do echo device $d; "
                  "cat $d; done")
    found = {}
    for part in out.split("device ")[1:]:
        lines = [l.split() for l in part.splitlines() if l.strip()]
        one = {l[0]: int(l[1], 0) for l in lines[1:] if len(l) == 2}
        one["name"] = lines[0][0]
        found[one["base"]] = one
    return found


def with_data(h, made):
    """The files that data_right() looks for; they stay until the disks as such
    are written to."""
    if "data" not in made:
        h.gx_ok(G, " && ".join(
            f"datafs write $(diskof {serial}) 4 {seed} 16M -b 4096"
            for serial, seed in SEED.items()), 220)
        made["data"] = True


def data_right(h, faults=0):
    """What was written is still there; rings and payload are in the pool."""
    h.gx_ok(G, " && ".join(f"datafs check $(diskof {serial}) 4 {seed}"
                           for serial, seed in SEED.items()), 150)
    inside_pools(h, faults)
    r = h.sh(f"vrctl audit {G}")
    require(r.rc == 0, f"audit: {r.text[-400:]}")


def inside_pools(h, faults=0):
    for dev in h.show(G)["devices"]:
        low, high = dev["window_base"], dev["window_base"] + dev["window_size"]
        rings = [r for r in dev["rings"] if r["enabled"]]
        require(rings, f"{dev['id']}: no ring is enabled")
        for ring in rings:
            for part in ("descriptors", "available", "used"):
                require(low <= ring[part] < high,
                        f"{dev['id']}: {part} at {ring[part]:#x}")
        c = dev["counters"]
        require(low <= c["payload_low"] <= c["payload_high"] <= high,
                f"payload {c['payload_low']:#x}-{c['payload_high']:#x} "
                f"outside {low:#x}-{high:#x}")
        require(c["faults"] == faults and not c["backend_faults"], f"{c}")


@group.check("the kernel has no pools of its own; the module says it took them")
def says(h, _made):
    log = h.gx_ok(G, "dmesg | grep -iE 'restricted'")
    require("created restricted DMA pool" not in log,
            f"the kernel has restricted pools: {log}")
    said = {int(a, 16) for a in re.findall(
        r"restricted to its pool: \d+ KiB at (0x[0-9a-f]+)", log)}
    bases = {d["window_base"] for d in h.show(G)["devices"]}
    require(said == bases and len(bases) == 2, f"{log}, windows {bases}")
    return log.strip().splitlines()[-1].split("] ")[-1][:150]


@group.check("random writes of both disks at once, read back", 120)
def verify(h, made):
    made.pop("data", None)
    one, two = h.gx_ok(G, "diskof one two").split()
    out = h.gx_ok(G, f"ioload -f {one} -m verify -q 32 -b 4096 -t 1 -s 4 & "
                  f"ioload -f {two} -m verify -q 8 -b 262144 -t 1 -s 8; wait",
                  110)
    require(out.count('"errors":0,') == 2 and
            out.count('"mismatches":0') == 2, out)
    inside_pools(h)


@group.check("both disks: ext4 made, written, synced and read back", 240)
def write(h, made):
    with_data(h, made)
    data_right(h)


@group.check("counters in debugfs agree with what the toolstack knows")
def counters(h, made):
    with_data(h, made)
    seen = stats(h)
    for dev in h.show(G)["devices"]:
        one = seen.get(dev["window_base"])
        require(one and one["size"] == dev["window_size"], f"{seen}")
        require(0 < one["used"] <= one["high_water"] <= one["size"], f"{one}")
        # No request is under way: what is used are the rings.
        require(one["used"] <= 128 << 10, f"idle, yet used: {one}")
        require(one["mappings"] >= 3 * dev["counters"]["requests"] // 2,
                f"{one}, {dev['counters']}")
    require({s["max_mapping"] for s in seen.values()} ==
            {512 << 10, 1 << 20}, f"{seen}")
    high = max(s["high_water"] for s in seen.values())
    return f"at the most {high >> 10} KiB used"


@group.check("what the backend can see of each mapping", 180)
def seen_by_backend(h, made):
    with_data(h, made)
    before = stats(h)
    lines = []
    for one in before.values():
        r = h.gx(G, f"dmacheck device={one['name']} base={one['base']} "
                 f"size={one['size']}", 50)
        require(r.rc == 0 and "WARN" not in r.out, f"[{r.rc}] {r.text[-700:]}")
        lines += re.findall(r"dma-check: ok .*", r.out)
    require(len(lines) == 16, f"{lines}")
    after = stats(h)
    for base, one in after.items():
        require(one["used"] == before[base]["used"], f"left behind: {one}")
    data_right(h)
    return f"{len(lines)} checks"


@group.check("the module cannot be unloaded while a device uses it")
def in_use(h, _made):
    r = h.gx(G, "rmmod virtio_restricted")
    require(r.rc != 0, "it was unloaded")
    require("virtio_restricted" in h.gx_ok(G, "lsmod"), "it is gone")


@group.check("devices unbound and bound again", 180)
def rebind(h, made):
    with_data(h, made)
    names = [s["name"] for s in stats(h).values()]
    out = h.gx_ok(G, f"rebind {DRIVER} 3 {' '.join(names)} && "
                  "dmesg | grep -c 'left .* bytes mapped'; true", 100)
    require(out.strip() == "0", f"mapped when unbound: {out}")
    data_right(h)


@group.check("loaded after the driver's probe: no disk, the toolstack says why; "
             "bound again: disks", 300)
def late(h, made):
    with_data(h, made)
    names = [s["name"] for s in stats(h).values()]
    h.gx_ok(G, "late-module remove", 60)
    for dev in h.show(G)["devices"]:
        node = h.ok(f"xenstore-read /libxl/{h.domid(G)}/virtio_restricted/"
                    f"{dev['id']}/error")
        require("DMA_RESTRICTED_POOL" in node, f"xenstore: {node}")
    log = h.gx_ok(G, "late-module insert")
    require(log.count("restricted to its pool") == 2 and
            all(f" {n}: " in log for n in names), f"{log}")
    require("vda" not in log.splitlines(), "there is a disk")
    h.gx_ok(G, f"rebind {DRIVER} 1 {' '.join(names)}; sleep 0.5; "
            "diskof one two", 60)
    data_right(h, faults=1)  # the ring that was refused
    return log.strip().splitlines()[0].split("] ")[-1][:200]


@group.check("no warning in the guest's kernel log")
def quiet(h, _made):
    log = h.guest_log(G)
    require(not re.search(r"WARNING:|BUG:|Call trace", log),
            "the console has a warning")


@group.check("a kernel with pools of its own: the module leaves them to it",
             150, arches=("arm64",))
def own_pools(h, _made):
    teardown(h)
    r = h.create(h.put("gs.cfg", guest_cfg("gs", [device(serial="one")])))
    require(r.rc == 0, r.text[-400:])
    out = h.gx_ok("gs", "own-pools", 60)
    require("the kernel restricts it to its pool itself" in out and
            "one" in out.split() and '"errors":0,' in out and
            '"mismatches":0' in out and "unloaded" in out, out)
    r = h.sh("vrctl audit gs")
    require(r.rc == 0, r.text[-400:])
    h.ok("xl destroy gs", 60)
    h.wait_gone("gs", "gs-b1", seconds=20)
