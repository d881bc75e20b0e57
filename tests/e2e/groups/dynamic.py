# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dynamic windows: memory is reached only while the guest's IOMMU maps it."""

import json
import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Fail, Group, require

from groups.neighbours import judge, look

SEED = 31

group = Group("dynamic")


def start(h, name, devices, kernel=None, strict=1, **keys):
    """Create a guest and wait for its agent."""
    args = dict(arch.now.mappers[kernel] if kernel else arch.now.usual,
                extra=f"iommu.strict={strict}")
    args.update(keys)
    r = h.create(h.put(f"{name}.cfg", guest_cfg(name, devices, **args)), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(name, "true", up=150)


def stop(h, *names):
    """Destroy guests; nothing may be left."""
    for name in names:
        h.ok(f"xl destroy {name}", 90)
    h.leftovers(20)


def iommu(h, name):
    """The figures of a guest's virtio-iommu."""
    return h.show(name)["iommu"]


def audit(h, name, *options):
    """vrctl audit has to find just what is mapped; returns what it says."""
    r = h.sh(f"vrctl audit --json {' '.join(options)} {name}")
    require(r.rc == 0, f"[{r.rc}] {r.text[-500:]}")
    return json.loads(r.out)


# ---- the block tests, on each kernel and in both modes of its IOMMU ----

def told(h, guest, *disks):
    """What the guest's kernel knows of each disk: its IOMMU group's type, and
    which properties about pool and IOMMU firmware told. By serial number."""
    out = h.gx_ok(guest, f"diskinfo {arch.now.node} {' '.join(disks)}")
    return {serial: words for serial, *words in
            (line.split() for line in out.splitlines())}


def disk_works(h, strict):
    kind = "DMA" if strict else "DMA-FQ"
    found = told(h, "dy", "/dev/vda")
    require(found["one"][0] == kind, f"{kind} expected: {found}")
    h.gx_ok("dy", f"datafs write /dev/vda 8 {SEED} && "
            f"datafs check /dev/vda 8 {SEED}", 200)
    c = iommu(h, "dy")["counters"]
    require(c["maps"] > 500 and not c["refused"] and not c["malformed"],
            f"{c}")
    dev = h.counted("dy")
    low, high = dev["window_base"], dev["window_base"] + dev["window_size"]
    for ring in dev["rings"]:
        for part in ("descriptors", "available", "used"):
            require(low <= ring[part] < high, f"{part} at {ring[part]:#x}")
    c = dev["counters"]
    require(low <= c["payload_low"] <= c["payload_high"] < high and
            not c["backend_faults"] and not c["faults"], f"{c}")
    audit(h, "dy")


def data_right(h, seconds=120):
    h.gx_ok("dy", f"datafs check $(diskof one) 8 {SEED}", seconds)
    audit(h, "dy")


def rebinds(h):
    h.gx_ok("dy", "rebind /sys/bus/virtio/drivers/virtio_blk 3", 60)
    data_right(h)


def reloads(h):
    h.gx_ok("dy", "for i in 1 2; do rmmod virtio_blk && "
            "insmod /modules/*-virtio_blk.ko || exit 1; done", 60)
    data_right(h)


def reboots(h):
    old = h.domid("dy")
    h.gx("dy", "sync; (sleep 0.3; /sbin/reboot) "
         "</dev/null >/dev/null 2>&1 &")
    h.wait_again("dy", old)
    h.gx_ok("dy", "true", up=150)
    data_right(h)


def interrupts(h):
    """ACPI: a level-triggered pin of the I/O APIC for each device (which Linux
    has Xen deliver as an event), and the tables that say so."""
    out = h.gx_ok("dy", "grep virtio /proc/interrupts; "
                  "ls /sys/firmware/acpi/tables | tr '\\n' ' '; "
                  "dmesg | grep -i -e 'nobody cared' -e VIOT")
    require(len(re.findall(r" 3[2-9]: .*level +virtio", out)) >= 2, out)
    require("VIOT" in out and "nobody cared" not in out, out)


# How a guest's IOMMU takes mappings away: at once, or in batches later.
@group.many("block device", 1200)
def block(h):
    h.put("b1.cfg", driver_cfg("b1"))
    variants = [(kernel, strict) for kernel in arch.now.mappers
                for strict in (1, 0)]
    for kernel, strict in variants:
        steps = [("written and read back",
                  lambda h, strict=strict: disk_works(h, strict)),
                 ("driver unbound and bound", rebinds)]
        if arch.now.node == "firmware_node":
            steps.append(("interrupts and tables", interrupts))
        if kernel != "small":
            steps.append(("module unloaded and loaded", reloads))
        if strict != (kernel == "small"):
            steps.append(("guest reboots, data right", reboots))
        steps.append(("destroyed, nothing left", lambda h: stop(h, "dy")))
        broken = None
        begin = time.monotonic()
        try:
            start(h, "dy", [dynamic(serial="one")], kernel, strict)
        except Fail as fail:
            broken = str(fail)
        for name, step in steps:
            why = broken
            if not broken:
                try:
                    step(h)
                except Fail as fail:
                    why = broken = str(fail)
            yield (f"{kernel} kernel, iommu.strict={strict}: {name}", why,
                   time.monotonic() - begin)
            begin = time.monotonic()
        if broken:
            h.sweep()


# ---- what can be reached, and when ----

def memory():
    """MiB of guest ds."""
    return arch.now.memory(arch.now.usual.get("memory", 0))


def two_disks(h):
    """Guest ds: a dynamic disk, and a static one with the smallest pool that
    there can be. Made when it is not there."""
    if "ds" in h.domains():
        return
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb"), memory=128))
    start(h, "ds", [dynamic(serial="one"),
                    device(id="disk1", target="/dev/xvdc", serial="two",
                           size="2M")])


def lazy(h):
    """Guest da: a dynamic disk, its IOMMU lazy. Made when it is not there."""
    if "da" in h.domains():
        return
    h.put("b1.cfg", driver_cfg("b1"))
    start(h, "da", [dynamic()], strict=0)


@group.check("a dynamic and a static disk side by side", 200)
def side_by_side(h):
    two_disks(h)
    found = told(h, "ds", "/dev/vda", "/dev/vdb")
    require(found["one"][0] != "none" and found["two"][0] == "none", f"{found}")
    out = h.gx_ok("ds", "for d in /dev/vda /dev/vdb; do "
                  "ioload -f $d -m verify -q 4 -t 1 -s 4; "
                  "ioload -f $d -m read -b 1310720 -q 8 -t 1 -s 40; done", 120)
    require(out.count('"errors":0,') == 4, out)
    audit(h, "ds")


@group.check("dynamic: a hostile backend reads what shares a small buffer's page",
             200)
def exposed(h):
    two_disks(h)
    return judge(look(h, "ds", "one", memory()), True)


@group.check("static: of that page it reads the buffer alone", 200)
def kept(h):
    two_disks(h)
    note = judge(look(h, "ds", "two", memory()), False)
    stop(h, "ds")
    return note


def sample(h, name, disks, dev):
    """Audits of a guest while it writes to these disks of it; of dynamic
    device DEV more than the rings has to be seen."""
    load = " ".join(
        f"(while [ ! -e /tmp/stop ]; do ioload -f {d} -m randwrite -b 16384 "
        "-q 16 -t 300 -s 32; done) >>/tmp/io 2>&1 </dev/null &" for d in disks)
    h.gx_ok(name, f"rm -f /tmp/stop /tmp/io; {load} sleep 1")
    samples = arch.now.samples
    r = h.sh(f"sh /host/bin/sample-audits.sh {name} {dev} {samples}", 350)
    ok, most = (int(v) for v in r.out.split()[-2:])
    require(ok == samples, f"{samples - ok} of {samples} were wrong: "
            f"{r.text[-500:]}")
    require(most > 8, f"no sample saw more than {most} pages mapped")
    io = h.gx_ok(name, "touch /tmp/stop; killall ioload; "
                 "while pidof ioload >/dev/null; do sleep 0.2; done; "
                 "cat /tmp/io", 60)
    require(io.count('"errors":0,') >= len(disks) and
            not re.search(r'"errors":[1-9]', io), io)
    return f"{ok} samples, up to {most} pages mapped"


@group.check("audit: at many instants just what is mapped can be reached", 400)
def sampled(h):
    lazy(h)
    return sample(h, "da", ["/dev/vda"], "disk0")


@group.check("audit finds an entry that the guest never mapped", 150)
def planted(h):
    lazy(h)
    g, b = h.domid("da"), h.domid("da-b1")
    free = h.show("da")["devices"][0]["gref_base"]
    audit(h, "da", "--pause")
    h.ok(f"plant add {g} {b} {free} 0x40100")
    try:
        r = h.sh("vrctl audit --pause da")
    finally:
        h.ok(f"plant del {g} {b} {free} 0")
    require(r.rc == 1 and "EXCESS" in r.out, f"[{r.rc}] {r.text[-400:]}")
    audit(h, "da", "--pause")


@group.check("Xen lets the driver domain reach what is mapped, no more", 150)
def reachable(h):
    lazy(h)
    dev = h.show("da")["devices"][0]
    out = h.gx_ok("da-b1", f"hold count {h.domid('da')} {dev['gref_base']} "
                  f"{dev['gref_count']}", 60)
    allowed = int(out.split()[0])
    mapped = iommu(h, "da")["endpoints"][0]["pages"]
    require(allowed == mapped and mapped < 16,
            f"{out.strip()} references work, {mapped} pages are mapped")
    return f"{out.strip()} references: those of the rings"


def refuse_maps(h, name, number, disk):
    """What a guest and the operator learn when all MAPs of dynamic device
    NUMBER are refused, but those of its rings, which are there already."""
    g = h.domid(name)
    dev = h.show(name)["devices"][number]
    before = iommu(h, name)["counters"]
    # Foreign entries where the guest's next mappings go: all but the rings.
    # Not even the answer of a request can be written then.
    h.ok(f"plant fill {g} 0 {dev['gref_base']} 0x40100 {dev['gref_count']}")
    h.gx_ok(name, f"ioload -f {disk} -m randread -q 1 -t 1 -s 4 >/tmp/io 2>&1 "
            "</dev/null & sleep 2")
    h.wait("the device says that it failed",
           lambda: h.show(name)["devices"][number]["failed"], 20)
    out = h.gx_ok(name, "dmesg | tail -n 30; cat /tmp/io")
    require("ios" not in out, f"a request was answered: {out[-300:]}")
    require(re.search(r"iommu.*(fault|unhandled)", out, re.I),
            f"no fault event: {out[-600:]}")
    c = iommu(h, name)["counters"]
    require(c["refused"] > before["refused"] and
            c["faults_sent"] > before["faults_sent"], f"{c}")
    shown = h.show(name)["devices"][number]
    low, high = dev["window_base"], dev["window_base"] + dev["window_size"]
    count = shown["counters"]
    require(count["backend_faults"] > 0 and
            low <= count["backend_fault_address"] < high, f"{count}")
    h.wait("xenstore says why", lambda: "overwritten" in h.ok(
        f"xenstore-read /libxl/{g}/virtio_restricted/{dev['id']}/error"), 15)
    return (f"{c['refused'] - before['refused']} refused, "
            f"{c['faults_sent'] - before['faults_sent']} fault events")


@group.check("refused MAPs: no made-up result, guest and operator know", 200)
def refused(h):
    lazy(h)
    note = refuse_maps(h, "da", 0, "/dev/vda")
    stop(h, "da")
    return note


# ---- a small window ----

def under_pressure(h, name, dev):
    """Large requests at depth 16 with the device's aperture, which is small,
    all come to an end; with a strict IOMMU, and with a lazy one."""
    seen = []
    for strict in (1, 0):
        start(h, name, [dev], strict=strict, memory=160)
        load = "ioload -f /dev/vda -b 1048576 -q 8 -t 0.1 -s 64"
        out = h.gx_ok(name, f"{load} -m write > /tmp/w & "
                      f"{load} -m read > /tmp/r; wait; cat /tmp/w /tmp/r", 290)
        require(out.count('"errors":0,') == 2, out)
        require(all(int(n) >= 8 for n in re.findall(r'"ios":(\d+)', out)), out)
        seen.append(iommu(h, name)["endpoints"][0]["pages_max"])
        audit(h, name)
        stop(h, name)
    return f"at the most {seen[0]} (strict) and {seen[1]} (lazy)"


@group.check("the smallest aperture under the heaviest load", 700)
def pressure(h):
    h.put("b1.cfg", driver_cfg("b1"))
    return under_pressure(h, "dp", dynamic(aperture="1028K")) + " of 257 pages"
