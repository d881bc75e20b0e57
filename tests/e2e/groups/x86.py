# SPDX-License-Identifier: LGPL-2.1-or-later
"""x86: Debian's hypervisor and Debian's kernel in HVM guests. What is checked
is what the other groups check on Arm, by their own functions."""

import re
import time

from groups.dynamic import (audit, data_right, disk_works, rebinds, reboots,
                            reloads, stop)
from groups.input import refusals
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, hvm_cfg
from vre2e.report import Fail, Group, require

group = Group("x86", host=("stock", "dummy"), sweep=True, arch="x86")

D = dynamic()
# Name, devices, changes to the config's text, what the refusal has to say.
ROWS = [
    ("PVH guest", [D], {'type = "hvm"': 'type = "pvh"'}, r"pvh.*hvm"),
    ("PV guest", [D], {'type = "hvm"': 'type = "pv"'}, r"pv.*hvm"),
    ("no ACPI", [D], {"+": "acpi = 0"}, r"acpi=0"),
    ("no APIC", [D], {"+": "apic = 0"}, r"apic=0"),
    ("device tree", [D], {"+": 'device_tree = "/host/cfg/b1.cfg"'},
     r"device_tree=.*Arm"),
    ("grant table of version 2", [D], {"+": "max_grant_version = 2"},
     r"max_grant_version"),
    ("ACPI tables are missing", [D], {"+": 'acpi_firmware = "/host/none"'},
     r"acpi_firmware=/host/none"),
    ("ACPI tables are none", [D],
     {"+": 'acpi_firmware = "/host/cfg/b1.cfg"'},
     r"acpi_firmware=/host/cfg/b1.cfg"),
    ("populated on demand, with a pool", [device()],
     {"+": "maxmem = 512"}, r"memory=.*maxmem="),
    ("base inside RAM", [device(base="0x4000000")], {},
     r"\[0\].*base=0x4000000"),
    ("base in the PCI hole", [device(base="0xfeb00000")], {},
     r"\[0\].*base=0xfeb00000"),
    ("base beyond all addresses", [device(base="0xff000000000")], {},
     r"\[0\].*base=0xff000000000"),
    ("base over the windows of dynamic devices",
     [device(base="0x1000000000"), dynamic(id="d1", target="/dev/xvdc")], {},
     r"\[0\].*base=0x1000000000.*dynamic"),
    ("explicit pools overlap",
     [device(base="0x2000000000"),
      device(id="d1", target="/dev/xvdc", base="0x2000400000")], {},
     r"\[1\].*overlap"),
    ("no slot left for the virtio-iommu",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="1M") for i in range(15)] +
     [dynamic(id="last", aperture="2M")], {}, r"(slot|16)"),
    ("more pools than the host has memory",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="100M")
      for i in range(15)], {"+": "max_grant_frames = 64"}, r"(MiB|frames)"),
]


def row_cfg(row):
    """The guest's config of a row."""
    _, devices, changes, _ = row
    text = hvm_cfg("bad", devices)
    for old, new in changes.items():
        text = text + new + "\n" if old == "+" else text.replace(old, new)
    return text


@group.many("bad config", 300)
def bad(h):
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("plain.cfg", guest_cfg("plain", None, kernel="Image"))
    yield from refusals(h, ROWS, row_cfg)


@group.check("vrctl check finds nothing amiss")
def preflight(h):
    r = h.sh("vrctl check")
    require(r.rc == 0 and re.search(r"ok\s+HVM guests", r.out) and
            "CONFIG_IOREQ_SERVER" not in r.out, f"[{r.rc}] {r.text[-600:]}")


def start(h, name, devices, strict=1, **keys):
    """Create a guest and wait for its agent."""
    cfg = hvm_cfg(name, devices, extra=f"iommu.strict={strict}", **keys)
    r = h.create(h.put(f"{name}.cfg", cfg), 240)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(name, "true", up=240)


def interrupts(h):
    """The device has a level-triggered pin of the I/O APIC, and it works."""
    out = h.gx_ok("dy", "grep virtio /proc/interrupts; "
                  "ls /sys/firmware/acpi/tables | tr '\\n' ' '; "
                  "dmesg | grep -i -e 'nobody cared' -e 'VIOT'")
    require(re.search(r"IO-APIC +3[2-9]-fasteoi +virtio", out), out)
    require("VIOT" in out and "nobody cared" not in out, out)


STEPS = (("written and read back", lambda h: disk_works(h, 1)),
         ("interrupts and tables", interrupts),
         ("driver unbound and bound", rebinds),
         ("module unloaded and loaded", reloads),
         ("guest reboots, data right", reboots),
         ("destroyed, nothing left", lambda h: stop(h, "dy")))


@group.many("dynamic block device", 900)
def block(h):
    h.put("b1.cfg", driver_cfg("b1", memory=160))
    broken, begin = None, time.monotonic()
    try:
        start(h, "dy", [dynamic(serial="one")])
    except Fail as fail:
        broken = str(fail)
    for name, step in STEPS:
        why = broken
        if not broken:
            try:
                step(h)
            except Fail as fail:
                why = broken = str(fail)
        yield (name, why, time.monotonic() - begin)
        begin = time.monotonic()
    if broken:
        h.sweep()
