# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest ends in each way that Linux has, with mounted disks of all modes
that are written to until the very end: it always ends, and what was written
back is there. Its IOMMU is lazy, as Linux has it by default."""

import os

from vre2e import arch, build
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

G, B = "en", "en-b1"
SEED = 71
IMAGE = "ends.cpio"
KERNEL = {"arm64": "small", "x86": "debian-x86"}  # whose modules the guest takes


def image(share):
    """The usual guest with a module and, where its kernel can, with another
    kernel to start in its place."""
    later = [build.guest_module("tests/guest-module/late-unmap",
                                KERNEL[arch.now.name])]
    if arch.now.name == "x86":
        later += [build.host_path("kernel-debian"),
                  os.path.join(build.OUT, "bin", "kexec")]
    build.guest_image(os.path.join(share, "img", IMAGE),
                      build.debian_modules(*arch.now.images["guest"]), later)


group = Group("operations/ends", sweep=True, build=image)

MOUNT = ("for d in /sys/block/vd?; do m=/m/$(cat $d/serial); mkdir -p $m && "
         "mount -t ext4 /dev/${d##*/} $m || exit 1; done; ls /m; ")
LOAD = ("for m in /m/*; do "
        "(while :; do dd if=/dev/zero of=$m/f bs=4k count=50 conv=fsync; done) "
        "</dev/null >/dev/null 2>&1 & done; sleep 1; ")


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb", "/dev/vdc"),
                               memory=128))
    h.put("b2.cfg", driver_cfg("b2"))
    h.put("la.cfg", guest_cfg("la", [dynamic(driver="/host/cfg/b2.cfg")],
                              ramdisk=IMAGE, extra="iommu.strict=0",
                              **arch.now.usual))
    h.put("en.cfg", guest_cfg(
        G, [device(serial="static"),
            dynamic(id="disk1", target="/dev/xvdc", serial="dynamic"),
            mixed(id="disk2", target="/dev/xvdd", serial="mixed")],
        memory=160, ramdisk=IMAGE, extra="iommu.strict=0"))
    return {}


def create(h):
    """A new guest with new disks and the data that has to stay."""
    r = h.create("/host/cfg/en.cfg")
    require(r.rc == 0, f"xl create: {r.text[-400:]}")
    h.gx_ok(G, "for d in /sys/block/vd?; do mkfs.ext4 -q -F /dev/${d##*/} || "
            "exit 1; done; " + MOUNT +
            f"for m in /m/*; do pattern write $m/data 1 {SEED} || exit 1; "
            "done; sync", 200, up=150)


def loaded(h, how):
    """The guest writes to all of its disks, and then ends by this command."""
    h.gx(G, LOAD + f"(sleep 0.5; {how}) </dev/null >/dev/null 2>&1 &", 60)


def again(h, how):
    """It comes again, as another domain, with its data."""
    old = h.domid(G)
    loaded(h, how)
    h.wait_again(G, old)
    out = h.gx_ok(G, MOUNT + "for m in /m/*; do "
                  f"pattern check $m/data 1 {SEED} || exit 1; done", 120,
                  up=150)
    require(all(mode in out for mode in ("static", "dynamic", "mixed")), out)


@group.check("memory unmapped right before the disk is shut down", 200)
def late(h, _made):
    """Linux's IOMMU driver has not flushed that when it is shut down itself,
    unless the disk's reset leaves it the time: it would never end. (On a slow
    machine everything leaves it the time.)"""
    r = h.create("/host/cfg/la.cfg")
    require(r.rc == 0, f"xl create: {r.text[-400:]}")
    h.gx_ok("la", "cat /sys/kernel/iommu_groups/*/type | grep DMA-FQ && "
            "insmod /modules/late-unmap.ko.later && "
            "(sleep 0.5; busybox poweroff -f) </dev/null >/dev/null 2>&1 &",
            60, up=150)
    h.wait_gone("la", "la-b2", seconds=30)
    require("late-unmap: unmapped" in h.guest_log("la"), "nothing was unmapped")
    h.leftovers(15)


@group.check("reboot at once", 500)
def reboots(h, _made):
    create(h)
    again(h, "busybox reboot -nf")


@group.check("reboot by the emergency key", 200, arches=("arm64",))
def emergency(h, _made):
    again(h, "echo b > /proc/sysrq-trigger")


@group.check("kexec: starts anew, as a reboot", 200, arches=("x86",))
def kexec(h, _made):
    """Its queues have event channels of the guest's, which the soft reset would
    take away behind the driver's back."""
    for dev in h.show(G)["devices"]:
        require([r["bell"] for r in dev["rings"] if r["enabled"]] ==
                ["direct"], f"{dev['rings']}")
    again(h, "chmod +x /modules/kexec.later; "
          "/modules/kexec.later /modules/vmlinuz.later")
    log = h.ok(f"cat /var/log/xen/xl-{G}.log*")
    require("reason code 5" in log, f"not a soft reset: {log[-400:]}")


@group.check("power off at once: all ends", 60)
def poweroff(h, _made):
    loaded(h, "busybox poweroff -nf")
    h.wait_gone(G, B, seconds=30)
    h.leftovers(15)


@group.check("halt: Linux stands still, xl destroy ends it", 200)
def halt(h, _made):
    create(h)
    loaded(h, "busybox halt -nf")
    h.wait("Linux says that it is halted",
           lambda: "System halted" in h.guest_log(G).rpartition(
               "init done")[2], 30)
    h.end(G, B)
