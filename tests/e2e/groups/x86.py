# SPDX-License-Identifier: LGPL-2.1-or-later
"""The x86 host: Debian's own hypervisor, tools, QEMU and kernel."""

import json

from groups import dynamic as dyn, preflight
from groups.input import refusals
from groups.main import attack, judge
from groups.neighbours import judge as judge_page, look
from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
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


@group.check("a dynamic disk, and a static one by the guest module", 200)
def both(h):
    dyn.both_disks(h)
    seen = h.gx_ok("ds", "dmesg | grep -e 'restricted to its pool' -e VIOT")
    devices = h.show("ds")["devices"]
    for dev in devices:
        low, high = dev["window_base"], dev["window_base"] + dev["window_size"]
        count = dev["counters"]
        require(low <= count["payload_low"] <= count["payload_high"] < high and
                not count["faults"], f"{dev['id']}: {count}")
        for ring in dev["rings"]:
            for part in ("descriptors", "available", "used"):
                require(low <= ring[part] < high, f"{part}: {ring}")
    require("VIOT" in seen and "restricted to its pool" in seen, seen)
    return f"pool at {devices[1]['window_base']:#x}, beside the guest's RAM"


@group.check("hostile driver domain: every attempt refused by Xen", 240)
def isolation(h):
    memory = arch.now.guest["least"]
    result = attack(h, "ds", "ds-b1", memory)
    # That calls do arrive, the copies show: a PV driver domain maps by way of
    # its page tables, which the raw call does not know.
    pages = next(d for d in h.show("ds")["devices"]
                 if d["mode"] == "static")["gref_count"]
    mapped = dyn.iommu(h, "ds")["endpoints"][0]["pages"]
    require(result["grant_copy_inside"]["allowed"] == pages + mapped,
            f"{result['grant_copy_inside']}: not {pages} + {mapped}")
    dyn.audit(h, "ds")
    return judge(result, memory)


@group.check("a page around 512 bytes: seen with the dynamic disk alone", 200)
def small_buffers(h):
    memory = arch.now.guest["least"]
    return "; ".join(
        f"{serial}: {judge_page(look(h, 'ds', serial, memory), exposed)}"
        for serial, exposed in (("one", True), ("two", False)))


@group.check("data is right across a reboot", 200)
def reboots(h):
    h.gx_ok("ds", "mkfs.ext4 -q -F /dev/vda && mount -t ext4 /dev/vda /mnt && "
            "pattern write /mnt/data 4 7 && sync && umount /mnt", 120)
    old = h.domid("ds")
    h.ok("xl reboot ds")

    def again():
        r = h.sh("xl domid ds")
        return r.rc == 0 and int(r.out) != old
    h.wait("the guest comes again", again, 90, 0.5)
    h.gx_ok("ds", "mount -t ext4 /dev/vda /mnt && "
            "pattern check /mnt/data 4 7", 60, 150)
    dyn.audit(h, "ds")
    dyn.stop(h, "ds")


D = dynamic()
# Name, devices, lines for the config, what the refusal has to say.
ROWS = [
    ("PVH guest", [D], 'type = "pvh"', r"pvh.*hvm"),
    ("PV guest", [D], 'type = "pv"', r"pv.*hvm"),
    ("no ACPI", [D], "acpi = 0", r"acpi=0"),
    ("no APIC", [D], "apic = 0", r"apic=0"),
    ("device tree", [D], 'device_tree = "/host/cfg/b1.cfg"',
     r"device_tree=.*Arm"),
    ("grant table of version 2", [D], "max_grant_version = 2",
     r"max_grant_version"),
    ("ACPI tables are missing", [D], 'acpi_firmware = "/host/none"',
     r"acpi_firmware=/host/none"),
    ("ACPI tables are none", [D],
     'acpi_firmware = "/host/cfg/b1.cfg"',
     r"acpi_firmware=/host/cfg/b1.cfg"),
    ("populated on demand, with a pool", [device()],
     "maxmem = 512", r"memory=.*maxmem="),
    ("base inside RAM", [device(base="0x4000000")], "",
     r"\[0\].*base=0x4000000"),
    ("base in the PCI hole", [device(base="0xfeb00000")], "",
     r"\[0\].*base=0xfeb00000"),
    ("base beyond all addresses", [device(base="0xff000000000")], "",
     r"\[0\].*base=0xff000000000"),
    ("base over the windows of dynamic devices",
     [device(base="0x1000000000"), dynamic(id="d1", target="/dev/xvdc")], "",
     r"\[0\].*base=0x1000000000.*dynamic"),
    ("explicit pools overlap",
     [device(base="0x2000000000"),
      device(id="d1", target="/dev/xvdc", base="0x2000400000")], "",
     r"\[1\].*overlap"),
    ("no slot left for the virtio-iommu",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="1M") for i in range(15)] +
     [dynamic(id="last", aperture="2M")], "", r"(slot|16)"),
    ("more pools than the host has memory",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="100M")
      for i in range(15)], "max_grant_frames = 64", r"(MiB|frames)"),
]


def row_cfg(row):
    """The guest's config of a row. Of a key given twice the last counts."""
    _, devices, lines, _ = row
    text = guest_cfg("bad", devices, lines=lines)
    if 'type = "pv"' in lines:  # for which xl itself refuses this key
        text = "".join(line for line in text.splitlines(True)
                       if not line.startswith("timer_mode"))
    return text


@group.many("bad config", 300)
def bad(h):
    h.put("b1.cfg", driver_cfg("b1"))
    # Paused, and so without a device model that would take its time.
    h.put("plain.cfg", driver_cfg("plain", ()))
    yield from refusals(h, ROWS, row_cfg)
