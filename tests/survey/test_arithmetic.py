#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The survey's arithmetic, without a machine."""

import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
# pylint: disable=wrong-import-position
from vrsurvey import compare, data, model, patterns, queues

# A request of three buffers, of which two lie on one page and overlap in time
# with one that stays; then a page once more, and a surface.
RECORD = """\
100,mark,start
110,alloc,both,ffffe000,0,6726
120,iomap,-,f0000,40000,4096
120,map,in,f0010,40010,16
130,mark,work
140,map,out,f1000,40100,256
150,map,in,f2000,50000,4096
160,unmap,out,f1000,0,256
170,unmap,in,f2000,0,4096
180,map,in,f3000,50000,4096
190,unmap,in,f3000,0,4096
200,iomap,-,f10000,60000,8192
200,iomap,-,f12000,90000,4096
200,sg,both,f10000,60000,12288
210,iounmap,-,f10000,0,12288
300,mark,stop
310,unmap,in,f0010,0,16
"""


def session(text=RECORD):
    return patterns.session(text.splitlines(True))


class Patterns(unittest.TestCase):
    def test_maps_and_unmaps_are_pairs(self):
        made = session()
        self.assertEqual([(m.start, m.end, m.size, m.load)
                          for m in made.mappings],
                         [(120, 310, 16, "start"), (140, 160, 256, "work"),
                          (150, 170, 4096, "work"), (180, 190, 4096, "work"),
                          (200, 210, 12288, "work")])
        self.assertEqual(made.rings, 8192)
        self.assertEqual(made.ends(), {"start": (100, 130),
                                       "work": (130, 300)})

    def test_what_was_never_used_is_apart(self):
        made = session()
        self.assertEqual(made.posted(), 1)
        # The surface is in no queue.
        self.assertEqual(made.used(), 3)

    def test_pages_that_are_shared_and_used_again(self):
        first, second, third, again, whole = session().mappings
        self.assertFalse(first.shared)
        self.assertTrue(second.shared)
        self.assertFalse(third.shared)
        self.assertEqual(second.reuse, 0)
        self.assertEqual(third.reuse, None)
        self.assertEqual(again.reuse, 0)
        self.assertEqual(whole.pieces, 2)

    def test_reuse_counts_other_pages_once(self):
        text = "0,mark,x\n"
        for number, page in enumerate((1, 2, 3, 2, 1)):
            text += (f"{number},map,in,{number:x}000,{page:x}000,8\n"
                     f"{number},unmap,in,{number:x}000,0,8\n")
        made = session(text + "9,mark,stop\n")
        self.assertEqual([m.reuse for m in made.mappings],
                         [None, None, None, 1, 2])

    def test_bytes_in_flight(self):
        made = session()
        self.assertEqual(patterns.flight(made.mappings, 130, 175),
                         [(130, 16), (140, 272), (150, 4368), (160, 4112),
                          (170, 16)])
        self.assertEqual(max(n for _, n in patterns.flight(
            made.mappings, 130, 175, patterns.slots)), 2048 + 2048 + 4096)

    def test_a_page_is_exposed_once(self):
        made = session()
        # Two buffers, of 16 and 256 bytes, of one page.
        self.assertAlmostEqual(patterns.exposure(made.mappings, 140, 150),
                               4096 / 272)

    def test_a_buffer_that_is_mapped_twice_is_needed_once(self):
        made = session("0,mark,x\n0,map,in,1000,7000,64\n"
                       "0,map,out,2000,7000,64\n9,unmap,in,1000,0,64\n"
                       "9,unmap,out,2000,0,64\n9,mark,stop\n")
        self.assertEqual(patterns.exposure(made.mappings, 0, 9), 64)

    def test_quantiles(self):
        self.assertEqual(patterns.quantile([], .5), 0)
        self.assertEqual(patterns.quantile([7], .9), 7)
        values = list(range(1, 11))
        self.assertEqual([patterns.quantile(values, share)
                          for share in (.1, .5, .9, 1)], [1, 5, 9, 10])

    def test_what_is_no_record_is_refused(self):
        for text in ("", "1,map,in,f000\n", "x,mark,start\n",
                     "1,mark,start\n2,unmap,in,f000,0,1\n3,mark,stop\n",
                     "1,mark,start\n2,sgmore,in,0,0,9\n3,mark,stop\n"):
            with self.assertRaises((patterns.Wrong, ValueError), msg=text):
                session(text)


class Queues(unittest.TestCase):
    TRACE = """\
virtio_set_status vdev 0xb val 3
virtio_queue_notify vdev 0xb n 0 vq 0xb0
virtqueue_pop vq 0xb0 elem 0x1 in_num 2 out_num 1
virtio_set_status vdev 0xa val 1
virtio_set_status vdev 0xb val 1
virtio_set_status vdev 0xb val 3
virtio_queue_notify vdev 0xb n 1 vq 0xb1
virtqueue_pop vq 0xb0 elem 0x1 in_num 2 out_num 1
virtqueue_fill vq 0xb0 elem 0x1 len 1 idx 0
virtqueue_pop vq 0xb1 elem 0x1 in_num 0 out_num 1
virtqueue_pop vq 0xc1 elem 0x1 in_num 0 out_num 1
"""

    def test_the_last_driver_s_requests_are_counted(self):
        counts = queues.read(self.TRACE.splitlines(), ("first", "second"))
        self.assertEqual(counts["first"].requests, 0)
        second = counts["second"]
        self.assertEqual((second.requests, second.pieces, second.tables,
                          second.answered), (2, 4, 1, 1))
        self.assertEqual(second.mapped, 5)
        self.assertEqual(dict(second.queues), {0: 1, 1: 1})


class Data(unittest.TestCase):
    def test_vrctl_has_the_counted_figures(self):
        """tools/libs/survey/advice.c has them as numbers."""
        with open(os.path.join(ROOT, "tools/libs/survey/advice.c"),
                  encoding="ascii") as file:
            text = file.read()
        with open(os.path.join(ROOT, "docs/performance.md"),
                  encoding="utf-8") as file:
            leave, page = model.fit(model.measured(file.read()))
        for name, value in (("exit_ns", leave), ("page_ns", page),
                            ("rate", model.COUNTED_RATE)):
            found = re.search(rf"[.]{name} = (\d+)", text)
            self.assertLess(abs(int(found[1]) / value - 1), 0.05, name)

    def test_curves_end_at_all(self):
        points = data.curve([5] * 90 + list(range(1000)))
        self.assertLessEqual(len(points), data.POINTS + 5)
        self.assertEqual(points[-1], (999, 1.0))
        self.assertEqual(data.curve([3, 3, 4]), [(3, 0.6667), (4, 1.0)])

    def test_verdicts(self):
        def row(load="work", maps=9, large="0.1", objects=0):
            return {"load": load, "maps": str(maps), "large": large,
                    "objects": str(objects)}
        self.assertEqual(data.verdict([row()], 5), "static")
        self.assertEqual(data.verdict([row(), row(large="0.5")], 5), "mixed")
        # What happens while it starts is no reason.
        self.assertEqual(data.verdict([row("start", large="1")], 5), "static")
        self.assertEqual(data.verdict([row(objects=1)], 5), "dynamic")
        self.assertEqual(data.verdict([row(maps=0)], 5), "none")


class Compare(unittest.TestCase):
    @staticmethod
    def rows(load, **changes):
        row = {name: "100" for name in (*compare.SAME, *compare.NEAR)}
        return [{"device": "blk", "load": load, "large": "0", "objects": "0",
                 **row, **changes}]

    def test_some_loads_have_to_be_the_same(self):
        before = self.rows("random-4k")
        self.assertEqual(compare.differences(before, before), (9, []))
        _, wrong = compare.differences(before, self.rows("random-4k",
                                                         maps="101"))
        self.assertEqual(len(wrong), 1)

    def test_others_within_bounds(self):
        before = self.rows("file-system")
        for changes, expected in (({"maps": "900", "bytes": "124"}, 0),
                                  ({"bytes": "126"}, 1),
                                  ({"pool": "201", "in_flight": "49"}, 2),
                                  ({"large": "0.9"}, 1)):
            _, wrong = compare.differences(before, self.rows("file-system",
                                                             **changes))
            self.assertEqual(len(wrong), expected, changes)


class Model(unittest.TestCase):
    def test_the_crossover_is_where_costs_meet(self):
        for leave, rate, page in ((5000, 5, 300), (2000, 10, 200), (0, 8, 1)):
            limit = model.crossover(leave, rate, page)
            self.assertLessEqual(model.mapped(limit, leave, page),
                                 model.copy(limit, rate) + 1e-6)
            if limit > model.PAGE:
                less = limit - model.PAGE
                self.assertGreater(model.mapped(less, leave, page),
                                   model.copy(less, rate))

    def test_there_may_be_none(self):
        self.assertIsNone(model.crossover(1, 8, 512))
        self.assertIsNone(model.crossover(37000, 8, 4700))

    def test_the_fit_finds_what_it_was_made_of(self):
        rows = [(size, 1000 + model.copy(size, 8),
                 1000 + model.mapped(size, 30000, 3000))
                for size in (4096, 65536, 1048576)]
        leave, page = model.fit(rows)
        self.assertAlmostEqual(leave, 30000)
        self.assertAlmostEqual(page, 3000)

    def test_the_documented_table_is_found(self):
        root = os.path.join(HERE, "..", "..", "docs", "performance.md")
        with open(root, encoding="utf-8") as file:
            rows = model.measured(file.read())
        self.assertEqual([size >> 10 for size, _, _ in rows],
                         [4, 16, 32, 64, 128, 256, 1024])
        self.assertTrue(all(copied < maps for _, copied, maps in rows))


if __name__ == "__main__":
    unittest.main()
