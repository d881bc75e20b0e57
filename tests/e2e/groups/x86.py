# SPDX-License-Identifier: LGPL-2.1-or-later
"""The x86 host: Debian's own hypervisor, tools, QEMU and kernel."""

import json

from groups import preflight
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

group = Group("x86", arches=("x86",), sweep=True)


@group.check("vrctl check says what this host lacks")
def findings(h):
    found = json.loads(h.sh("vrctl check --json").out)
    require(found, "no findings")
    bad = [line.strip() for line in h.sh("vrctl check").out.splitlines()
           if "FAIL" in line]
    return "; ".join(bad) or "nothing"


group.check("vrctl list and show without any guest")(preflight.empty)


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


@group.check("a restricted guest is refused before anything is made")
def refused(h):
    h.put("b1.cfg", driver_cfg("b1"))
    cfg = h.put("g1.cfg", guest_cfg("g1", [device()]))
    r = h.sh(f"xl create {cfg}")
    line = next((l for l in r.text.splitlines() if "virtio_restricted" in l),
                "")
    require(r.rc != 0 and "x86" in line, f"[{r.rc}] {r.text[-300:]}")
    require(not h.domains(), "a domain exists")
    return line.strip()[:200]
