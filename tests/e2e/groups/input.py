# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong configurations: each refused before any domain exists."""

import os
import re

from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

group = Group("input")

D = device()

# name, devices (or the whole line), guest options, what the line must have.
# Every message also has to name the key, and the device where there is one.
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
    ("pool larger than memory", [device(size="120M")], {},
     r"\[0\].*(size=120M|memory)"),
    ("pool leaves the guest no room", [device(size="90M")], {},
     r"\[0\].*(size=90M|memory)"),
    ("two pools larger than memory",
     [device(size="48M"), device(id="disk1", target="/dev/xvdc", size="48M")],
     {}, r"\[1\].*(size=48M|memory)"),
    ("more grants than the hypervisor allows",
     [device(size="160M")], {"memory": 256}, r"gnttab_max_frames"),
    ("more grants of both kinds than the hypervisor allows",
     [device(size="32M"), dynamic(id="disk1", target="/dev/xvdc",
                                  aperture="100M")], {"memory": 256},
     r"gnttab_max_frames"),
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
    ("no slot left for the virtio-iommu",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="1M") for i in range(10)] +
     [dynamic(id="last", aperture="2M")], {}, r"(slot|11)"),
    ("base is no number", [device(base="high")], {}, r"\[0\].*base=high"),
    ("base not a page", [device(base="0x44000001")], {},
     r"\[0\].*base=0x44000001"),
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
    ("too many devices",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="1M") for i in range(12)],
     {"memory": 128}, r"12 devices|devices.*(11|slots)"),
    ("too many devices for any architecture",
     [device(id=f"d{i}", target=f"/dev/x{i}", size="1M") for i in range(17)],
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

# A next step for the reader: one of these verbs after the finding.
REMEDY = re.compile(
    r"\b(use|take|add|give|name|lower|raise|correct|choose|change|move|leave|"
    r"begin|start|boot|write|install|shorten|let|make|remove|such as|keep|one "
    r"of|put|create|replace|set|only)\b", re.I)


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


def refusals(h, rows, write):
    """Try each row and judge what is said; write(row) makes its config."""
    os.makedirs(os.path.join(h.share, "cfg", "bad"), exist_ok=True)
    for number, row in enumerate(rows):
        h.put(f"bad/{number:02}.cfg", write(row))
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
    """The guest's config of a row of ROWS."""
    _, devices, options, _ = row
    if isinstance(devices, str):
        return guest_cfg("bad", None, lines=devices, **options)
    return guest_cfg("bad", devices, **options)


@group.many("bad config", 300)
def table(h):
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("broken.cfg", "name = \n%%%\n")
    h.put("nokernel.cfg", driver_cfg("b1").replace("/host/img/Image",
                                                   "/host/img/none"))
    h.put("nested.cfg", driver_cfg("b1") + f'virtio_restricted = [ "{D}" ]\n')
    h.put("same.cfg", driver_cfg("bad"))
    h.put("plain.cfg", guest_cfg("plain", None))
    yield from refusals(h, ROWS, row_cfg)


def chunk(h, rows, first, end):
    """Try some rows in one go; what came of each."""
    numbers = " ".join(f"{i:02}" for i in range(first, end))
    out = h.ok("cd /host/cfg/bad; up() { cut -d' ' -f1 /proc/uptime; }; "
               f"for i in {numbers}; do a=$(up); "
               "o=$(timeout 30 xl create $i.cfg 2>&1); rc=$?; "
               'printf "<<%s %s %s %s>>\\n%s\\n" $i $rc $a $(up) "$o"; done; '
               "true", 120)
    parts = re.split(r"<<(\d+) (\d+) ([\d.]+) ([\d.]+)>>\n", out)[1:]
    require(len(parts) == 5 * (end - first), f"rows {first} to {end - 1}: "
            f"{len(parts) // 5} answers")
    for at in range(0, len(parts), 5):
        number, rc, begin, done, text = parts[at:at + 5]
        name, pattern = rows[int(number)][0], rows[int(number)][-1]
        yield (name, judge(text, int(rc), pattern),
               float(done) - float(begin))
