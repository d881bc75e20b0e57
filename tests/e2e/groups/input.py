# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong configurations: each refused before any domain exists."""

import os
import re

from vre2e import arch
from vre2e.acpi import table
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from groups.input_net import ROWS as NET_ROWS

group = Group("input")

D, Y = device(), dynamic()

# name, devices (or the whole line), guest options, what the line must have.
# Every message also has to name the key, and the device where there is one.
# These are for both hosts; ARM_ROWS and X86_ROWS for one of them.
ROWS = [
    ("unknown key", [device(colour="red")], {}, r"\[0\].*colour"),
    ("unknown key in the second device",
     [D, device(id="disk1", target="/dev/xvdc", sise="8M")], {},
     r"\[1\].*sise"),
    ("key twice", [device("size=16M")], {}, r"\[0\].*size"),
    ("no value", [device("serial=")], {}, r"\[0\].*serial"),
    ("no equals sign", [device("readonly")], {}, r"\[0\].*readonly"),
    ("empty item", [device() + ",, queues=1"], {}, r"\[0\].*comma"),
    ("empty string", [""], {}, r"\[0\]"),
    ("no id", [device(id=None)], {}, r"\[0\].*id"),
    ("bad id", [device(id="a/b")], {}, r"\[0\].*id=a/b"),
    ("long id", [device(id="x" * 40)], {}, r"\[0\].*id=x"),
    ("no type", [device(type=None)], {}, r"\[0\].*type"),
    ("unknown type", [device(type="scsi")], {}, r"\[0\].*type=scsi.*block"),
    ("unknown mode", [device(mode="magic")], {}, r"\[0\].*mode=magic.*static"),
    ("unknown transport", [device(transport="usb")], {},
     r"\[0\].*transport=usb.*mmio or pci"),
    ("no size", [device(size=None)], {}, r"\[0\].*size"),
    ("size is no number", [device(size="lots")], {}, r"\[0\].*size=lots"),
    ("size with a bad suffix", [device(size="8Q")], {}, r"\[0\].*size=8Q"),
    ("negative size", [device(size="-8M")], {}, r"\[0\].*size=-8M"),
    ("size zero", [device(size="0")], {}, r"\[0\].*size=0"),
    ("size too small", [device(size="64K")], {}, r"\[0\].*size=64K"),
    ("size not whole pages", [device(size="8388609")], {},
     r"\[0\].*size=8388609"),
    ("size overflows 64 bits", [device(size="99999999999999999999G")], {},
     r"\[0\].*size=9999"),
    ("size beyond any guest", [device(size="64G")], {}, r"\[0\].*size=64G"),
    ("more grants than the hypervisor allows",
     [device(size="160M")], {"memory": 256}, r"gnttab_max_frames"),
    ("more grants of both kinds than the hypervisor allows",
     [device(size="32M"), dynamic(id="disk1", target="/dev/xvdc",
                                  aperture="100M")], {"memory": 256},
     r"gnttab_max_frames"),
    ("more grants for the guest itself than the hypervisor allows", [D],
     {"lines": "virtio_restricted_grants = 32768"},
     r"32768 grants for the guest's own.*68 grant table frames.*"
     r"virtio_restricted_grants="),
    ("grants for the guest itself are no number", [D],
     {"lines": 'virtio_restricted_grants = "many"'},
     r"virtio_restricted_grants: not a number"),
    ("no grants for the guest itself", [D],
     {"lines": "virtio_restricted_grants = 0"},
     r"virtio_restricted_grants: not a number from 1"),
    ("more grants for the guest itself than can be", [D],
     {"lines": "virtio_restricted_grants = 99999999"},
     r"virtio_restricted_grants: not a number from 1 to 16777216"),
    ("dynamic without an aperture", [dynamic(aperture=None)], {},
     r"\[0\].*aperture= is missing"),
    ("dynamic with a size", [dynamic(size="8M")], {}, r"\[0\].*size=8M"),
    ("aperture of a static device", [device(aperture="8M")], {},
     r"\[0\].*aperture=8M"),
    ("aperture too small for the queue", [dynamic(aperture="1M")], {},
     r"\[0\].*aperture=1M.*1028K"),
    ("map_threshold of a static device", [device(map_threshold="64K")], {},
     r"\[0\].*map_threshold"),
    ("revoke_timeout out of range", [dynamic(revoke_timeout="5")], {},
     r"\[0\].*revoke_timeout=5"),
    ("base is no number", [device(base="high")], {}, r"\[0\].*base=high"),
    ("base not a page", [device(base="0x44000001")], {},
     r"\[0\].*base=0x44000001"),
    ("driver and backend both", [device(backend="b9")], {},
     r"\[0\].*(driver|backend)"),
    ("neither driver nor backend", [device(driver=None)], {},
     r"\[0\].*driver.*backend"),
    ("driver's file is missing", [device(driver="/host/cfg/none.cfg")], {},
     r"\[0\].*driver=/host/cfg/none.cfg"),
    ("driver's file is no config", [device(driver="/host/cfg/broken.cfg")],
     {}, r"\[0\].*driver=/host/cfg/broken.cfg"),
    ("driver's kernel is missing", [device(driver="/host/cfg/nokernel.cfg")],
     {}, r"\[0\].*driver=/host/cfg/nokernel.cfg.*kernel"),
    ("driver has restricted devices itself",
     [device(driver="/host/cfg/nested.cfg")], {},
     r"\[0\].*driver=/host/cfg/nested.cfg"),
    ("driver named as the guest", [device(driver="/host/cfg/same.cfg")], {},
     r"\[0\].*(same|bad)"),
    ("relative driver path", [device(driver="b1.cfg")], {},
     r"\[0\].*driver=b1.cfg"),
    ("backend does not exist", [device(driver=None, backend="nosuch")], {},
     r"\[0\].*backend=nosuch"),
    ("backend is dom0", [device(driver=None, backend="Domain-0")], {},
     r"\[0\].*backend=Domain-0"),
    ("no target", [device(target=None)], {}, r"\[0\].*target"),
    ("relative target", [device(target="xvdb")], {}, r"\[0\].*target=xvdb"),
    ("same id twice", [D, device(target="/dev/xvdc")], {}, r"\[1\].*disk0"),
    ("same target twice", [D, device(id="disk1")], {},
     r"\[1\].*/dev/xvdb"),
    ("access neither ro nor rw", [device(access="x")], {},
     r"\[0\].*access=x"),
    ("queues zero", [device(queues="0")], {}, r"\[0\].*queues=0"),
    ("queues beyond the limit", [device(queues="17")], {},
     r"\[0\].*queues=17"),
    ("queue size no power of two", [device(queue_size="100")], {},
     r"\[0\].*queue.size=100"),
    ("queue size beyond the limit", [device(queue_size="4096")], {},
     r"\[0\].*queue.size=4096"),
    ("serial too long", [device(serial="x" * 21)], {}, r"\[0\].*serial=xxx"),
    ("discard neither on nor off", [device(discard="maybe")], {},
     r"\[0\].*discard=maybe"),
    ("timeout zero", [device(timeout="0")], {}, r"\[0\].*timeout=0"),
    ("too many devices for any architecture",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="2M") for i in range(17)],
     {"memory": 128}, r"devices"),
    ("a string instead of a list", 'virtio_restricted = "id=disk0"', {},
     r"virtio_restricted.*list"),
    ("a number instead of a list", "virtio_restricted = 7", {},
     r"virtio_restricted.*list"),
    ("a list inside the list", 'virtio_restricted = [ [ "id=disk0" ] ]', {},
     r"virtio_restricted"),
    ("guest's kernel is missing", [D], {"kernel": "none"}, r"kernel"),
    ("guest's ramdisk is missing", [D], {"ramdisk": "none"}, r"ramdisk"),
]

ARM_ROWS = [
    ("pool larger than memory", [device(size="120M")], {},
     r"\[0\].*(size=120M|memory)"),
    ("pool leaves the guest no room", [device(size="90M")], {},
     r"\[0\].*(size=90M|memory)"),
    ("two pools larger than memory",
     [device(size="48M"), device(id="disk1", target="/dev/xvdc", size="48M")],
     {}, r"\[1\].*(size=48M|memory)"),
    ("no slot left for the virtio-iommu",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="2M") for i in range(10)] +
     [dynamic(id="last", aperture="2M")], {}, r"(slot|11)"),
    ("base outside of RAM", [device(base="0x90000000")], {},
     r"\[0\].*base=0x90000000.*RAM"),
    ("base over the end of RAM", [device(base="0x45c00000")], {},
     r"\[0\].*base=0x45c00000"),
    ("base over the kernel", [device(base="0x40000000")], {},
     r"\[0\].*base=0x40000000.*overlap"),
    ("explicit pools overlap",
     [device(base="0x44000000"),
      device(id="disk1", target="/dev/xvdc", base="0x44400000")], {},
     r"\[1\].*overlap"),
    ("too many devices",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="2M") for i in range(12)],
     {"memory": 128}, r"12 devices|devices.*(11|slots)"),
    ("base of a mixed device outside of RAM", [mixed(base="0x100000")], {},
     r"not inside the guest's RAM"),
    ("transport=pci beside pci=", [device(transport="pci")],
     {"lines": 'pci = [ "0000:01:00.0" ]'}, r"transport=pci and pci="),
    ("transport=pci beside irqs=", [device(transport="pci")],
     {"lines": "irqs = [ 64 ]"}, r"irqs= has 64"),
]

# Tables of the user's, beside which ours have no place, by file.
TABLES = {
    "name": table("SSDT", b"\x08VR03\x0a\x07"),
    "iommu": table("SSDT", b"\x08VRIO\x0a\x07"),
    "oem": table("SSDT", oem=b"VIRTIORS"),
    "viot": table("VIOT", bytes(12)),
    "sum": table("SSDT")[:-1] + b"\x01",
    "cut": table("SSDT", bytes(64))[:-8],
    "tail": table("SSDT") + b"tail",
    "three": table("SSDT") * 3,
    "four": table("SSDT") * 4,
    "large": table("SSDT", bytes(600 << 10)),
    "huge": table("SSDT", bytes(2 << 20)),
}


def own(name):
    """The line for one of them."""
    return {"lines": f'acpi_firmware = "/host/cfg/{name}.aml"'}


HVM = 'type = "%s"\n'
X86_ROWS = [
    ("PVH guest", [Y], {"lines": HVM % "pvh"}, r"pvh.*hvm"),
    ("PVH guest, static device", [D], {"lines": HVM % "pvh"}, r"pvh.*hvm"),
    ("PV guest", [Y], {"lines": HVM % "pv"}, r"pv.*hvm"),
    ("PV guest, static device", [D], {"lines": HVM % "pv"}, r"pv.*hvm"),
    ("no ACPI", [Y], {"lines": "acpi = 0"}, r"acpi=0"),
    ("more PCI functions than there are slots",
     [dynamic(id=f"d{i}", target=f"/dev/x{i}", aperture="2M", transport="pci")
      for i in range(6)], {}, r"6 devices with transport=pci.*5 slots"),
    ("PCI functions and an old QEMU", [device(transport="pci")],
     {"lines": 'device_model_version = "qemu-xen-traditional"'},
     r"device_model_version=.*transport=mmio"),
    ("PCI functions where QEMU is to have one", [device(transport="pci")],
     {"lines": 'device_model_args = [ "-device", "e1000,addr=1b" ]'},
     r"device_model_args: .*0x1b.*addr="),
    ("no ACPI, static device", [D], {"lines": "acpi = 0"}, r"acpi=0"),
    ("no APIC", [Y], {"lines": "apic = 0"}, r"apic=0"),
    ("device tree", [Y], {"lines": 'device_tree = "/host/cfg/b1.cfg"'},
     r"device_tree=.*Arm"),
    ("version of Arm's GIC", [Y], {"lines": 'gic_version = "v3"'},
     r"gic_version=.*Arm"),
    ("Arm's virtual UART", [Y], {"lines": 'vuart = "sbsa_uart"'},
     r"vuart=.*Arm"),
    ("grant table of version 2", [Y], {"lines": "max_grant_version = 2"},
     r"max_grant_version"),
    ("ACPI tables are missing", [Y],
     {"lines": 'acpi_firmware = "/host/none"'}, r"acpi_firmware=/host/none"),
    ("ACPI tables are none", [Y],
     {"lines": 'acpi_firmware = "/host/cfg/b1.cfg"'},
     r"acpi_firmware=/host/cfg/b1.cfg"),
    ("ACPI table with a device's name", [D], own("name"),
     r"acpi_firmware=.*VR03"),
    ("ACPI table with the virtio-iommu's name", [Y], own("iommu"),
     r"acpi_firmware=.*VRIO"),
    ("ACPI table with our table id", [D], own("oem"),
     r"acpi_firmware=.*VIRTIORS"),
    ("a second VIOT", [Y], own("viot"), r"acpi_firmware=.*VIOT"),
    ("ACPI table with a wrong checksum", [D], own("sum"),
     r"acpi_firmware=.*checksum"),
    ("ACPI table that is cut off", [D], own("cut"),
     r"acpi_firmware=.*length"),
    ("rest behind an ACPI table", [D], own("tail"),
     r"acpi_firmware=.*4 bytes"),
    ("too many ACPI tables", [D], own("four"),
     r"acpi_firmware=.*4 tables, and 1"),
    ("too many ACPI tables with an IOMMU", [Y], own("three"),
     r"acpi_firmware=.*3 tables, and 2"),
    ("ACPI tables that are too large", [D], own("large"),
     r"acpi_firmware=.*bytes.*room"),
    ("ACPI tables that cannot be meant", [D], own("huge"),
     r"acpi_firmware=.*bytes.*room"),
    ("populated on demand, with a pool", [D], {"lines": "maxmem = 512"},
     r"memory=.*maxmem="),
    ("passed-through device on our interrupts", [D],
     {"lines": 'pci = [ "0000:00:03.0@1c" ]'}, r"PCI device.*slot 0x1c"),
    ("base inside RAM", [device(base="0x4000000")], {},
     r"\[0\].*base=0x4000000"),
    ("base between RAM and 4 GiB", [device(base="0x80000000")], {},
     r"\[0\].*base=0x80000000"),
    ("base in the PCI hole", [device(base="0xfeb00000")], {},
     r"\[0\].*base=0xfeb00000"),
    ("base beyond all addresses", [device(base="0xff000000000")], {},
     r"\[0\].*base=0xff000000000"),
    ("base over the end of addresses", [device(base="0xffffc00000")], {},
     r"\[0\].*base=0xffffc00000"),
    ("base of a mixed device inside RAM", [mixed(base="0x100000")], {},
     r"\[0\].*base=0x100000"),
    ("base over the windows of dynamic devices",
     [device(base="0x1000000000"), dynamic(id="d1", target="/dev/xvdc")], {},
     r"\[0\].*base=0x1000000000.*dynamic"),
    ("explicit pools overlap",
     [device(base="0x2000000000"),
      device(id="d1", target="/dev/xvdc", base="0x2000400000")], {},
     r"\[1\].*overlap"),
    ("no slot left for the virtio-iommu",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="2M") for i in range(15)] +
     [dynamic(id="last", aperture="2M")], {}, r"(slot|16)"),
    ("more pools than grants",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="100M")
      for i in range(2)], {}, r"gnttab_max_frames"),
    ("guest, pools and driver domain larger than the host",
     [device()], {"memory": 3500}, r"MiB free.*lower size="),
]

OWN_ROWS = {"arm64": ARM_ROWS, "x86": X86_ROWS}

# A next step for the reader: one of these verbs after the finding.
REMEDY = re.compile(
    r"\b(use|take|add|give|name|lower|raise|correct|choose|change|move|leave|"
    r"begin|start|boot|cut|join|write|install|shorten|let|make|remove|such as|"
    r"keep|one of|put|create|replace|set|only)\b", re.I)


CHUNK = 10  # rows that one command in dom0 tries


def judge(text, rc, pattern):
    """Why this refusal is not good enough, or None."""
    if rc == 0:
        return "accepted"
    lines = [l for l in text.splitlines() if "virtio_restricted" in l]
    if not lines:
        return f"no line names virtio_restricted: {text.strip()[-200:]!r}"
    line = next((l for l in lines if re.search(pattern, l)), None)
    if not line:
        return f"not as expected ({pattern}): {lines[0].strip()}"
    if not REMEDY.search(line.split(":", 1)[-1]):
        return f"no remedy: {line.strip()}"
    if len(lines) > 1:
        return f"{len(lines)} lines instead of one: {lines[:3]}"
    return None


def refusals(h, rows):
    """Try each row and judge what is said."""
    os.makedirs(os.path.join(h.share, "cfg", "bad"), exist_ok=True)
    for number, row in enumerate(rows):
        h.put(f"bad/{number:02}.cfg", row_cfg(row))
    # Domain numbers only ever grow: two plain guests around the table show
    # that no domain existed in between, not even for a moment.
    probe = ("xl create -p /host/cfg/plain.cfg >/dev/null 2>&1; "
             "xl domid plain; xl destroy plain")
    before = int(h.ok(probe))
    for first in range(0, len(rows), CHUNK):
        yield from chunk(h, rows, first, min(first + CHUNK, len(rows)))
    after = int(h.ok(probe))
    yield ("no domain was made, not even for a moment",
           None if after == before + 1 else
           f"{after - before - 1} domains were", 0.0)


def row_cfg(row):
    """The guest's config of a row. Of a key given twice the last counts."""
    _, devices, options, _ = row
    if isinstance(devices, str):
        return guest_cfg("bad", None, lines=devices, **options)
    text = guest_cfg("bad", devices, **options)
    if 'type = "pv"' in options.get("lines", ""):
        # A key that xl itself refuses for such a guest.
        text = "".join(line for line in text.splitlines(True)
                       if not line.startswith("timer_mode"))
    return text


@group.many("bad config", 300)
def bad(h):
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("broken.cfg", "name = \n%%%\n")
    h.put("nokernel.cfg", driver_cfg("b1").replace(
        "/host/img/" + arch.now.driver["kernel"], "/host/img/none"))
    h.put("nested.cfg", driver_cfg("b1") + f'virtio_restricted = [ "{D}" ]\n')
    h.put("same.cfg", driver_cfg("bad"))
    for name, data in TABLES.items():
        with open(os.path.join(h.share, "cfg", name + ".aml"), "wb") as file:
            file.write(data)
    # Paused, and on x86 without a device model that would take its time.
    h.put("plain.cfg", driver_cfg("plain", ()))
    yield from refusals(h, ROWS + NET_ROWS + OWN_ROWS[arch.now.name])


def chunk(h, rows, first, end):
    """Try some rows in one go; what came of each."""
    names = " ".join(f"{i:02}" for i in range(first, end))
    out = h.ok(f"sh /host/bin/create-each.sh /host/cfg/bad {names}", 120)
    parts = re.split(r"<<(\d+) (\d+) ([\d.]+) ([\d.]+)>>\n", out)[1:]
    require(len(parts) == 5 * (end - first), f"rows {first} to {end - 1}: "
            f"{len(parts) // 5} answers")
    for at in range(0, len(parts), 5):
        number, rc, begin, done, text = parts[at:at + 5]
        name, pattern = rows[int(number)][0], rows[int(number)][-1]
        yield (name, judge(text, int(rc), pattern),
               float(done) - float(begin))
