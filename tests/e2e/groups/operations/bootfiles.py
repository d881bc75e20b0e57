# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's kernel and initrd on their way to dom0, over a disk that dom0's own
block backend serves. tests/bootfiles.sh has what a guest can do wrong."""

import base64
import os

from vre2e.build import ROOT
from vre2e.host import guest_cfg
from vre2e.report import Group, require

# The image of the x86 guest has no driver of ordinary disks.
group = Group("operations/bootfiles", sweep=True, arches=("arm64",))

DIR = "/var/bootfiles"
HOOK = os.path.join(ROOT, "tools/bootfiles/vr-bootfiles-hook")


def hand_out(h, version):
    """New files in the guest, handed out; their sums, initrd first."""
    h.gx_ok("bf", f"for f in initrd.img vmlinuz; do head -c 1{version}00001 "
            f"/dev/urandom > /boot/$f-{version}; done; sh /tmp/hook")
    return [l.split()[0] for l in h.gx_ok(
        "bf", f"cd /boot; sha256sum initrd.img-{version} vmlinuz-{version}"
    ).splitlines()]


def taken(h, link="current"):
    """Sums of what dom0 has, in the same order."""
    return [l.split()[0] for l in h.ok(
        f"cd {DIR}/boot/{link}; sha256sum initrd vmlinuz").splitlines()]


@group.check("a kernel handed out by the hook is what dom0 takes, and so is the "
             "next one", 120)
def handed(h):
    h.ok(f"rm -rf {DIR}; mkdir -p {DIR}/boot; "
         f"vr-bootfiles --init {DIR}/disk 8M")
    cfg = h.put("bf.cfg", guest_cfg("bf", None, lines=
                                    f'disk = [ "{DIR}/disk,raw,xvdz,rw" ]'))
    r = h.create(cfg)
    require(r.rc == 0, f"xl create: {r.text[-400:]}")
    with open(HOOK, "rb") as file:
        text = base64.b64encode(file.read()).decode()
    h.gx_ok("bf", f"mkdir -p /boot; echo {text} | base64 -d > /tmp/hook")
    # dom0 has read the disk before: it must not see old pages of it.
    h.ok(f"vr-bootfiles {DIR}/disk {DIR}/boot")
    first = hand_out(h, 1)
    h.ok(f"vr-bootfiles {DIR}/disk {DIR}/boot")
    require(taken(h) == first, f"{taken(h)} instead of {first}")
    second = hand_out(h, 2)
    h.ok(f"vr-bootfiles {DIR}/disk {DIR}/boot")
    require(taken(h) == second and taken(h, "previous") == first,
            f"{taken(h)} instead of {second}")
    h.end("bf")
    h.ok(f"rm -r {DIR}")
