# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with a kernel that is newer than what Debian's release has: from
6.18 on virtio drivers map memory by operations of their own, in whose place the
guest module puts its own. All modes, with doorbells."""

import os
import re
import shutil

from vre2e import arch, build
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from ..dynamic import audit
from ..module import DEVICES, DRIVER, MODULE, STATS

G, B = "nw", "nw-b1"
NAMES = ("static", "dynamic", "mixed")
PARAMETER = "/sys/module/virtio_restricted/parameters/threshold"
DISKS = ("for d in /sys/block/vd?; do echo $(cat $d/serial)=/dev/${d##*/}; "
         "done > /tmp/disks; . /tmp/disks; ")


def image(share):
    """The kernel and a guest's initramfs for it."""
    img = os.path.join(share, "img")
    build.guest_image(os.path.join(img, "newer.cpio"),
                      build.debian_modules(arch.OURS, "virtio-iommu",
                                           *arch.DISK, part="modules-newer",
                                           kernel="arm64-7"))
    shutil.copy(build.host_path("kernel-newer"),
                os.path.join(img, "vmlinuz-newer"))


group = Group("operations/newer", arches=("arm64",), build=image)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb", "/dev/vdc"),
                               memory=144))
    text = guest_cfg(G, [
        device(serial="static"),
        dynamic(id="disk1", target="/dev/xvdc", serial="dynamic"),
        mixed(id="disk2", target="/dev/xvdd", serial="mixed")],
        memory=288, kernel="vmlinuz-newer", ramdisk="newer.cpio")
    r = h.create(h.put(f"{G}.cfg", text), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, DISKS, up=200)
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def verify(h, name, args="-b 4096 -q 32"):
    """A load that reads back what it wrote."""
    out = h.gx_ok(G, f". /tmp/disks; ioload -f ${name} -m verify {args} "
                  "-t 0.5 -s 1", 60)
    require('"errors":0,' in out and '"mismatches":0' in out, f"{name}: {out}")


@group.check("its disks work, by doorbells", 200)
def works(h, _made):
    version = h.gx_ok(G, "uname -r").strip()
    require(int(version.split(".")[0]) >= 7, version)
    for name in NAMES:
        verify(h, name)
        verify(h, name, "-b 65536 -q 8")
    for dev in h.show(G)["devices"]:
        require([r["bell"] for r in dev["rings"] if r["enabled"]] ==
                ["direct"], f"{dev['rings']}")
    audit(h, G)
    return version


@group.check("what is long is mapped where it is", 120)
def mapped(h, _made):
    h.gx_ok(G, f"echo 65536 > {PARAMETER}")
    verify(h, "mixed", "-b 262144 -q 4")
    out = h.gx_ok(G, f"grep -rhE '^mapped ' {STATS}/")
    require(any(int(n) for n in re.findall(r"mapped (\d+)", out)), out)
    audit(h, G)


@group.check("unbound and bound again; the module goes and comes", 200)
def again(h, _made):
    h.gx_ok(G, f"cd {DRIVER}; "
            f"n=$(ls -d {DEVICES}); for d in $n; do echo $d > unbind || exit 1; "
            "done; rmmod virtio_restricted && insmod "
            f"{MODULE} || exit 2; "
            "for d in $n; do echo $d > bind || exit 3; done; " + DISKS, 100)
    for name in NAMES:
        verify(h, name)
    audit(h, G)


@group.check("no warning in its log; all goes")
def quiet(h, _made):
    log = h.guest_log(G)
    require(not re.search(r"WARNING:|BUG:|Call trace", log),
            "the console has a warning")
    h.ok(f"xl destroy {G}", 90)
    h.leftovers(30)
