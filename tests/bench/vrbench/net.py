# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network devices against Xen's own pair, netfront and netback: one guest has an
interface on each path, whose other ends are on one bridge of one driver domain."""

import dataclasses
import json
import re
import statistics

from vre2e import arch, host as vhost
from vre2e.report import Fail

from . import counters, domains
from .measure import MARK, PROCESSORS
from .paths import DRIVER, GUEST

# vhost: static, by the driver domain's kernel; static: by vr-backend.
PATHS = ("netfront", "vhost", "static", "copied", "mixed")
BEHIND_IOMMU = ("copied", "mixed")
BRIDGE = "10.8.0.1"
MACS = {path: f"00:16:3e:00:08:0{n}" for n, path in enumerate(PATHS)}
OURS = tuple(p for p in PATHS if p != "netfront")
PORT, ECHO = 7000, 6999
MTUS = (1500, 9000)
# Of a stream; of small packets; questions. Where each buffer is mapped, less.
BYTES, PACKETS, ASKS = 16 << 20, 10000, 300
SLOW = 8
LIMIT = 240


@dataclasses.dataclass(frozen=True)
class Point:
    """A load: from one end, the guest or the driver domain, to the other."""

    name: str
    title: str
    unit: str
    outward: bool    # does the guest begin?
    listen: str      # netload's words of who listens; "": somebody does already
    begin: str       # ... and of the one who begins
    per: int = 1     # its number, divided by that, is the figure
    mtu: int = 1500

    def command(self, domain, words, path, port):
        """netload with these words, in the guest or in the driver domain."""
        part = SLOW if path in BEHIND_IOMMU else 1
        text = "netload " + words.format(
            to=BRIDGE if self.outward else address(path), port=port, echo=ECHO,
            bytes=BYTES // part, packets=PACKETS // part, asks=ASKS // part)
        return within(path, text) if domain == GUEST else text




def every():
    """All points by name: -out from the guest, -in to it."""
    found = []
    for mtu in MTUS:
        for way, outward in (("out", True), ("in", False)):
            found.append(Point(
                f"tcp{mtu}-{way}", f"TCP {'from' if outward else 'to'} the "
                f"guest, MTU {mtu}", "MiB/s", outward, "sink {port}",
                "pour {to} {port} {bytes}", 1 << 20, mtu))
    for length in (64, 1472):
        for way, outward in (("out", True), ("in", False)):
            found.append(Point(
                f"udp{length}-{way}", f"UDP {length} B "
                f"{'from' if outward else 'to'} the guest", "packets/s",
                outward, "count {port}",
                f"shoot {{to}} {{port}} {{packets}} {length}"))
    for kind in "udp", "tcp":
        found.append(Point(f"{kind}-ask", f"{kind.upper()} request and answer",
                           "pairs/s", True, "",
                           f"ask {kind} {{to}} {{echo}} {{asks}}"))
    return {point.name: point for point in found}


def points(text):
    """Those of a list of names, separated by commas; None: all."""
    known = every()
    names = text.split(",") if text else list(known)
    unknown = set(names) - set(known)
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: no point; there are "
                         f"{', '.join(known)}")
    return [known[name] for name in names]


def kernels(found):
    """Guest kernels that have the module, with what they need for networks."""
    return tuple(dataclasses.replace(
        k, modules=k.modules + ("xen-netfront",) + arch.NET,
        ramdisk="net-" + k.ramdisk) for k in found if k.modules)


def address(path):
    """The guest's on this path."""
    return f"10.8.0.{10 + PATHS.index(path)}"


def device(path, keys=""):
    """The string of one of our interfaces."""
    words = {"id": path, "type": "net", "target": None, "driver": None,
             "backend": DRIVER, "mac": MACS[path], "bridge": "br0",
             "mtu": max(MTUS), "size": "16M"}
    if path == "copied":
        return vhost.dynamic(text=keys, **{**words, "size": None})
    if path == "mixed":
        return vhost.mixed(text=keys, **words)
    return vhost.device(keys, **words,
                        vhost="on" if path == "vhost" else "off")


def within(path, command):
    """A command beside the guest's interface on this path."""
    return f"within {PATHS.index(path)} \"{command}\""


def start(host, kernel, paths, opt):
    """The driver domain, and the guest with all interfaces up."""
    host.ok("xl create " + host.put(DRIVER + ".cfg", vhost.driver_cfg(
        DRIVER, (), "vr.bridge=br0", **{
            "kind": "pvh", **arch.now.vhost, "memory": 384,
            "ramdisk": "network.cpio"})), 90)
    host.gx_ok(DRIVER, f"ip addr add {BRIDGE}/24 dev br0", up=150)
    vif = (f'vif = [ "mac={MACS["netfront"]}, bridge=br0, type=vif, '
           f'backend={DRIVER}" ]\n')
    host.ok("xl create " + host.put(GUEST + ".cfg", vhost.guest_cfg(
        GUEST, [device(p, opt.keys) for p in paths if p in OURS] or None,
        memory=512, kernel=kernel.kernel,
        ramdisk=kernel.ramdisk, lines=vif if "netfront" in paths else "",
        extra=f"{kernel.extra} {opt.guest_args}")), 150)
    if "netfront" in paths:
        # What a hotplug script does there, dom0 does: xl devd does not run.
        guest, driver = host.domid(GUEST), host.domid(DRIVER)
        host.gx_ok(DRIVER, f"ip link set vif{guest}.0 mtu {max(MTUS)} up && "
                   f"brctl addif br0 vif{guest}.0")
        host.ok(f"xenstore-write /local/domain/{driver}/backend/vif/{guest}/0/"
                "hotplug-status connected")
    # Each in a network namespace of its own (e2e/guest/sh/plug).
    for path in paths:
        number = PATHS.index(path)
        host.gx_ok(GUEST, f"plug {number} {MACS[path]} {address(path)}/24 "
                   f"{' '.join(arch.NET)}", 60, up=150)
        host.gx_ok(GUEST, within(path, f"ip link set n0 mtu {max(MTUS)}; "
                   f"until ping -c 1 -W 1 {BRIDGE}; do sleep 0.1; done"), 60)
    host.gx_ok(DRIVER, f"netload echo {ECHO} </dev/null >/dev/null 2>&1 & true")


def set_mtu(host, mtu, paths):
    """Both ends' frames are at most so long."""
    host.gx_ok(DRIVER, f"ip link set br0 mtu {mtu}")
    for path in paths:
        host.gx_ok(GUEST, within(path, f"ip link set n0 mtu {mtu}"))


@dataclasses.dataclass(frozen=True)
class Ends:
    """Who measures, and on which paths."""

    host: vhost.Host
    paths: list
    guest: int   # domains' numbers
    driver: int

    def interface(self, path):
        """The driver domain's name of the other end."""
        return f"vif{self.guest}" + (
            ".0" if path == "netfront" else "-" + path)

    def look(self):
        """dom0's command for what is counted."""
        show = f"vrctl show --json {GUEST}" if set(self.paths) & set(OURS) \
            else "echo"
        return (f"{show}; echo @@; /host/bin/domclock now {self.guest} "
                f"{self.driver} 0; echo @@; cat /proc/interrupts; echo @@; "
                f"gx {DRIVER} 'cat /proc/interrupts; echo @@; "
                f"cat /proc/net/dev'; echo @@; "
                f"gx {GUEST} 'cat /proc/interrupts'; echo @@")

    def seen(self, parts, path):
        """Counters of what look() has shown."""
        shown, used, dom0, driver, frames, guest = parts
        words = next(line for line in frames.splitlines() if
                     line.strip().startswith(self.interface(path) + ":"))
        words = words.partition(":")[2].split()
        found = {"packets": int(words[1]) + int(words[9]),
                 "guest_irq": devices(guest), "driver_irq": devices(driver),
                 "dom0_irq": counters.of_programs(dom0),
                 **counters.processor(used, PROCESSORS)}
        if path in OURS:
            found.update(counters.at_once(json.loads(shown), path))
        return found

    def load(self, point, path, port):
        """dom0's command for a run: what netload has said."""
        there, here = (DRIVER, GUEST) if point.outward else (GUEST, DRIVER)
        rest, line = "", ""
        if point.listen:
            rest = " >/dev/null"
            line = (f"gx {there} '" + point.command(there, point.listen, path,
                                                    port) +
                    " </dev/null >/tmp/heard 2>&1 & sleep 0.1'; ")
        line += (f"gx -t {LIMIT} {here} '" +
                 point.command(here, point.begin, path, port) +
                 f"{rest}'; ")
        if point.listen:
            line += (f"gx -t {LIMIT} {there} 'until [ -s /tmp/heard ]; do "
                     "sleep 0.1; done; cat /tmp/heard; rm /tmp/heard'; ")
        return line + "echo @@"


LOOKS = 6  # parts that look() makes


def devices(text):
    """Interrupts of the guest's network devices, and of the other ends. On no
    other does anything go on."""
    return sum(n for name, n in counters.interrupts(text).items()
               if re.match(r"(virtio|vif|evtchn:vr-worker)", name))


def turn(ends, point, order, port, rows):
    """A point on these paths, one after the other: adds to rows[path] its
    figure, its number, and what was counted."""
    line = ends.look()
    for number, path in enumerate(order):
        line += f"; {ends.load(point, path, port + number)}; {ends.look()}"
    parts = ends.host.ok(line, LIMIT * len(order)).split(MARK)
    for path in order:
        before, said, after = (parts[:LOOKS], parts[LOOKS],
                               parts[LOOKS + 1:2 * LOOKS + 1])
        parts = parts[LOOKS + 1:]
        try:
            count, secs = int(said.split()[0]), float(said.split()[1])
        except (IndexError, ValueError) as error:
            raise Fail(f"{path}, {point.title}: {said}") from error
        rows[path].append((
            count / point.per / secs if secs else 0.0, count / point.per,
            counters.minus(ends.seen(after, path), ends.seen(before, path))))


def late(ends):
    """Counters that reach dom0 once a second."""
    if not set(ends.paths) & set(OURS):
        return {}
    ends.host.ok("sleep 1.5")
    shown = ends.host.show(GUEST)
    return {p: counters.later(shown, p) for p in ends.paths if p in OURS}


def measure(ends, point, runs, port):
    """A point, on all paths in turns."""
    rows = {p: [] for p in ends.paths}
    before = late(ends)
    for number in range(runs):
        turn(ends, point, ends.paths if number % 2 else ends.paths[::-1],
             port + 10 * number, rows)
    after = late(ends)
    found = {}
    for path, made in rows.items():
        each = {k: sum(r[2][k] for r in made) for k in made[0][2]}
        if path in after:
            each.update(counters.minus(after[path], before[path]))
        found[path] = {"rates": [r[0] for r in made],
                       "rate": statistics.median(r[0] for r in made),
                       "number": sum(r[1] for r in made), "counts": each}
    return found


def run(host, kernel, opt, say, out):
    """All points, into out["net"]."""
    paths = [p for p in PATHS if p in opt.paths]
    start(host, kernel, paths, opt)
    ends = Ends(host, paths, host.domid(GUEST), host.domid(DRIVER))
    found = {"title": kernel.title, "points": {}}
    out.setdefault("net", []).append(found)
    mtu, port = None, PORT
    # Let everything be touched once.
    for point in every().values():
        if point.name in ("tcp9000-in", "tcp9000-out"):
            turn(ends, point, paths, port, {p: [] for p in paths})
            port += 10
    for point in opt.points:
        say(point.title)
        if point.mtu != mtu:
            set_mtu(host, point.mtu, paths)
            mtu = point.mtu
        found["points"][point.name] = {
            "title": point.title, "unit": point.unit,
            "paths": measure(ends, point, opt.runs, port)}
        port += 10 * opt.runs
    # The driver domain first: who ends a vif there, xl devd, does not run.
    domains.destroy(host, DRIVER, GUEST)
