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
# Whose processor time is counted: dom0's and theirs.
PROCESSORS = {"guest": GUEST, "driver": DRIVER, "dom0": "Domain-0"}
RUN_LIMIT = 240  # s, of one run with what is under way at its end


def one_run(point, path, disk, seconds):
    """dom0's command for a run, with the guest's interrupts around it."""
    look = 'grep -E "blkif|virtio" /proc/interrupts'
    return (f"gx -t {RUN_LIMIT} {GUEST} '{look}; echo @@; "
            f"{point.command(disk[0], seconds)}; echo @@; {look}'; "
            "echo @@")


def guest_interrupts(before, after, path, disk):
    """Of a disk that is not ours."""
    word = "blkif" if path == "blkfront" else disk[1]
    return counters.figure(after, word) - counters.figure(before, word)


class Meter:
    """Measures in one guest."""

    def __init__(self, host, disks, opt):
        self.host, self.disks, self.opt = host, disks, opt
        self.settled = None  # counters after the last point

    def turn(self, point, order, seconds, tallies):
        """One run of each path in this order."""
        show = (f"vrctl show --json {GUEST}" if set(self.disks) & set(OURS)
                else "echo {}") + "; echo @@; xl list; echo @@"
        commands = [show]
        for path in order:
            commands += [one_run(point, path, self.disks[path], seconds),
                         show]
        parts = self.host.ok("; ".join(commands),
                             (RUN_LIMIT + 30) * len(order)).split(MARK)
        for number, path in enumerate(order):
            show0, used0, irq0, result, irq1, show1, used1 = parts[
                number * 5:number * 5 + 7]
            try:
                result = json.loads(result)
            except ValueError as error:
                raise Fail(f"{path}, {point.title}: {result[-200:]}") from error
            require(not result["errors"] and result["ios"],
                    f"{path}, {point.title}: I/O errors: {result}")
            if path in OURS:
                count = counters.minus(
                    *(counters.at_once(json.loads(t), path)
                      for t in (show1, show0)))
            else:
                count = {"interrupts": guest_interrupts(
                    irq0, irq1, path, self.disks[path])}
            count.update(counters.minus(*(
                counters.processor(t, PROCESSORS) for t in (used1, used0))))
            tallies[path].run(result, count)

    def snapshot(self):
        """Counters that are late: of backends, and of blkback's kicks."""
        shown = self.host.show(GUEST) if set(self.disks) & set(OURS) else {}
        found = {p: counters.later(shown, p) for p in self.disks if p in OURS}
        if "blkfront" in self.disks:
            found["blkfront"] = {"kicks": counters.figure(self.host.gx_ok(
                DRIVER, "grep blkif /proc/interrupts"), "blkif")}
        return found

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
            self.turn(point, order if number % 2 else order[::-1],
                      self.opt.secs, tallies)
        self.settle(tallies)
        rates = {p: t.rates for p, t in tallies.items()}
        return {p: {**t.summary(), "rates": rates[p]}
                for p, t in tallies.items()}

    def warm_up(self):
        """Let everything be touched once."""
        point = Point.parse("r4k-32")
        tallies = {p: counters.Tally() for p in self.disks}
        self.settled = self.snapshot()
        self.turn(point, list(self.disks), 0.5, tallies)
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
