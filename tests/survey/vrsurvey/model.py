# SPDX-License-Identifier: LGPL-2.1-or-later
"""When mapping a buffer is cheaper than copying it.

    copy(size) = size / rate
    map(size)  = 2 * exit + pages(size) * page

exit: a MAP or an UNMAP without its pages: the guest leaves, somebody answers
and the guest goes on. page: what a page costs to be granted, reached by the
backend and taken back. rate: bytes that the guest copies in a nanosecond. All
times are nanoseconds."""

import re

PAGE = 4096
# Copying 16 bytes takes two instructions of a nanosecond on the counting
# clock (docs/performance.md).
COUNTED_RATE = 8.0
ROW = re.compile(r"\| (\d+) ([KM])iB(?:, depth 1)? \| (\d+)(?: IOPS)? \| "
                 r"(\d+): 0\.\d+ \|")


def copy(size, rate):
    return size / rate


def mapped(size, leave, page):
    return 2 * leave + -(-size // PAGE) * page


def crossover(leave, rate, page):
    """The smallest whole number of pages, in bytes, for which mapping is not
    dearer, or None: copying is cheaper at every size."""
    gain = PAGE / rate - page
    if gain <= 0:
        return None
    return max(1, -int(-2 * leave // gain)) * PAGE


def line(points):
    """(height at 0, slope) of the straight line through points, by least
    squares."""
    n = len(points)
    sx = sum(x for x, _ in points)
    sy = sum(y for _, y in points)
    sxx = sum(x * x for x, _ in points)
    sxy = sum(x * y for x, y in points)
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return (sy - slope * sx) / n, slope


def measured(document):
    """(size, ns copied, ns mapped) of each request, at depth 1, from the table
    of docs/performance.md, "The module's threshold"."""
    part = document.partition("### The module's threshold")[2]
    rows = []
    for number, unit, copied, maps in ROW.findall(part):
        size = int(number) << {"K": 10, "M": 20}[unit]
        rows.append((size, 1e9 / int(copied), 1e9 / int(maps)))
    if len(rows) < 3:
        raise ValueError("docs/performance.md has no such table")
    return rows


def fit(rows, rate=COUNTED_RATE):
    """(exit, page) that explain how much dearer the mapped requests are."""
    fixed, slope = line([(size / PAGE, maps - copied)
                         for size, copied, maps in rows])
    return fixed / 2, slope + PAGE / rate
