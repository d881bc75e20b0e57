# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's kernel that checks its drivers (DMA-API debugging, KASAN, lockdep):
the guest module, and the drivers above it, give it nothing to report."""

import re

from vre2e import build
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

G, B = "gd", "gd-b1"
# By the devices' serial numbers: static, mixed, dynamic.
SEED = {"pool": 91, "both": 92, "iommu": 93}
STATS = "/sys/kernel/debug/virtio_restricted"
MMIO = "/sys/bus/platform/drivers/virtio-mmio"
DMA = "/sys/kernel/debug/dma-api"
# What checks print, unlike what they say when they are switched on.
REPORT = r"WARNING: |BUG: |INFO: |Call trace:|DMA-API: [^ ]+ [^ ]+: "

group = Group("debug", build=build.debug_guest)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb", "/dev/vdc"),
                               memory=128))
    # How long a processor takes says nothing where it is emulated.
    text = guest_cfg(G, [
        device(serial="pool"),
        device(id="disk1", target="/dev/xvdc", serial="both", mode="mixed",
               aperture="16M"),
        dynamic(id="disk2", target="/dev/xvdd", serial="iommu"),
    ], memory=320, kernel="Image-debug", ramdisk="debug.cpio",
                     extra="rcupdate.rcu_cpu_stall_suppress=1")
    r = h.create(h.put("gd.cfg", text.replace("vcpus = 1", "vcpus = 2")), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=200)
    return {}


@group.on_teardown
def teardown(h):
    if h.sh(f"xl domid {G}").rc == 0:
        h.sh(f"xl destroy {G}", 60)
    h.wait_gone(G, B, seconds=20)


def disks(h):
    """The names of the disks, by their serial numbers."""
    out = h.gx_ok(G, "cd /sys/block; for d in vd*; do "
                  "echo $d $(cat $d/serial); done")
    found = {serial: name for name, serial in
             (line.split() for line in out.splitlines())}
    require(set(found) == set(SEED), f"disks: {out}")
    return found


def restricted(h):
    """What the module restricts: the devices' names and pools, by their ids."""
    ids = {d["window_base"]: d["id"] for d in h.show(G)["devices"]}
    out = h.gx_ok(G, f"cd {STATS}; for d in *; do echo $d "
                  "$(sed -n 's/^base //p;s/^size //p' $d); done")
    found = {}
    for name, base, size in (line.split() for line in out.splitlines()):
        found[ids[int(base, 0)]] = (name, base, size)
    require(set(found) == {"disk0", "disk1"}, out)
    return found


def no_report(h):
    """Nothing was reported, and the checks have not given up."""
    out = h.gx_ok(G, f"dmesg | grep -E -A6 '{REPORT}' | head -n 30; "
                  f"cat {DMA}/error_count {DMA}/disabled; "
                  "grep debug_locks /proc/lockdep_stats")
    require(re.fullmatch(r"0\nN\n *debug_locks: *1\n", out), out[-1500:])


def make(h, *serials):
    """File systems with data in them."""
    for serial, disk in disks(h).items():
        if serial in serials:
            h.gx_ok(G, f"mkfs.ext4 -q -F -b 4096 /dev/{disk} 16M && "
                    f"mount -t ext4 /dev/{disk} /mnt && "
                    f"pattern write /mnt/data 2 {SEED[serial]} && sync && "
                    "umount /mnt", 90)


def data_right(h):
    for serial, disk in disks(h).items():
        h.gx_ok(G, f"mount -t ext4 /dev/{disk} /mnt && "
                "echo 3 > /proc/sys/vm/drop_caches && "
                f"pattern check /mnt/data 2 {SEED[serial]} && umount /mnt", 60)


@group.check("each check is at work; the disks are there", 60)
def at_work(h, _made):
    out = h.gx_ok(G, "dmesg | grep -iE 'kasan|DMA-API|restricted'")
    require("KernelAddressSanitizer initialized" in out and
            "debugging enabled" in out, out)
    require("created restricted DMA pool" not in out and
            out.count("restricted to its pool") == 2, out)
    for name, _, _ in restricted(h).values():
        h.gx_ok(G, f"grep -q ' {name} ' {DMA}/dump")  # its rings
    disks(h)
    no_report(h)


@group.check("random writes of all disks at once, ext4, read back", 240)
def data(h, _made):
    names = disks(h)
    out = h.gx_ok(G, " & ".join(
        f"ioload -f /dev/{d} -m verify -q 16 -b {b} -t 1 -s 2"
        for d, b in zip(names.values(), (4096, 131072, 8192))) + "; wait", 100)
    require(out.count('"errors":0,') == len(names) and
            out.count('"mismatches":0') == len(names), out)
    make(h, *SEED)
    data_right(h)
    no_report(h)
    r = h.sh(f"vrctl audit {G}")
    require(r.rc == 0, f"audit: {r.text[-400:]}")


@group.check("every DMA operation, on all processors at once", 150)
def operations(h, _made):
    for dev, (name, base, size) in restricted(h).items():
        mixed = ("mixed=$(cat /sys/module/virtio_restricted/parameters/"
                 "threshold)" if dev == "disk1" else "")
        # Ends with an error when one of them fails.
        out = h.gx_ok(G, "dmesg -c >/dev/null; insmod "
                      f"/modules/dma-check.ko.later device={name} base={base} "
                      f"size={size} {mixed} && rmmod dma_check; "
                      "dmesg | grep 'dma-check: '", 70)
        require(out.count("dma-check: ok") >= 7 and "FAILED" not in out, out)
        no_report(h)


@group.check("under I/O: not unloaded; unbound; unloaded; loaded, bound", 150)
def under_load(h, _made):
    names = [name for name, _, _ in restricted(h).values()]
    loads = " ".join(
        f"ioload -f /dev/{disk} -m randwrite -q 16 -b 65536 -t 6 -s 2 -w 5 "
        ">/dev/null 2>&1 &"
        for serial, disk in disks(h).items() if serial != "iommu")
    out = h.gx_ok(G, f"{loads} sleep 2; "
                  "rmmod virtio_restricted 2>/dev/null && exit 3; "
                  f"for d in {' '.join(names)}; do "
                  f"echo $d > {MMIO}/unbind || exit 4; "
                  f"grep \" $d \" {DMA}/dump; done; ls {STATS}; wait; "
                  "rmmod virtio_restricted || exit 5; "
                  "insmod /modules/*-virtio_restricted.ko || exit 6; "
                  f"for d in {' '.join(names)}; do "
                  f"echo $d > {MMIO}/bind || exit 7; done", 60)
    require(not out.strip(), f"mapped when unbound: {out}")
    no_report(h)
    make(h, "pool", "both")
    data_right(h)
    no_report(h)


@group.check("reboot under I/O: no report until its end, nor afterwards", 240)
def reboot(h, _made):
    old = h.domid(G)
    loads = " ".join(
        f"ioload -f /dev/{disk} -m randread -q 16 -b 65536 -t 60 -s 2 "
        "</dev/null >/dev/null 2>&1 &" for disk in disks(h).values())
    h.gx(G, f"{loads} (sleep 1; /sbin/reboot) </dev/null >/dev/null 2>&1 &")

    def again():
        r = h.sh(f"xl domid {G}")
        return r.rc == 0 and int(r.out) != old
    h.wait("the guest comes again", again, 90, 0.5)
    log = h.guest_log(G)
    require("Restarting system" in log and not re.search(REPORT, log),
            log[-1500:])
    h.gx_ok(G, "true", up=200)
    data_right(h)
    no_report(h)


@group.check("what is wrong on purpose is reported by each check", 60)
def reported(h, _made):
    h.gx_ok(G, "insmod /modules/misuse.ko.later "
            f"device={restricted(h)['disk0'][0]}; rmmod misuse")
    out = h.gx_ok(G, "dmesg | grep -E 'DMA-API: .*:|unmapped what|BUG: |"
                  f"possible '; cat {DMA}/error_count; "
                  "grep debug_locks /proc/lockdep_stats")
    for want in ("DMA-API: .*free.* DMA memory it has not allocated",
                 "unmapped what was not mapped",
                 "BUG: KASAN: slab-out-of-bounds in ",
                 "BUG: sleeping function called from invalid context",
                 "possible circular locking dependency detected",
                 r"^1$", "debug_locks: *0"):
        require(re.search(want, out, re.M), f"no \"{want}\": {out[-1500:]}")
