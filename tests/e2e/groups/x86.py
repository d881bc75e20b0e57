# SPDX-License-Identifier: LGPL-2.1-or-later
"""What only the x86 host has: HVM guests, ACPI, PV driver domains. What both
hosts have is in the other groups."""

import json

from vre2e.host import driver_cfg, guest_cfg
from vre2e.report import Group, require

group = Group("x86", arches=("x86",), sweep=True)


@group.check("vrctl check finds what x86 needs, and nothing amiss")
def findings(h):
    found = json.loads(h.ok("vrctl check --json"))["findings"]
    said = {f["what"]: f["value"] for f in found}
    require(said.get("HVM guests") == "can be run" and
            "ioreq servers" not in said, f"{said}")
    return "; ".join(f"{f['what']}: {f['value']}" for f in found
                     if f["level"] != "ok") or "no warning"


@group.check("a plain HVM guest through the launcher", 120)
def hvm(h):
    cfg = h.put("plain.cfg", guest_cfg("plain", None))
    r = h.create(cfg)
    require(r.rc == 0, r.text[-300:])
    out = h.gx_ok("plain", "cat /sys/hypervisor/guest_type; lsmod; "
                  "ls /sys/firmware/acpi/tables; cut -d' ' -f1 /proc/uptime")
    for word in ("HVM", "virtio_mmio", "virtio_iommu", "virtio_blk", "ext4",
                 "DSDT"):
        require(word in out, f"no {word}: {out}")
    require("VIOT" not in out, f"tables of ours: {out}")
    h.ok("xl destroy plain")
    h.wait_gone("plain")
    return f"in user space for {out.split()[-1]} s after its kernel's start"


@group.check("a driver domain, its disk and its backend", 120)
def driver(h):
    cfg = h.put("b1.cfg", driver_cfg("b1", disks=("/dev/vda", "/dev/vdb")))
    r = h.create(cfg)
    require(r.rc == 0, r.text[-300:])
    out = h.gx_ok("b1", "cat /sys/hypervisor/guest_type; ps; ls -l /dev/xen; "
                  "dd if=/dev/zero of=/dev/xvdb bs=4096 count=64 oflag=direct"
                  " 2>&1 && cat /sys/block/xvdc/size")
    for word in ("vr-backend", "gntdev", "evtchn", "xenbus", "327680"):
        require(word in out, f"no {word}: {out}")
    h.ok("xl shutdown -w b1", 40)
    h.wait_gone("b1")
