# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is behind the disks: it comes late, grows, shrinks, is full, and loses
what it was given. One guest has a disk of each mode from each of two driver
domains: one does direct I/O, the other goes through its page cache."""

import time

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

MIB = 1 << 20
SECTORS = MIB // 512
# Disks: serial number, and what is in its driver domain (see target()).
DIRECT = {"a": "loop", "b": "file", "c": "loop"}
CACHED = ("d", "e", "f")
RO = "r"

group = Group("operations/storage", sweep=True)


def shell(h, domain, command, seconds=30):
    """A command in a domain; its output without the last line's end."""
    return h.gx_ok(domain, command, seconds).strip()


def resize(h, disk, size):
    """Another size for a target of b1's, in bytes."""
    shell(h, "b1", f"filedisk size {disk} {size}")


def names(h):
    """The guest's names of its disks, by serial number."""
    out = shell(h, "sg", "for d in /sys/block/vd*; do "
                "echo $(cat $d/serial) ${d##*/}; done")
    return dict(line.split() for line in out.splitlines())


def shown(h, disk):
    """A disk as vrctl shows it."""
    return next(d for d in h.show("sg")["devices"] if d["id"] == disk)


def sectors(h, name):
    """A disk's size as the guest sees it."""
    return int(shell(h, "sg", f"cat /sys/block/{name}/size"))


def enlarge(h, made, disks, rest=0):
    """Disks of 20 MiB, and rest bytes that make no block."""
    for disk in disks:
        resize(h, disk, 20 * MIB + rest)
    h.wait("the disks grow in the guest", lambda: all(
        sectors(h, made[disk]) == 20 * SECTORS for disk in disks), 30, 1)


def reads(h, name, mib):
    """Whether the guest can read there."""
    return h.gx("sg", f"dd if=/dev/{name} of=/dev/null bs=64k count=1 "
                f"skip={mib * 16} iflag=direct 2>/dev/null").rc == 0


@group.on_setup
def setup(h):
    made = {}
    fresh(h, made)
    return made


def fresh(h, made):
    """Both driver domains and the guest, made when they are not there. Fills
    in the guest's names of its disks."""
    if {"sg", "b1", "b2"} <= set(h.domains()):
        return
    h.sweep()
    for name, extra in (("b1", ""), ("b2", "vr.opts=-c,buffered")):
        r = h.create(h.put(f"{name}.cfg", driver_cfg(name, (), extra,
                                                     memory=128)))
        require(r.rc == 0, f"xl create {name}: {r.text[-400:]}")
    steps = [f"filedisk make {disk} {kind} {16 * MIB} 24m"
             for disk, kind in DIRECT.items()]
    steps.append(f"filedisk make {RO} file {8 * MIB + 100} 16m")
    shell(h, "b1", " && ".join(steps))
    shell(h, "b2", " && ".join(f"baddisk {disk}" for disk in CACHED))
    kinds = ((device, {"size": "4M"}), (dynamic, {"aperture": "8M"}),
             (mixed, {"size": "4M", "aperture": "8M"}))
    devices = [kind(id=disk, serial=disk, driver=None, backend=backend,
                    target=f"/t/{disk}", **keys)
               for backend, disks in (("b1", DIRECT), ("b2", CACHED))
               for disk, (kind, keys) in zip(disks, kinds)]
    devices.append(device(id=RO, serial=RO, driver=None, backend="b1",
                          target=f"/t/{RO}", access="ro", size="4M"))
    usual = {**arch.now.usual, "memory": 176}
    r = h.create(h.put("sg.cfg", guest_cfg("sg", devices, **usual)))
    require(r.rc == 0, f"xl create: {r.text[-400:]}")
    h.gx_ok("sg", "true", 30, 200)  # many disks take a while to probe
    found = h.wait("all disks are there",
                   lambda: (n := names(h)) and len(n) == 7 and n, 60)
    shell(h, "sg", "dd if=/dev/urandom of=/tmp/p bs=64k count=1 2>/dev/null")
    made.clear()
    made.update(found)


@group.on_teardown
def teardown(h):
    h.sh("for d in sg b1 b2; do xl destroy $d; done", 90)
    h.wait_gone("sg", "b1", "b2", seconds=20)


@group.check("a target that is late: timeout= counts", 150)
def late(h, made):
    fresh(h, made)
    shell(h, "b1", "mkdir -p /late && : > /late/disk && chown -R vr:vr /late "
          f"&& (sleep 18; truncate -s {MIB} /late/disk) "
          "</dev/null >/dev/null 2>&1 &")
    cfg = h.put("late.cfg", guest_cfg("late", [
        device(driver=None, backend="b1", target="/late/disk",
               timeout=f"{60 * arch.now.patience:.0f}")]))
    begin = time.monotonic()
    r = h.create(cfg, 110)
    spent = time.monotonic() - begin
    require(r.rc == 0, f"xl create: {r.text[-400:]}")
    h.ok("xl destroy late", 60)
    return f"created after {spent:.0f} s"


@group.check("each device's own timeout=, and the reason", 120)
def too_late(h, made):
    fresh(h, made)
    seconds = f"{20 * arch.now.patience:.0f}"
    cfg = h.put("never.cfg", guest_cfg("never", [
        device(driver=None, backend="b1", target="/late/disk", timeout="999"),
        device(id="disk1", driver=None, backend="b1", target="/never/disk",
               timeout=seconds)]))
    r = h.create(cfg, 100)
    require(r.rc != 0, "xl create succeeded")
    require("disk1" in r.text and f"within {seconds} s" in r.text and
            "/never/disk" in r.text, f"xl says: {r.text[-400:]}")


@group.check("sizes are shown, what is cut off as well", 60)
def sizes(h, made):
    fresh(h, made)
    dev = shown(h, RO)
    require(dev["capacity_sectors"] == 8 * SECTORS and
            dev["block_size"] == 512 and
            dev["target_size"] == 8 * MIB + 100, str(dev)[:400])
    text = h.ok("vrctl show sg")
    require("16384 sectors (8M), in blocks of 512 bytes" in text and
            "the last 100 are cut off" in text, text[:2000])
    require(sectors(h, made[RO]) == 8 * SECTORS, "another size in the guest")
    for disk in DIRECT:
        io = shown(h, disk)["target_io"]
        require(io == "direct", f"{disk}: {io}")
    for disk in CACHED:
        io = shown(h, disk)["target_io"]
        require(io == "page cache", f"{disk}: {io}")


@group.check("targets grow: the guest notices, in all modes, ro as well", 120)
def grows(h, made):
    fresh(h, made)
    enlarge(h, made, (*DIRECT, RO), 300)
    for disk in (*DIRECT, RO):
        require(shown(h, disk)["counters"]["config_changes"] == 1,
                f"{disk}: changes")
        require(reads(h, made[disk], 19), f"{disk}: no I/O at the new end")
    for disk in DIRECT:
        require(write(h, made[disk], 319, 1) == 1, f"{disk}: no write there")
    log = shell(h, "sg", "dmesg")
    require(log.count("new size") == 4, "the guest's kernel says: " + "; ".join(
        l for l in log.splitlines() if "new size" in l))


@group.check("targets shrink: the disk stays, errors beyond the end", 180)
def shrinks(h, made):
    fresh(h, made)
    enlarge(h, made, DIRECT)
    b1, g = h.domid("b1"), h.domid("sg")

    def cut(disk):
        dev = shown(h, disk)
        return dev["target_size"] == 8 * MIB and dev

    def expect():
        for disk in DIRECT:
            dev = h.wait(f"{disk} has shrunk", lambda d=disk: cut(d), 20, 1)
            require("grow again" in dev["backend_error"], str(dev)[:400])
            require(dev["capacity_sectors"] == 20 * SECTORS and
                    sectors(h, made[disk]) == 20 * SECTORS,
                    f"{disk}: another size in the guest")
            require(not reads(h, made[disk], 16), f"{disk}: reads the void")
            require(not write(h, made[disk], 256, 1),
                    f"{disk}: writes into the void")
            require(reads(h, made[disk], 7), f"{disk}: nothing can be read")

    for disk in DIRECT:
        resize(h, disk, 8 * MIB)
    expect()
    text = h.ok(f"xenstore-read /local/domain/{b1}/backend/virtio_restricted/"
                f"{g}/a/error")
    require("the guest was told of 40960" in text, text)
    require("it has shrunk" in h.ok("vrctl show sg a"), "not shown")
    # Another process finds the target as it is.
    shell(h, "b1", "killall -9 vr-worker")
    for disk in DIRECT:
        h.wait(f"{disk} is served again",
               lambda d=disk: shown(h, d)["counters"]["restarts"] >= 1 and
               reads(h, made[d], 7), 30, 1)
    expect()
    for disk in DIRECT:
        resize(h, disk, 20 * MIB)
    for disk in DIRECT:
        h.wait(f"{disk} is whole again",
               lambda d=disk: not shown(h, d)["backend_error"] and
               reads(h, made[d], 16), 20, 1)


# A page is a mapping of its own for a dynamic disk, which takes its time where
# everything is emulated: few and small pieces.

def write(h, name, first, count):
    """Pieces of 64 KiB, from number first on; how many could be written."""
    return int(shell(h, "sg", f"i=0; while [ $i -lt {count} ] && dd if=/tmp/p "
                     f"of=/dev/{name} bs=64k count=1 seek=$(({first} + i)) "
                     "oflag=direct 2>/dev/null; do i=$((i + 1)); done; echo $i",
                     60))


@group.check("a full target: errors reach the guest, what was answered is "
             "there, in all modes", 180)
def full(h, made):
    fresh(h, made)
    notes = []
    for disk in DIRECT:
        shell(h, "b1", f"u=$(du -k /f/{disk}/disk | cut -f1); "
              f"mount -o remount,size=$((u + 256))k /f/{disk}")
        n = write(h, made[disk], 32, 8)
        require(2 <= n <= 4, f"{disk}: {n} pieces were written")
        got, want = shell(
            h, "sg", f"dd if=/dev/{made[disk]} bs=64k skip=32 count={n} "
            f"iflag=direct 2>/dev/null | md5sum; for i in $(seq {n}); do "
            "cat /tmp/p; done | md5sum", 60).splitlines()
        require(got == want, f"{disk}: {n} pieces are not what was written")
        dev = h.wait("the error is counted", lambda d=disk: (
            v := shown(h, d))["counters"]["target_write_errors"] and v)
        require(dev["target_io"] == "direct", f"{disk}: {dev['target_io']}")
        notes.append(f"{disk}: errno {dev['counters']['target_last_errno']}")
        shell(h, "b1", f"mount -o remount,size=24m /f/{disk}")
        require(write(h, made[disk], 32, 8) == 8, f"{disk}: room, yet an error")
    return ", ".join(notes)


@group.check("bad sectors behind a page cache: the flush fails, and every later "
             "one, in all modes", 120)
def flush(h, made):
    fresh(h, made)
    for disk in CACHED:
        require(write(h, made[disk], 8, 2) == 2, f"{disk}: not cached")
        for again in range(2):
            r = h.gx("sg", f"dd if=/tmp/p of=/dev/{made[disk]} bs=4k count=1 "
                     "oflag=direct conv=fsync 2>&1", 60)
            require(r.rc == 1, f"{disk}: flush {again} succeeded: {r.text}")
        dev = h.wait("the error is counted", lambda d=disk: (
            v := shown(h, d))["counters"]["target_flush_errors"] and v)
        require(dev["flush_lost"], f"{disk}: not shown")
    require("a flush has failed" in h.ok("vrctl show sg d"), "not shown")
