# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a record of events to figures of a device: sizes, lifetimes, pages
shared, bytes exposed, bytes in flight, reuse."""

import collections
import dataclasses
import heapq

PAGE = 4096
SLOT = 2048        # what swiotlb, Linux's bounce buffers, gives out
HEX = 16


@dataclasses.dataclass
class Mapping:
    """A piece of memory, from its map to its unmap."""
    start: int
    dma: int
    phys: int
    size: int
    direction: str
    load: str
    pieces: int = 1         # MAPs that an IOMMU needs for it
    whole: bool = False     # an object of many pages, mapped at once
    shared: bool = False    # a page of it was in another mapping at its start
    reuse: int = None       # other pages mapped since its first page was
    end: int = None

    def pages(self):
        """Numbers of the pages that it touches: of memory or, where only the
        first is known, of the IOMMU's addresses, which lie above all memory
        of the surveyed machine."""
        first = self.dma if self.whole else self.phys
        return range(first // PAGE, (first + self.size - 1) // PAGE + 1)

    def place(self):
        """What tells buffers apart: one may be mapped twice, to be read and
        to be written."""
        return self.phys, self.size

    def exposed(self):
        return len(self.pages()) * PAGE


@dataclasses.dataclass
class Session:
    """All that was recorded of a device."""
    mappings: list = dataclasses.field(default_factory=list)
    loads: dict = dataclasses.field(default_factory=dict)  # name: begin
    rings: int = 0          # bytes that the driver allocated for good
    bounced: int = 0
    failed: int = 0
    stop: int = None

    def posted(self):
        """Buffers that the driver had given to the device, which had not used
        them when the driver was taken off."""
        return sum(m.start < self.stop and not m.whole
                   and (m.end is None or m.end >= self.stop)
                   for m in self.mappings)

    def used(self):
        """Buffers that the device was given and gave back."""
        return sum(not m.whole for m in self.mappings) - self.posted()

    def ends(self):
        """name: (begin, end) of each load."""
        names = list(self.loads)
        times = [*self.loads.values(), self.stop]
        return {name: (times[i], times[i + 1])
                for i, name in enumerate(names)}


class Wrong(Exception):
    """The record is not one; the text says why."""


def row(line):
    """Time, kind and the rest of a line of record.c."""
    words = line.rstrip("\n").split(",")
    if len(words) == 3 and words[1] == "mark":
        return int(words[0]), "mark", words[2]
    if len(words) != 6:
        raise Wrong(f"not a line of a record: {line!r}")
    return (int(words[0]), words[1], words[2], int(words[3], HEX),
            int(words[4], HEX), int(words[5]))


def session(lines):
    """Reads a record. Each map is paired with its unmap by the address that
    the device has; what was scattered is taken back by the IOMMU, piece by
    piece, or by its address in memory."""
    made = Session()
    opened, scattered = {}, {}
    load, told = "start", 0
    for line in lines:
        time, kind, *rest = row(line)
        if kind == "mark":
            load = rest[0]
            if load == "stop":
                made.stop = time
            else:
                made.loads[load] = time
            continue
        direction, dma, phys, size = rest
        if kind == "map":
            opened[dma] = Mapping(time, dma, phys, size, direction, load)
            made.mappings.append(opened[dma])
        elif kind == "sg":
            new = Mapping(time, dma, phys, size, direction, load,
                          pieces=max(told, 1), whole=True)
            scattered[dma // PAGE] = new
            made.mappings.append(new)
        elif kind == "unmap":
            found = opened.pop(dma, None)
            if found is None:
                raise Wrong(f"nothing was mapped at {dma:x}: {line!r}")
            found.end = time
        elif kind == "iounmap":
            found = scattered.pop(dma // PAGE, None)
            if found is not None:
                found.end = time
        elif kind == "alloc":
            made.rings += -(-size // PAGE) * PAGE
        elif kind == "bounce":
            made.bounced += 1
        elif kind == "fail":
            made.failed += 1
        elif kind == "sgmore":
            raise Wrong("the kernel left out pieces of a scattered mapping")
        # What the IOMMU is told precedes the mapping that it is told for.
        told = told + 1 if kind == "iomap" else 0
    if made.stop is None:
        raise Wrong("the record has no end")
    look_back(made.mappings)
    return made


class Tree:
    """Sums of a row of numbers, from its begin to any place."""

    def __init__(self, size):
        self.sums = [0] * (size + 1)

    def add(self, place, value):
        place += 1
        while place < len(self.sums):
            self.sums[place] += value
            place += place & -place

    def upto(self, place):
        total = 0
        while place > 0:
            total += self.sums[place]
            place -= place & -place
        return total


def look_back(mappings):
    """Sets shared and reuse: both need all that came before."""
    live = collections.Counter()
    ends = []
    last, tree = {}, Tree(len(mappings))
    for number, mapping in enumerate(mappings):
        while ends and ends[0][0] < mapping.start:
            for page in heapq.heappop(ends)[2]:
                live[page] -= 1
        mapping.shared = any(live[page] > 0 for page in mapping.pages())
        for page in mapping.pages():
            live[page] += 1
        if mapping.end is not None:
            heapq.heappush(ends, (mapping.end, number, mapping.pages()))
        first = mapping.phys // PAGE
        if first in last:
            mapping.reuse = tree.upto(number) - tree.upto(last[first] + 1)
            tree.add(last[first], -1)
        tree.add(number, 1)
        last[first] = number


def quantile(values, share):
    """Of numbers in order: the smallest that this share does not exceed."""
    if not values:
        return 0
    return values[min(len(values) - 1, max(0, -(-int(share * 1000)
                                                * len(values) // 1000) - 1))]


def flight(mappings, begin, end, cost=lambda mapping: mapping.size):
    """(time, bytes) of what was mapped, whenever that changed."""
    changes = []
    for mapping in mappings:
        until = end + 1 if mapping.end is None else mapping.end
        if until < begin or mapping.start > end:
            continue
        changes.append((max(mapping.start, begin), cost(mapping)))
        changes.append((until, -cost(mapping)))
    # At the same microsecond what goes makes room for what comes.
    changes.sort()
    total, points = 0, []
    for time, change in changes:
        if time > end:
            break
        total += change
        points.append((time, total))
    return points


def exposure(mappings, begin, end):
    """Bytes of pages that were mapped, for each byte that was, over the time
    in which anything was. A page, or a buffer,
    counts once, however often it is mapped."""
    changes = []
    for mapping in mappings:
        until = end if mapping.end is None else min(mapping.end, end)
        if until > begin and mapping.start < until:
            changes.append((max(mapping.start, begin), 1, mapping))
            changes.append((until, -1, mapping))
    changes.sort(key=lambda change: change[:2])
    live = collections.Counter()
    size = count = needed = exposed = 0
    last = begin
    for time, sign, mapping in changes:
        needed += size * (time - last)
        exposed += count * PAGE * (time - last)
        last = time
        live[mapping.place()] += sign
        if live[mapping.place()] == max(sign, 0):
            size += sign * mapping.size
        for page in mapping.pages():
            live[page] += sign
            if live[page] == max(sign, 0):
                count += sign
    return exposed / needed if needed else 0


def slots(mapping):
    """Bytes of a pool that it takes while it is bounced. A longer one would be
    cut by the driver, which is told the longest that fits."""
    return -(-mapping.size // SLOT) * SLOT


COLUMNS = ("device", "load", "seconds", "maps", "iommu_maps", "bytes", "out",
           "in", "size_p10", "size_p50", "size_p90", "size_max", "life_p50",
           "life_p90", "life_max", "standing", "shared", "touched", "exposed",
           "in_flight", "pool", "reuse_p50", "reused")


def figures(device, name, made):
    """One row of the table, for one load."""
    begin, end = made.ends()[name]
    own = [m for m in made.mappings if m.load == name]
    sizes = sorted(m.size for m in own)
    # What the driver's end took back says nothing of the device.
    lives = sorted(m.end - m.start for m in own
                   if m.end is not None and m.end < made.stop)
    reuses = sorted(m.reuse for m in own if m.reuse is not None)
    total = sum(sizes)
    peak = max((n for _, n in flight(made.mappings, begin, end)), default=0)
    pool = max((n for _, n in flight(made.mappings, begin, end, slots)),
               default=0)
    return dict(zip(COLUMNS, (
        device, name, f"{(end - begin) / 1e6:.3f}", len(own),
        sum(m.pieces for m in own), total,
        sum(m.size for m in own if m.direction == "out"),
        sum(m.size for m in own if m.direction == "in"),
        quantile(sizes, .1), quantile(sizes, .5), quantile(sizes, .9),
        sizes[-1] if sizes else 0,
        quantile(lives, .5), quantile(lives, .9), lives[-1] if lives else 0,
        len(own) - len(lives),
        f"{sum(m.shared for m in own) / len(own):.3f}" if own else "0",
        f"{sum(m.exposed() for m in own) / total:.3f}" if own else "0",
        f"{exposure(made.mappings, begin, end):.3f}",
        peak, pool + made.rings, quantile(reuses, .5),
        f"{len(reuses) / len(own):.3f}" if own else "0")))
