# SPDX-License-Identifier: LGPL-2.1-or-later
"""Points measured: every path in turns, and counted meanwhile."""

import json
import time

from vre2e.report import Fail, require

from . import counters
from .paths import DRIVER, GUEST, OURS
from .workloads import Point

MARK = "@@\n"
# A path that has taken so many times the time asked for is not run again.
SLOW = 2
PROCESSORS = ("guest", "driver", "dom0")  # whose processor time is counted
RUN_LIMIT = 240  # s, of one run with what is under way at its end


def one_run(point, disk, opt):
    """dom0's command for a run, with the guest's interrupts around it. With
    several queues so many loads, each on a processor of its own."""
    look = 'grep -E "blkif|virtio" /proc/interrupts'
    load = point.command(disk[0], opt.secs)
    if opt.queues > 1:
        load = (f"for c in $(seq 0 {opt.queues - 1}); do taskset -c $c {load} "
                "> /tmp/load.$c & done; wait; cat /tmp/load.*")
    return (f"gx -t {RUN_LIMIT} {GUEST} '{look}; echo @@; "
            f"{load}; echo @@; {look}'; echo @@")


def result_of(text):
    """ioload's figures; of several loads those of all together."""
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not rows:
        raise ValueError("nothing was said")
    return {"ios": sum(r["ios"] for r in rows),
            "errors": sum(r["errors"] for r in rows),
            "secs": sum(r["secs"] for r in rows) / len(rows),
            "lat_us": sum(r["lat_us"] for r in rows) / len(rows)}


def guest_interrupts(before, after, path, disk):
    """Of a disk, whoever sends them."""
    word = "blkif" if path == "blkfront" else disk[1]
    return counters.figure(after, word) - counters.figure(before, word)


def outside(seen, path):
    """Counters of what Meter.look() has shown."""
    shown, used, dom0, driver = seen
    found = {"driver_irq": counters.of_programs(driver),
             "dom0_irq": counters.of_programs(dom0),
             **counters.processor(used, PROCESSORS)}
    if path in OURS:
        found.update(counters.at_once(json.loads(shown), path))
    return found


class Meter:
    """Measures in one guest."""

    def __init__(self, host, disks, opt):
        self.host, self.disks, self.opt = host, disks, opt
        self.settled = None  # counters after the last point

    def look(self):
        """dom0's command for what is counted outside of the guest."""
        domids = self.host.domid(GUEST), self.host.domid(DRIVER)
        show = (f"vrctl show --json {GUEST}" if set(self.disks) & set(OURS)
                else "echo {}")
        return (f"{show}; echo @@; /host/bin/domclock now {domids[0]} "
                f"{domids[1]} 0; echo @@; cat /proc/interrupts; echo @@; "
                f"gx {DRIVER} 'cat /proc/interrupts'; echo @@")

    def turn(self, point, order, tallies):
        """One run of each path in this order."""
        look = self.look()
        commands = [look]
        for path in order:
            commands += [one_run(point, self.disks[path], self.opt), look]
        parts = self.host.ok("; ".join(commands),
                             (RUN_LIMIT + 30) * len(order)).split(MARK)
        for number, path in enumerate(order):
            seen = parts[number * 7:number * 7 + 11]
            before, after = seen[:4], seen[7:]
            try:
                result = result_of(seen[5])
            except ValueError as error:
                raise Fail(f"{path}, {point.title}: {seen[5][-200:]}") from error
            require(not result["errors"] and result["ios"],
                    f"{path}, {point.title}: I/O errors: {result}")
            count = {"guest_irq": guest_interrupts(
                seen[4], seen[6], path, self.disks[path])}
            count.update(counters.minus(outside(after, path),
                                        outside(before, path)))
            tallies[path].run(result, count)

    def snapshot(self):
        """Counters that are late: of backends."""
        shown = self.host.show(GUEST) if set(self.disks) & set(OURS) else {}
        return {p: counters.later(shown, p) for p in self.disks if p in OURS}

    def settle(self, tallies):
        """Wait until the backends' counters have arrived; add them. Some
        requests may have been merged."""
        end = time.monotonic() + 20
        while True:
            now = self.snapshot()
            late = [p for p in tallies if p in OURS and
                    now[p]["requests"] - self.settled[p]["requests"] <
                    tallies[p].ios * 0.9]
            if not late:
                break
            require(time.monotonic() < end, f"{late}: fewer requests counted "
                    f"than made: {now}")
            time.sleep(0.2)
        for path, tally in tallies.items():
            if path in now:
                tally.add(counters.minus(now[path], self.settled[path]))
        self.settled = now

    def point(self, point):
        """Summaries of all paths, with the runs' rates."""
        tallies = {p: counters.Tally() for p in self.disks}
        for number in range(self.opt.runs):
            limit = SLOW * self.opt.runs * self.opt.secs
            order = [p for p in tallies if tallies[p].seconds < limit]
            self.turn(point, order if number % 2 else order[::-1], tallies)
        self.settle(tallies)
        rates = {p: t.rates for p, t in tallies.items()}
        return {p: {**t.summary(), "rates": rates[p]}
                for p, t in tallies.items()}

    def warm_up(self):
        """Let everything be touched once."""
        point = Point.parse("r4k-32")
        tallies = {p: counters.Tally() for p in self.disks}
        self.settled = self.snapshot()
        self.turn(point, list(self.disks), tallies)
        self.settle(tallies)


def access_times(host, disks):
    """Microseconds of one access to a register of a disk: the guest's
    processor leaves for who answers it and comes back."""
    found = {}
    for who, path in (("broker", "static"), ("qemu", "qemu")):
        if path in disks:
            mean, least = host.gx_ok(GUEST, "exittime 300 "
                                     + disks[path][1], 60).split()
            found[who] = {"mean_us": float(mean), "least_us": float(least)}
    return found
