#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark's arithmetic, without a host."""

import argparse
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
# pylint: disable=wrong-import-position
from vre2e import arch, build
from vre2e.report import Fail
from vrbench import (counters, domains, floors, guests, measure, net, paths,
                     table, workloads)


def shown(step):
    """What `vrctl show` says after so many I/Os of each disk: three accesses
    each, and with an IOMMU two requests and four accesses more."""
    def dev(name, mode, done):
        return {"id": name, "mode": mode, "counters": {
            "mmio_reads": done, "mmio_writes": 2 * done,
            "backend_grant_ops": 2 * done, "copied_bytes": 4096 * done,
            "requests": done}}
    static, mixed = step
    return json.dumps({
        "devices": [dev("static", "static", static),
                    dev("mixed", "mixed", mixed)],
        "iommu": {"counters": {"requests": 2 * mixed, "mmio_reads": mixed,
                               "mmio_writes": 3 * mixed}}})


def outside(ios):
    """What Xen, dom0 and the driver domain say after so many I/Os: 10 us of
    the guest's processor for each, 30 of dom0's, none of the driver domain's;
    four interrupts in dom0, and two in the driver domain."""
    return [f"{10000 * ios}\n77\n{5 + 30000 * ios}\n",
            f" 31: {4 * ios} xen-dyn -event evtchn:vr-broker\n"
            f" 32: {9 * ios} xen-dyn -event evtchn:xenstored\n",
            f" 33: {ios} xen-dyn -event evtchn:vr-worker\n"
            f" 34: {ios} xen-dyn -event blkif-backend\n"]


class FakeHost:
    """A host with a guest that does 10 I/Os in each run."""

    def __init__(self, errors=0):
        self.static = self.mixed = self.all = 0
        self.errors = errors
        self.commands = []

    def ok(self, command, _t=60):
        """A turn: a look first, then in order a run and a look for each."""
        self.commands.append(command)
        parts = [shown((self.static, self.mixed)), *outside(self.all)]
        for word in command.split():
            if word == "/dev/vda":
                self.static += 10
            elif word == "/dev/vdb":
                self.mixed += 10
            elif word != "/dev/xvda":
                continue
            self.all += 10
            irq = "5: {} 0 x  blkif\n6: {} 0 x virtio0\n7: {} 0 x virtio1\n"
            parts += [irq.format(3, 1, 0), json.dumps(
                {"ios": 10, "secs": 0.5, "lat_us": 7, "errors": self.errors}),
                irq.format(13, 11, 5), shown((self.static, self.mixed)),
                *outside(self.all)]
        return "@@\n".join(parts) + "@@\n"

    def show(self, _guest):
        """All counters have arrived."""
        return json.loads(shown((self.static, self.mixed)))

    def domid(self, name):
        """A domain's number."""
        return {paths.DRIVER: 1, paths.GUEST: 2}[name]


DISKS = {"blkfront": ("/dev/xvda", "vbd-51712"), "static": ("/dev/vda", "virtio0"),
         "mixed": ("/dev/vdb", "virtio1")}


def meter(host):
    """On that host."""
    opt = argparse.Namespace(runs=3, secs=0.5, queues=1)
    made = measure.Meter(host, DISKS, opt)
    made.warm_up()
    return made


class Points(unittest.TestCase):
    """Names of points."""

    def test_names(self):
        """What a name says, to ioload and to people."""
        point = workloads.Point.parse("r512-1")
        self.assertEqual((point.size, point.depth, point.mode, point.title),
                         (512, 1, "randread", "512 B read, depth 1"))
        point = workloads.Point.parse("w1m-32")
        self.assertEqual((point.size, point.mode), (1 << 20, "write"))
        self.assertEqual(point.rate(10, 2), (5.0, "MiB/s"))
        self.assertIn("-b 1048576 -q 32 -t 2 -s 256 -d",
                      point.command("/dev/x", 2))
        point = workloads.Point.parse("r64k-1h")
        self.assertEqual(point.title, "64 KiB read, depth 1, huge")
        self.assertTrue(point.command("/dev/x", 2).endswith(" -c"))
        self.assertEqual(len(workloads.points(",".join(workloads.DEFAULT))),
                         len(workloads.DEFAULT))

    def test_bad(self):
        """What is no point is refused."""
        for name in ("", "4k", "x4k-1", "r4k", "r4k-0", "r0-1", "r100-1",
                     "r8m-1", "r4k-257", "r4k-1x"):
            with self.assertRaises(ValueError, msg=name):
                workloads.Point.parse(name)


class Counting(unittest.TestCase):
    """Counters made into costs per I/O."""

    def test_interrupts(self):
        """All processors, and only those of the name."""
        text = ("           CPU0       CPU1\n 23: 5 7 xen-dyn -event blkif\n"
                " 24: 3 0 IO-APIC 5-edge virtio1-req.0\nNMI: 0\n"
                " 25: 9 0 IO-APIC 5-edge virtio10\n")
        self.assertEqual(counters.figure(text, "blkif"), 12)
        self.assertEqual(counters.figure(text, "virtio1"), 3)
        self.assertEqual(counters.figure(text, "virtio2"), 0)

    def test_point(self):
        """Each path gets what was counted during its own runs."""
        found = meter(FakeHost()).point(workloads.Point.parse("r4k-1"))
        for one in found.values():
            used = {who: round(one["per_io"].pop(who))
                    for who in measure.PROCESSORS}
            self.assertEqual(used, {"guest": 10, "driver": 0, "dom0": 30})
        self.assertEqual(found["static"]["per_io"], {
            "exits": 3, "iommu": 0, "guest_irq": 1, "driver_irq": 2,
            "dom0_irq": 4, "grant_ops": 2, "copied": 4096, "requests": 1})
        self.assertEqual(found["mixed"]["per_io"]["exits"], 7)
        self.assertEqual(found["mixed"]["per_io"]["iommu"], 2)
        self.assertEqual(found["blkfront"]["per_io"],
                         {"guest_irq": 1, "driver_irq": 2, "dom0_irq": 4})
        self.assertEqual(found["static"]["iops"], 20)

    def test_errors(self):
        """An I/O error ends it."""
        with self.assertRaises(Fail):
            meter(FakeHost(errors=1))

    def test_loads(self):
        """Several at the same time are one."""
        one = {"ios": 10, "secs": 0.5, "lat_us": 7, "errors": 0}
        text = "\n".join(json.dumps(row) for row in (one, {**one, "ios": 30,
                                                           "lat_us": 9}))
        self.assertEqual(measure.result_of(text), {
            "ios": 40, "secs": 0.5, "lat_us": 8, "errors": 0})
        for bad in ("", "ioload: no such file"):
            with self.assertRaises(ValueError):
                measure.result_of(bad)

    def test_ratio(self):
        """Of runs side by side, also when one has fewer."""
        self.assertEqual(counters.ratio([1, 4], [2, 4, 8]), 0.75)


class Floors(unittest.TestCase):
    """What follows from the figures."""

    def test_accesses(self):
        """Time in accesses, and the best ratio."""
        self.assertEqual(floors.part(100, 3, 1000), 0.3)
        self.assertEqual(floors.best_ratio(2, 1000, 1000), 0.5)
        self.assertIsNone(floors.best_ratio(0, 1000, 1000))

    def test_mixed(self):
        """Against the better of the others, within 5 %."""
        rates = {"static": [100, 102], "copied": [10], "mixed": [96, 97]}
        best, ratio, reached = floors.mixed_aim(rates)
        self.assertEqual((best, reached), ("static", True))
        self.assertAlmostEqual(ratio, (0.96 + 97 / 102) / 2)
        self.assertFalse(floors.mixed_aim(dict(rates, copied=[110]))[2])
        self.assertIsNone(floors.mixed_aim({"static": [1]}))
        self.assertIsNone(floors.mixed_aim({"mixed": [1]}))

    def test_crossing(self):
        """The least size from which on mapping is never slower."""
        rows = [(4, 9, 5), (8, 9, 10), (16, 9, 8), (32, 9, 9), (64, 5, 9)]
        self.assertEqual(floors.crossing(rows), 32)
        self.assertIsNone(floors.crossing(rows[:3]))


class Reports(unittest.TestCase):
    """The tables take what is measured, and configurations can be made."""

    def test_tables(self):
        """Every table, with a path left out."""
        point = meter(FakeHost()).point(workloads.Point.parse("r1m-4"))
        guest = {"title": "a kernel", "facts": {"uname": "6.12",
                                              "clock": "tsc"},
                 "clock_rate": domains.clock_rate((10, 5), (20, 10)),
                 "access": {"broker": {"mean_us": 700.0, "least_us": 300.0}},
                 "io": {"r1m-4": {**point, "qemu": point["blkfront"]}},
                 "sweep": {"default": 8192, "depths": {"1": [
                     (4096, 9.0, 5.0, 2.0), (8192, 9.0, 18.0, 2.0)]}}}
        out = {"host": "arm64", "processors": 1,
               "guests": [guest]}
        text = "\n".join(table.report(out))
        page = list(table.page("arm64", out, "a command"))
        self.assertEqual([line.strip() for line in page[-3:]],
                         [line.strip() for line in text.split("\n")[-3:]])
        for words in ("1 MiB read, depth 4", "best ratio by guest", "1.00", "ratio to qemu",
                      "reached at 1 of 1 points", "from 8192 B on",
                      "(tsc) ran at 0.500"):
            self.assertIn(words, text)
        self.assertNotIn("by mmio", text)
        guest["io"]["r1m-4"]["pci"] = {**point["static"], "rates": [10, 10]}
        self.assertIn("0.50", list(table.transport_table(guest["io"]))[-1])
        del guest["io"]["r1m-4"]["blkfront"], guest["io"]["r1m-4"]["static"]
        del guest["io"]["r1m-4"]["qemu"], guest["sweep"]
        text = "\n".join(table.guest_report(guest, 1))
        self.assertNotIn("reached", text)

    def test_guests(self):
        """With and without guests; what each adds."""
        def row(count):
            times = {verb: {"median": 100 + 2 * count}
                     for verb in guests.VERBS}
            found = {"guests": count, "plain": times, "restricted": times,
                     "list": {"median": 4.0}, "idle": [0.5, 0.1]}
            if count:
                found["broker"] = {"sum_kib": 700 * count}
            return found
        rows = [row(0), row(50)]
        self.assertEqual(guests.slope(rows, "plain", "destroy"), 2)
        lines = list(table.many_report({"kernel": "small", "rows": rows}))
        self.assertIn(" - ", lines[2] + " ")
        self.assertIn("200.0", lines[3])
        self.assertEqual(lines[3].split()[-1], "700")
        self.assertEqual(lines[-1].split()[-1], "2.00")

    def test_networks(self):
        """Points by name; a turn's parts; the tables."""
        self.assertEqual(len(net.points(None)), 10)
        with self.assertRaises(ValueError):
            net.points("tcp-out")
        point, = net.points("tcp1500-out")

        def look(n):
            return (json.dumps({"devices": [
                {"id": "static", "mode": "static", "counters": {
                    "mmio_reads": n, "mmio_writes": 0}}]}) +
                "\n@@\n1 2 3\n@@\n@@\n"
                f"14: {n} xen-dyn Edge -event evtchn:vr-worker\n@@\n"
                f"  vif5.0: 1 {n} 0 0 0 0 0 0 1 {n} 0\n"
                f"vif5-static: 1 {2 * n} 0 0 0 0 0 0 1 0 0\n@@\n"
                f"12: {n} GICv3 33 Edge virtio0\n@@\n")

        class Host:  # pylint: disable=too-few-public-methods
            """What dom0 says."""

            def ok(self, _command, _limit=0):
                """Two runs of 4 MiB in two seconds."""
                return look(0) + ("4194304 2.0\n@@\n" + look(64)) * 2

        rows = {"netfront": [], "static": []}
        ends = net.Ends(Host(), list(rows), 5, 6)
        net.turn(ends, point, list(rows), 7000, rows)
        rate, number, counts = rows["netfront"][0]
        self.assertEqual((rate, number, counts["packets"]), (2.0, 4.0, 128))
        # The second run's looks are the first one's last, and another.
        self.assertEqual(rows["static"][0][2]["exits"], 0)
        found = {p: {"rates": [r[0][0]], "rate": r[0][0], "number": r[0][1],
                     "counts": r[0][2]} for p, r in rows.items()}
        text = "\n".join(table.net_report([{"title": "a kernel", "points": {
            point.name: {"title": point.title, "unit": point.unit,
                         "paths": found}}}]))
        self.assertIn("1.00 MiB/s", text)
        self.assertIn("for each KiB", text)

    def test_configurations(self):
        """A guest of each kernel has a disk for each path."""
        opt = argparse.Namespace(poll=None, window="32M", strict=1, keys="",
                                 guest_args="", queues=4)
        for name in arch.ALL:
            build.choose(name, "bench")
            for kernel in paths.kernels():
                text = paths.guest_cfg(kernel, kernel.paths, opt)
                self.assertIn("vcpus = 4\n", text)
                for path in kernel.paths:
                    self.assertIn({"blkfront": "vdev=xvda",
                                   "qemu": "virtio-blk-pci"}.get(
                                       path, f"id={path},"), text)
            with self.assertRaises(ValueError):
                paths.kernels(["none"])


if __name__ == "__main__":
    unittest.main()
