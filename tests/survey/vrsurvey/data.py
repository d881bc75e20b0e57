# SPDX-License-Identifier: LGPL-2.1-or-later
"""The data files that are committed: small, and all that the report needs."""

import csv
import os

from . import model, patterns

# The loads that the plots show, by device; the bars have more.
SHOWN = {"blk": ("random-4k-depth-32", "sequential-1m-huge"),
         "net": ("send-1500", "send-64k", "receive-1500"),
         "console": ("lines",), "rng": ("reads-4k",),
         "9p": ("sequential-1m",), "input": ("keys",), "gpu": ("square-200",),
         "crypto": ("messages-16k",)}
BARS = SHOWN | {"blk": ("random-4k", "random-4k-depth-32",
                        "sequential-1m-huge", "file-system"),
                "scsi": ("random-4k", "file-system"),
                "9p": ("small-files", "sequential-1m"),
                "crypto": ("messages-64", "messages-16k"),
                "mem": ("plug",), "pmem": ("write-flush",)}
# What one plot does not show: lines at its edge.
HIDDEN = {"flight": ("rng reads-4k", "crypto messages-16k", "net receive-1500"),
          "reuse": ("console lines", "rng reads-4k", "input keys"),
          "lifetimes": ("console lines",)}
POINTS = 60     # of a curve, at most
# A machine to compare with, in the plot of costs: exit and page.
EXAMPLE = (2000, 100)
EXAMPLE_NAME = "example: mapped"
LARGE = 65536   # bytes: what may be worth mapping


def write(folder, name, head, rows):
    with open(os.path.join(folder, name + ".csv"), "w", encoding="ascii",
              newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def read(folder, name):
    with open(os.path.join(folder, name + ".csv"), encoding="ascii") as file:
        return list(csv.DictReader(file))


def curve(values):
    """(value, share of the values that are not larger): a step for each value,
    or for each of some shares if there are many."""
    values = sorted(values)
    points, last = [], None
    step = max(1, len(values) // POINTS)
    for number, value in enumerate(values, 1):
        if number % step and number != len(values):
            continue
        if value == last:
            points.pop()
        points.append((value, round(number / len(values), 4)))
        last = value
    return points


def rising(values):
    """The curve, from 0 on."""
    points = curve(values)
    return [(points[0][0], 0), *points] if points else []


def level(points):
    """The curve, to the end of the load."""
    return [*points, (1, points[-1][1])] if points else []


def visible(plot, rows):
    return [row for row in rows if row[0] not in HIDDEN.get(plot, ())]


def shown(sessions):
    """(name of the curve, session, mappings, load) of what the plots show."""
    for device, loads in SHOWN.items():
        for load in loads:
            made = sessions.get(device)
            own = [m for m in made.mappings if m.load == load] if made else []
            if own:
                yield f"{device} {load}", made, own, load


def thin(points):
    """The highest point of each of so many stretches."""
    step = max(1, -(-len(points) // POINTS))
    return [max(points[i:i + step], key=lambda point: point[1])
            for i in range(0, len(points), step)]


def curves(folder, sessions):
    sizes, lives, reuses, flights = [], [], [], []
    for name, made, own, load in shown(sessions):
        sizes += [(name, *p) for p in rising(m.size for m in own)]
        lives += [(name, *p) for p in rising(
            m.end - m.start for m in own
            if m.end is not None and m.end < made.stop)]
        reuses += [(name, *p) for p in rising(
            m.reuse + 1 for m in own if m.reuse is not None)]
        begin, end = made.ends()[load]
        flights += [(name, *p) for p in level(
            [(round((time - begin) / (end - begin), 4), size)
             for time, size in thin(patterns.flight(made.mappings, begin,
                                                    end))])]
    write(folder, "sizes", ("load", "bytes", "share"), sizes)
    write(folder, "lifetimes", ("load", "us", "share"),
          visible("lifetimes", lives))
    write(folder, "reuse", ("load", "pages", "share"),
          visible("reuse", reuses))
    write(folder, "flight", ("load", "time", "bytes"),
          visible("flight", flights))


def verdict(rows, requests):
    """What fits a device: from the rows of its loads."""
    if not any(int(row["maps"]) for row in rows):
        return "none" if requests else "-"
    if any(int(row["objects"]) for row in rows):
        return "dynamic"
    if any(float(row["large"]) >= 0.5 for row in rows
           if row["load"] not in ("start", "idle")):
        return "mixed"
    return "static"


def tables(folder, sessions, counts, bounced, slots):
    """sessions, counts: of the boot with an IOMMU, by device; bounced: the
    sessions without one, slots: the most of the pool that each had then."""
    rows = []
    for device, made in sessions.items():
        for load in made.loads:
            row = patterns.figures(device, load, made)
            own = [m for m in made.mappings if m.load == load]
            row["large"] = f"""{sum(m.size for m in own if m.size >= LARGE)
                                / max(1, sum(m.size for m in own)):.3f}"""
            row["objects"] = sum(m.whole for m in own)
            rows.append(row)
    write(folder, "patterns", list(rows[0]), [row.values() for row in rows])
    write(folder, "counts",
          ("device", "requests", "buffers", "tables", "expected", "mapped",
           "posted", "recorded"),
          [(device, count.requests, count.pieces, count.tables, count.mapped,
            sessions[device].used() + sessions[device].posted(),
            sessions[device].posted(), sessions[device].used())
           for device, count in counts.items() if device in sessions])
    write(folder, "pools", ("device", "maps", "bounces", "predicted", "used"),
          [(device, sum(not m.whole for m in made.mappings), made.bounced,
            max((size for _, size in patterns.flight(
                made.mappings, 0, made.stop, patterns.slots)), default=0),
            max(0, slots[device]) * patterns.SLOT)
           for device, made in bounced.items()])
    exposed = [(f"{row['device']} {row['load']}", row["touched"],
                row["exposed"]) for row in rows
               if row["load"] in BARS.get(row["device"], ())]
    exposed.sort(key=lambda row: -float(row[2]))
    write(folder, "exposed", ("load", "touched", "exposed"), exposed)


def costs(folder, document, copies):
    """Cost against size: measured on the counting clock, and plain copies on
    the machine that made the survey."""
    measured = model.measured(document)
    leave, page = model.fit(measured)
    rows = []
    sizes = [4096 << n for n in range(11)]
    rows += [("counting clock: copied", size,
              round(model.copy(size, model.COUNTED_RATE))) for size in sizes]
    rows += [("counting clock: mapped", size,
              round(model.mapped(size, leave, page))) for size in sizes]
    for column in ("warm", "cold"):
        rows += [(f"{column} caches: copied", int(row["size"]),
                  row[column + "_ns"]) for row in copies
                 if int(row["size"]) >= 4096]
    rows += [(EXAMPLE_NAME, size, round(model.mapped(size, *EXAMPLE)))
             for size in sizes]
    write(folder, "cost", ("what", "bytes", "ns"), rows)
    write(folder, "sweep", ("bytes", "copied_ns", "mapped_ns"),
          [(size, round(a), round(b)) for size, a, b in measured])
