# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that are PCI functions, below a host bridge of their own (Arm) or in
slots beside QEMU's (x86): each with a pool by its own property, behind the
virtio-iommu, with messages and without."""

import json
import os
import re

from vre2e import arch, build
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from groups.dynamic import audit
from groups.mixmod import PARAMETER
from groups.module import STATS
from groups.net import BRIDGE, DRIVER, net, plug, start, within

ARM = arch.now.name == "arm64"
# Where there are network devices, the driver domain is one for them.
G, B = "gp", "gp-b1" if ARM else "gp-bn"
QUEUES = 2 if ARM else 4
FUNCTIONS = 4 if ARM else 5
SLOTS = tuple(f"0000:00:{arch.now.slot + n:02x}.0" for n in range(FUNCTIONS))
SECOND = arch.now.slot + 1
AT = "/sys/bus/pci/devices"
VFIO = ("vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci")


def images(share):
    """Arm: the usual guest with lspci and setpci; Debian's kernel with VFIO."""
    if not ARM:
        return
    img = os.path.join(share, "img")
    build.guest_image(os.path.join(img, "pci.cpio"),
                      build.debian_modules(*arch.now.images["guest"]),
                      more=(build.pciutils,))
    build.guest_image(os.path.join(img, "pci-debian.cpio"),
                      build.debian_modules(*arch.now.images["debian-mixed"]),
                      build.debian_modules(*VFIO))


group = Group("pci", build=images)


def setup_x86(h):
    """One device of each type, all of one driver domain."""
    start(h, G, [
        device(size="16M", serial="one", queues=f"{QUEUES}", transport="pci",
               driver=DRIVER),
        device(id="disk1", target="/dev/xvdc", size="8M", serial="two",
               transport="pci", driver=DRIVER),
        dynamic(id="disk2", target="/dev/xvdd", serial="three",
                transport="pci", driver=DRIVER),
        device(id="rng0", type="rng", target="/dev/urandom", size="256K",
               transport="pci", driver=DRIVER),
        net(device, 0, size="4M", transport="pci"),
        device(id="rng1", type="rng", target="/dev/urandom", size="256K",
               transport="mmio", driver=DRIVER),
    ], disks=("/dev/vda", "/dev/vdb", "/dev/vdc"),
          # As many queues as processors that there may be.
          lines=f"maxvcpus = {QUEUES}\n", extra=arch.now.devmem)
    h.gx_ok(G, "insmod /modules/virtio-rng.ko.later", up=150)


@group.on_setup
def setup(h):
    if not ARM:
        setup_x86(h)
        return {}
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb", "/dev/vdc"),
                               memory=128))
    text = guest_cfg(G, [
        device(size="16M", serial="one", queues="2", transport="pci"),
        device(id="disk1", target="/dev/xvdc", size="8M", serial="two",
               transport="pci"),
        dynamic(id="disk2", target="/dev/xvdd", serial="three",
                transport="pci"),
        device(id="rng0", type="rng", target="/dev/urandom", size="256K",
               transport="pci"),
        device(id="rng1", type="rng", target="/dev/urandom", size="256K",
               transport="mmio"),
    ], memory=160, ramdisk="pci.cpio")
    r = h.create(h.put(f"{G}.cfg", text.replace("vcpus = 1", "vcpus = 2")), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=150)
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def disk(h, serial):
    """The name that a disk has in the guest; its function tells, not the disk,
    which may not answer any more."""
    slot = SLOTS[("one", "two", "three").index(serial)]
    return h.gx_ok(G, f"ls {AT}/{slot}/virtio*/block").strip()


def io(h, serial, how="-m verify -q 8 -b 4096 -t 1 -s 1", guest=G):
    """What ioload says of a disk."""
    return json.loads(h.gx_ok(guest, f"ioload -f /dev/{disk(h, serial)} {how}",
                              60))


def messages(h, slot, guest=G):
    """Interrupts by message that the guest has counted, by vector."""
    out = h.gx_ok(guest, f"n=$(basename {AT}/{slot}/virtio*); grep -i "
                  "\"msi.*$n-\" /proc/interrupts || true")
    return [sum(int(n) for n in re.match(r"\s*\w+:((?: +\d+)+)", line)[1]
                .split()) for line in out.splitlines()]


def direct(h, number):
    """Whether the queues of a device have bells of their own."""
    return any(r["bell"] == "direct" for r in
               h.show(G)["devices"][number]["rings"] if r["enabled"])


def all_direct(h):
    """Whether all queues have bells of their own."""
    return {r["bell"] for d in h.show(G)["devices"] for r in d["rings"]
            if r["enabled"]} == {"direct"}


def trapped(h, count=3):
    """x86: of so many functions those with doorbells are bound again, without.
    Not the others: each time takes interrupts that Linux does not give back."""
    for number in range(0 if ARM else count):
        if direct(h, number):
            h.gx_ok(G, "bind-without-doorbells "
                    f"$(basename {AT}/{SLOTS[number]}/virtio*)", 60)


def said_pools(log):
    """Which function has which pool, as the kernel or the module says it."""
    return set(re.findall(r"(0000:\S+): assigned reserved memory node "
                          r"pool@([0-9a-f]+)" if ARM else
                          r"(0000:\S+): restricted to its pool: \d+ KiB at "
                          r"0x0*([0-9a-f]+)", log))


def mapped(h):
    """Bytes of the mixed device's buffers that were mapped, by the module."""
    return int(re.search(r"mapped_bytes (\d+)", h.gx_ok(
        G, f"cat {STATS}/{SLOTS[2]}"))[1])


@group.check("PCI functions with virtio_pci as their driver, beside virtio-mmio",
             90)
def functions(h, _made):
    out = h.gx_ok(G, f"for s in {' '.join(SLOTS)}; do echo $s $(cat {AT}/$s/"
                  f"vendor {AT}/$s/device) $(basename $(readlink {AT}/$s/"
                  f"driver)); done; ls {AT}")
    for slot, kind in zip(SLOTS, ("1042", "1042", "1042", "1044", "1041")):
        require(f"{slot} 0x1af4 0x{kind} virtio-pci" in out, out)
    require(not ARM or len(out.split("\n")) < 10, f"more functions: {out}")
    out = h.gx_ok(G, "for d in /sys/bus/platform/devices/*/virtio*; do "
                  "readlink $d/driver; done")
    require("virtio_rng" in out, f"by virtio-mmio: {out}")
    shown = h.show(G)["devices"]
    require([d["transport"] for d in shown] == ["pci"] * FUNCTIONS + ["mmio"],
            f"{shown}")
    text = h.ok(f"vrctl show {G} disk1")
    require(f"PCI function  {SLOTS[1]}, 2 vectors" in text, text)


@group.check("each function has the pool that its own property names")
def pools(h, _made):
    said = said_pools(h.gx_ok(G, "dmesg | grep -iE 'reserved mem|its pool'"))
    shown = h.show(G)["devices"]
    want = {(SLOTS[i], f"{shown[i]['window_base']:x}")
            for i in range(FUNCTIONS) if i != 2}
    require(want == said, f"{said}, not {want}")


@group.check("the guest module's doorbells: no messages, and without them again",
             90, arches=("x86",))
def doorbells(h, _made):
    bare = [SLOTS[n] for n in range(3) if not direct(h, n)]
    h.gx_ok(G, "rebind /sys/bus/pci/drivers/virtio-pci 1 " + " ".join(bare)
            if bare else "true", 60)
    for serial in ("one", "two", "three"):
        io(h, serial)
    found = {r["bell"] for d in h.show(G)["devices"][:3] for r in d["rings"]
             if r["enabled"]}
    require(found == {"direct"}, f"{found}")
    require(sum(messages(h, SLOTS[0])) == 0, h.gx_ok(G, "cat /proc/interrupts"))
    trapped(h)


@group.check("ext4 made, written, synced and read back; random numbers", 120)
def data(h, _made):
    name = disk(h, "one")
    out = h.gx_ok(G, f"mkfs.ext4 -q -F -N 64 /dev/{name} && mount -t ext4 "
                  f"/dev/{name} /mnt && pattern write /mnt/data 2 7 && sync && "
                  "echo 3 > /proc/sys/vm/drop_caches && "
                  "pattern check /mnt/data 2 7; r=$?; umount /mnt; exit $r",
                  90).split()
    require(len(out) == 2 and out[0] == out[1], f"{out}")
    for serial in ("two", "three"):
        io(h, serial)
    out = h.gx_ok(G, "cat /sys/class/misc/hw_random/rng_current && "
                  "dd if=/dev/hwrng bs=64 count=4 2>/dev/null | wc -c")
    require("virtio_rng" in out and out.endswith("256\n"), out)


@group.check("rings and payload lie inside the pool of each", 90)
def inside(h, _made):
    for dev in h.show(G)["devices"][:2]:
        low, high = dev["window_base"], dev["window_base"] + dev["window_size"]
        rings = [r for r in dev["rings"] if r["enabled"]]
        require(rings, f"{dev['id']}: no ring is enabled")
        for ring in rings:
            require(all(low <= ring[p] < high for p in
                        ("descriptors", "available", "used")), f"{ring}")
        count = h.counted(G, 0)["counters"]
        require(not count["faults"] and not count["backend_faults"] and
                not count["backend_grant_ops"], f"{count}")
    audit(h, G)


@group.check("interrupts are messages, one vector for each queue", 90)
def vectors(h, _made):
    trapped(h)
    io(h, "one")
    io(h, "three")
    one, three = messages(h, SLOTS[0]), messages(h, SLOTS[2])
    # The first is of changes of the device.
    require(len(one) == 1 + QUEUES and one[0] == 0 and sum(one) > 0, f"{one}")
    require(len(three) == 2 and three[1] > 0, f"{three}")
    if not ARM:
        return
    log = h.gx_ok(G, f"for p in 0 1; do taskset -p $((p + 1)) $$ >/dev/null "
                  f"2>&1; ioload -f /dev/{disk(h, 'one')} -m randread -q 1 "
                  "-t 1 -s 1 >/dev/null; done; cat /proc/interrupts")
    require(all(n > 0 for n in messages(h, SLOTS[0])[1:]), log)


@group.check("a network function answers, by messages", 120, arches=("x86",))
def network(h, _made):
    switch = "/sys/module/virtio_restricted/parameters/doorbells"
    h.gx_ok(G, f"echo N > {switch}")
    plug(h, G, 0)
    h.gx_ok(G, f"echo Y > {switch}; " + within(
        0, f"ping -c 2 -W 5 {BRIDGE} && ping -c 2 -W 5 -s 1472 {BRIDGE}"), 60)
    found = messages(h, SLOTS[4])
    require(len(found) == 3 and found[1] > 0, f"{found}")


@group.check("one exit a request at depth 1", 90)
def exits(h, _made):
    trapped(h)
    before = h.counted(G, 1)["counters"]
    made = io(h, "two", "-m randread -q 1 -b 4096 -t 1 -s 2")["ios"]
    after = h.wait("the counters are told", lambda: next(
        (c for c in [h.show(G)["devices"][1]["counters"]]
         if c["requests"] >= before["requests"] + made), None))
    n = after["requests"] - before["requests"]
    reads = after["mmio_reads"] - before["mmio_reads"]
    writes = after["mmio_writes"] - before["mmio_writes"]
    require(reads <= 2 and writes <= 1.05 * n + 5,
            f"{n} requests, {reads} reads, {writes} writes")
    return f"{(reads + writes) / n:.2f} exits a request"


@group.check("the dynamic one is in a group of its own, its messages are not "
             "mapped", 60)
def behind(h, _made):
    out = h.gx_ok(G, f"cat {AT}/{SLOTS[2]}/iommu_group/type "
                  f"{AT}/{SLOTS[2]}/iommu_group/reserved_regions; "
                  f"ls -d {AT}/{SLOTS[0]}/iommu_group 2>&1 || true")
    require(out.startswith("DMA"), out)
    require(not ARM or re.search(r"0x0*20ff000 0x0*20fffff msi", out), out)
    require("No such file" in out, out)
    audit(h, G)


# What lspci says, from the capabilities that it knows.
TOLD = (r"Memory at 23[0-9a-f]{6} \(32-bit, non-prefetchable\) \[size=32K\]",
        r"pin A routed to IRQ", r"MSI-X: Enable\+ Count=3 Masked-",
        "VirtIO: CommonCfg", "VirtIO: Notify", "VirtIO: ISR",
        "VirtIO: DeviceCfg", r"AFCap: TP\+ FLR\+", "in use: virtio-pci")


@group.check("lspci reads all there is; setpci writes what may be written, in use",
             90, arches=("arm64",))
def utilities(h, _made):
    out = h.gx_ok(G, f"lspci -vvv -xxxx -s {SLOTS[0]}")
    for what in TOLD:
        require(re.search(what, out), f"{what}: {out}")
    require("<unassigned>" not in out and "!!!" not in out, out)
    name = disk(h, "one")
    h.gx_ok(G, f"load start -f /dev/{name} -m verify -q 4 -t 60 -s 4")
    # It may send no messages for a while, and sends them later.
    out = h.gx_ok(G, f"p='setpci -s {SLOTS[0]}'; for i in $(seq 20); do "
                  "$p COMMAND=0:4 && $p COMMAND=4:4 || exit 1; done; "
                  "$p VENDOR_ID=ffff LATENCY_TIMER=40 CAP_AF+2.B=0 "
                  "HEADER_TYPE=81; $p VENDOR_ID LATENCY_TIMER CAP_AF+2.B "
                  "HEADER_TYPE", 60)
    require(out.split() == ["1af4", "00", "06", "00"], out)
    out = h.gx_ok(G, "load end 20", 30)
    require('"errors":0,' in out and '"mismatches":0' in out, out)
    audit(h, G)


@group.check("driver unbound and bound, function removed and found again", 120)
def again(h, _made):
    for slot, serial in ((SLOTS[0], "one"), (SLOTS[2], "three")):
        h.gx_ok(G, f"cd /sys/bus/pci/drivers/virtio-pci && echo {slot} > unbind"
                f" && echo {slot} > bind", 60)
        io(h, serial)
        h.gx_ok(G, f"echo 1 > {AT}/{slot}/remove && [ ! -e {AT}/{slot} ] && "
                "echo 1 > /sys/bus/pci/rescan", 60)
        io(h, serial)
    audit(h, G)


# What badpci does to a function, idle or while the disk is in use.
# Each access takes several exits to QEMU on x86, where all is slower anyway.
MANY, FEW = (3000, 10) if ARM else (100, 2)
ABUSE = ((f"space {MANY}", False), ("bars", False), ("window", False),
         (f"masks {FEW}", True), ("window", True))


@group.check("a guest that abuses a function harms itself alone", 150)
def hostile(h, _made):
    name = disk(h, "two")
    for command, busy in ABUSE:
        if busy:
            h.gx_ok(G, f"load start -f /dev/{name} -m verify -q 4 -t 60 -s 4")
        h.gx_ok(G, f"badpci {SECOND} {command}", 60)
        if busy:
            out = h.gx_ok(G, "load end 20", 30)
            require('"errors":0,' in out and '"mismatches":0' in out,
                    f"{command}: {out}")
        io(h, "two", "-m randread -q 1 -b 4096 -t 1 -s 1")
    for serial in ("one", "two", "three"):
        io(h, serial)
    audit(h, G)


@group.check("a function that is reset is usable afterwards; behind its driver's "
             "back it harms nobody else, as messages to anywhere", 90)
def function_reset(h, _made):
    out = h.gx_ok(G, f"cat {AT}/{SLOTS[1]}/reset_method; cd "
                  f"/sys/bus/pci/drivers/virtio-pci && echo {SLOTS[1]} > unbind"
                  f" && echo 1 > {AT}/{SLOTS[1]}/reset && echo {SLOTS[1]} > "
                  "bind", 60)
    require("af_flr" in out, out)
    io(h, "two")
    name = disk(h, "two")
    # Its driver loses requests, which wait for ever, and nobody else any.
    h.gx_ok(G, f"load start -f /dev/{name} -m randread -q 8 -t 60 -s 1")
    h.gx_ok(G, f"badpci {SECOND} vectors {FEW} && badpci {SECOND} "
            f"resets {5 * FEW}", 60)
    io(h, "one")
    io(h, "three")
    audit(h, G)


@group.check("the guest reboots, and all is as before", 150)
def reboot(h, _made):
    old = h.domid(G)
    # At once: an orderly one would wait for the disk that has lost requests.
    h.gx(G, "(sleep 0.3; echo b > /proc/sysrq-trigger) </dev/null "
         ">/dev/null 2>&1 &", 20)
    h.wait_again(G, old)
    h.gx_ok(G, "true", up=150)
    for serial in ("one", "two", "three"):
        io(h, serial)
    audit(h, G)


def by_line(out):
    """Whether two functions of /proc/interrupts have INTA, and none messages."""
    return "msi" not in out.lower() and \
        len(re.findall(r"(Edge|-ioapic-level) +virtio", out)) >= 2


@group.check("without messages: INTA; with doorbells for changes alone", 150)
def wired(h, _made):
    h.end(G, B)
    driver = f"/host/cfg/{B[3:]}.cfg"
    r = h.create(h.put(f"{G}.cfg", guest_cfg(G, [
        device(size="8M", serial="one", transport="pci", driver=driver),
        # The kernel alone uses no pool of such a one.
        (dynamic if ARM else mixed)(id="disk1", target="/dev/xvdc",
                                    serial="two", transport="pci",
                                    driver=driver),
    ], memory=128, extra="pci=nomsi")), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=150)
    trapped(h, 2)
    for serial in ("one", "two"):
        io(h, serial)
    out = h.gx_ok(G, "grep virtio /proc/interrupts")
    require(by_line(out), out)
    h.gx_ok(G, ("insmod /modules/virtio_restricted.ko.later && " if ARM else "")
            + f"rebind /sys/bus/pci/drivers/virtio-pci 2 {' '.join(SLOTS[:2])}",
            60)
    for serial in ("one", "two"):
        io(h, serial)
    out = h.gx_ok(G, "grep virtio /proc/interrupts")
    require(by_line(out) and all_direct(h), out)


@group.check("driver domain destroyed: the guest goes on, unbinding ends", 90)
def gone(h, _made):
    h.ok(f"xl destroy {B}", 60)
    h.wait("the device is failed", lambda: h.show(G)["devices"][0]["state"] ==
           "failed")
    h.gx_ok(G, f"echo {SLOTS[0]} > /sys/bus/pci/drivers/virtio-pci/unbind", 60)


@group.check("Debian's kernel and the guest module, with doorbells and without; "
             "of the mixed one long buffers are mapped, others copied", 240,
             arches=("arm64",))
def debian(h, _made):
    h.end(G, B)
    r = h.create(h.put(f"{G}.cfg", guest_cfg(G, [
        device(size="8M", serial="one", transport="pci"),
        dynamic(id="disk1", target="/dev/xvdc", serial="two",
                transport="pci"),
        mixed(id="disk2", target="/dev/xvdd", serial="three",
              transport="pci"),
    ], kernel="vmlinuz", ramdisk="pci-debian.cpio", memory=256,
        extra="hugepages=2")), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=150)
    for serial in ("one", "two", "three"):
        io(h, serial)
    require(all_direct(h), f"{h.show(G)}")
    for slot, serial in zip(SLOTS, ("one", "two", "three")):
        require(sum(messages(h, slot)) == 0,
                h.gx_ok(G, "cat /proc/interrupts"))
        h.gx_ok(G, f"bind-without-doorbells $(basename {AT}/{slot}/virtio*)")
        io(h, serial)
        require(sum(messages(h, slot)) > 0,
                h.gx_ok(G, "cat /proc/interrupts"))
    log = h.gx_ok(G, "dmesg")
    pools = re.findall(r"(0000:\S+): restricted to its pool: \d+ KiB at "
                       r"0x0*([0-9a-f]+)", log)
    shown = h.show(G)["devices"]
    want = {(SLOTS[i], f"{shown[i]['window_base']:x}") for i in (0, 2)}
    require(want == set(pools), f"{pools}, not {want}")
    # What counts is how long a piece of memory is, not how long a request.
    h.gx_ok(G, f"echo 65536 > {PARAMETER}")
    for how, maps in (("-d", False), ("-c", True)):
        before = mapped(h)
        made = io(h, "three", f"-m randread -q 1 -b 262144 -t 1 -s 4 {how}")
        found = mapped(h) - before
        require(found >= made["ios"] << 18 if maps else not found,
                f"{how}: {found} bytes of {made['ios']} requests")
    audit(h, G)


@group.check("vfio-pci: refuses what has no IOMMU, takes what has one, and gives it "
             "back", 120, arches=("arm64",))
def vfio(h, _made):
    h.gx_ok(G, f"for m in {' '.join(VFIO)}; do insmod /modules/$m.ko.later || "
            "exit 1; done")
    for slot, serial, taken in ((SLOTS[0], "one", False),
                                (SLOTS[1], "two", True),
                                (SLOTS[2], "three", True)):
        bind = (f"cd {AT}/{slot}; echo {slot} > driver/unbind; "
                "echo vfio-pci > driver_override; "
                f"echo {slot} > /sys/bus/pci/drivers/vfio-pci/bind")
        require((h.gx(G, bind, 60).rc == 0) == taken, f"{slot}: {taken}")
        audit(h, G)
        h.gx_ok(G, f"cd {AT}/{slot}; [ ! -e driver ] || "
                f"echo {slot} > driver/unbind; echo > driver_override; "
                f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/bind", 60)
        io(h, serial)
