# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report, for people."""

from . import counters, floors, guests, net
from .measure import PROCESSORS
from .paths import BY_PCI, OURS
from .workloads import Point

HEADS = {"exits": "exits", "iommu": "iommu req.", "guest_irq": "guest irq",
         "driver_irq": "driver irq", "dom0_irq": "dom0 irq",
         "grant_ops": "grant ops", "copied": "copied B", "requests": "requests"}
WIDE = 28
ONE_PIECE = 2.5  # a MAP and an UNMAP, and room for a request that was split


def rates(row, point):
    """Rates of all paths at a point; ratios to blkfront's."""
    cells = []
    for path, one in row.items():
        value, _ = point.rate(one["iops"], 1)
        cells.append(f"{value:11.1f}")
        if path != "blkfront" and "blkfront" in row:
            ratio = counters.ratio(one["rates"], row["blkfront"]["rates"])
            cells.append(f"{ratio:6.2f}")
    return "".join(cells) + " " + point.rate(1, 1)[1]


def io_table(io):
    """Lines of the table of all paths."""
    some = next(iter(io.values()))
    head = "".join(f"{path:>11}" + ("" if path == "blkfront" or
                                    "blkfront" not in some else f"{'ratio':>6}")
                   for path in some)
    yield f"{'':{WIDE}}{head}"
    for name, row in io.items():
        point = Point.parse(name)
        yield f"{point.title:{WIDE}}{rates(row, point)}"


def transport_table(io):
    """Lines with the rates of PCI functions by those of virtio-mmio devices."""
    some = next(iter(io.values()))
    pairs = [p for p in some if BY_PCI.get(p) in some]
    if not pairs:
        return
    yield ""
    yield (f"{'ratio to the same by mmio':{WIDE}}" +
           "".join(f"{path:>13}" for path in pairs))
    for name, row in io.items():
        yield f"{Point.parse(name).title:{WIDE}}" + "".join(
            f"{counters.ratio(row[p]['rates'], row[BY_PCI[p]]['rates']):13.2f}"
            for p in pairs)


def count(value):
    """A cell with a count, or with a dash."""
    if value is None:
        return f"{'-':>11}"
    return f"{value:11.0f}" if value >= 1000 else f"{value:11.3f}"


def count_table(io):
    """Lines of the table of costs per I/O; what is not counted has a dash."""
    yield f"{'for each I/O':{WIDE}}" + "".join(
        f"{HEADS[c]:>11}" for c in counters.COUNTS)
    for name, row in io.items():
        yield Point.parse(name).title
        for path, one in row.items():
            yield f"{'  ' + path:{WIDE}}" + "".join(
                count(one["per_io"].get(c)) for c in counters.COUNTS)


def floor_table(io, cost):
    """Lines with what the accesses to registers cost: the guest has one
    processor, which does nothing else meanwhile."""
    ours = [p for p in next(iter(io.values())) if p in OURS]
    mean = cost["broker"]["mean_us"]
    for who, one in cost.items():
        yield (f"an access to a register that {who} answers: "
               f"{one['mean_us']:.0f} us, the fastest {one['least_us']:.0f}")
    yield (f"{'time spent in them':{WIDE}}" +
           "".join(f"{path:>11}" for path in ours) +
           "    best ratio to blkfront if all else took none")
    for name, row in io.items():
        cells = "".join(
            f"{floors.part(row[p]['iops'], row[p]['per_io']['exits'], mean):11.0%}"
            for p in ours)
        if "blkfront" in row:
            best = (floors.best_ratio(row[p]["per_io"]["exits"], mean,
                                      row["blkfront"]["iops"]) for p in ours)
            cells += "    " + "".join(
                f"{'-':>8}" if b is None else f"{b:8.2f}" for b in best)
        yield f"{Point.parse(name).title:{WIDE}}{cells}"


def processor_table(io, processors):
    """Lines with the processor time of each domain. Whatever else is done at
    the same time, a processor has to do it: blkfront's whole time for a
    request, divided by that, is the most that the ratio can be."""
    yield ""
    yield (f"{'processor time, us':{WIDE}}" +
           "".join(f"{name:>11}" for name in PROCESSORS) +
           "   best ratio by guest, driver, both")
    for name, row in io.items():
        yield Point.parse(name).title
        for path, one in row.items():
            used = [one["per_io"][who] for who in PROCESSORS]
            line = (f"{'  ' + path:{WIDE}}" +
                    "".join(f"{us:11.1f}" for us in used))
            if path in OURS and "blkfront" in row:
                whole = 1e6 / row["blkfront"]["iops"]
                least = (*used[:2], sum(used[:2]) / processors)
                line += "   " + "".join(
                    f"{whole / us:8.2f}" if us else f"{'-':>8}" for us in least)
            yield line


def isolation_table(io):
    """Lines with the ratios to QEMU's virtio-blk in dom0."""
    paths = [p for p in next(iter(io.values())) if p != "qemu"]
    yield (f"{'ratio to qemu':{WIDE}}" +
           "".join(f"{path:>11}" for path in paths))
    for name, row in io.items():
        yield f"{Point.parse(name).title:{WIDE}}" + "".join(
            f"{counters.ratio(row[p]['rates'], row['qemu']['rates']):11.2f}"
            for p in paths)


def mixed_table(io):
    """Lines that say whether mixed is as good as the better of both."""
    yield (f"{'mixed, aim ' + str(floors.MIXED_AIM):{WIDE}}{'best other':>11}"
           f"{'ratio':>7}")
    good = 0
    for name, row in io.items():
        best, ratio, reached = floors.mixed_aim(
            {p: one["rates"] for p, one in row.items()})
        good += reached
        yield (f"{Point.parse(name).title:{WIDE}}{best:>11}{ratio:7.2f}  "
               f"{'reached' if reached else 'missed'}")
    yield f"reached at {good} of {len(io)} points"


def sweep_table(sweep):
    """Lines with the rates at which memory in one piece is copied, or mapped."""
    yield f"the module's threshold is {sweep['default']} B by default"
    for depth, rows in sweep["depths"].items():
        yield (f"{'mixed, depth ' + depth:{WIDE}}{'copied':>11}{'mapped':>11}"
               f"{'ratio':>7}{'iommu req.':>12}")
        for size, copied, mapped, asked in rows:
            yield (f"{size:>{WIDE - 2}} B{copied:12.1f}{mapped:11.1f}"
                   f"{mapped / copied:7.2f}{asked:12.2f}" +
                   ("" if asked < ONE_PIECE else "  not in one piece"))
        least = floors.crossing([row[:3] for row in rows])
        yield ("  mapping is not slower from " + (
            f"{least} B on" if least else "no size measured on"))


def guest_report(one, processors):
    """Lines about one guest kernel."""
    facts = one["facts"]
    yield f"guest: {one['title']} ({facts['uname']})"
    if "clock_rate" in one:
        yield (f"its clock ({facts['clock']}) ran at {one['clock_rate']:.3f} "
               "of dom0's")
    if "blkfront" in facts:
        yield "blkfront: " + ", ".join(
            f"{k} {v}" for k, v in facts["blkfront"].items()) + \
            " (-: not said)"
    io = one.get("io")
    if io:
        paths = next(iter(io.values()))
        yield ""
        yield from io_table(io)
        yield from transport_table(io)
        yield ""
        yield from count_table(io)
        if "broker" in one["access"] and set(paths) & set(OURS):
            yield ""
            yield from floor_table(io, one["access"])
        yield from processor_table(io, processors)
        if "qemu" in paths:
            yield ""
            yield from isolation_table(io)
        if "mixed" in paths and set(paths) & set(floors.ONE_WAY):
            yield ""
            yield from mixed_table(io)
    if "sweep" in one:
        yield ""
        yield from sweep_table(one["sweep"])


def times(one, width=8):
    """A median with its spread."""
    return (f"{one['median']:{width}.1f} ms ({one['least']:.1f} to "
            f"{one['most']:.1f}, {one['runs']} runs)")


def create_report(found):
    """Lines about what the key adds to xl create."""
    yield f"xl create -p, beside a running driver domain ({found['kernel']})"
    yield f"  without the key    {times(found['plain'])}"
    yield f"  with it            {times(found['keyed'])}"
    yield f"  added, pair by pair{times(found['added'])}, target 100"
    if "pci" in found:
        yield f"  as a PCI function  {times(found['pci'])}"
        yield f"  added to the former{times(found['by_pci'])}, target 20"
    yield "grants of a 64 MiB window, in dom0"
    yield f"  table mapped       {times(found['seed']['map_table_ms'])}"
    yield f"  entries written    {times(found['seed']['write_ms'])}, target 10"


def size_report(found):
    """Lines about mapping and memory."""
    yield f"{found['map_mib']} MiB mapped by the backend, one call"
    yield f"  {'':19}{times(found['map_ms'])}"
    for name in ("broker", "backend"):
        row = found[name]
        yield (f"{name}: {row['processes']} processes, the largest "
               f"{row['largest_kib']} KiB resident (target 8192), together "
               f"{row['sum_kib']} KiB")


def survey_report(rows):
    """Lines about what a survey takes of the rate."""
    yield (f"{'static, while vrctl survey counts':{WIDE + 8}}{'without':>11}"
           f"{'with':>11}{'ratio':>7}")
    for name, without, surveyed in rows:
        point = Point.parse(name)
        yield (f"{'  ' + point.title:{WIDE + 8}}"
               f"{point.rate(without, 1)[0]:11.1f}"
               f"{point.rate(surveyed, 1)[0]:11.1f}{surveyed / without:7.3f} "
               + point.rate(1, 1)[1])


def many_report(found):
    """Lines about what the guests that are there cost."""
    rows = found["rows"]
    columns = [(kind, verb) for verb in guests.VERBS for kind in guests.KINDS]
    yield (f"one more guest, beside so many ({found['kernel']}, paused, one "
           "static device each); ms, medians; xl waits 2 s in a reboot")
    yield (f"{'guests':>8}" + "".join(f"{kind + ' ' + verb:>20}"
                                      for kind, verb in columns) +
           f"{'vrctl list':>12}{'dom0 idle':>11}{'driver':>9}{'KiB each':>10}")
    for row in rows:
        idle = "".join(f"{percent:{width}.2f} %" for percent, width in
                       zip(row["idle"], (9, 7)))
        each = (f"{row['broker']['sum_kib'] / row['guests']:10.0f}"
                if "broker" in row else f"{'-':>10}")
        yield (f"{row['guests']:8}" + "".join(
            f"{row[kind][verb]['median']:20.1f}" for kind, verb in columns) +
            f"{row['list']['median']:12.1f}{idle}{each}")
    yield f"{'for each':>8}" + "".join(
        f"{guests.slope(rows, kind, verb):20.2f}" for kind, verb in columns)


NET_COUNTS = ("exits", "iommu", "guest_irq", "driver_irq", "dom0_irq",
              "grant_ops", "copied")
NET_WIDE = 30


def net_rates(points):
    """Lines with all paths' rates, and the ratios to netfront's."""
    paths = list(next(iter(points.values()))["paths"])
    first = paths[0] == net.PATHS[0]
    yield f"{'':{NET_WIDE}}" + f"{paths[0]:>11}" + "".join(
        f"{p:>11}" + (f"{'ratio':>6}" if first else "") for p in paths[1:])
    for point in points.values():
        row = point["paths"]
        line = f"{point['title']:{NET_WIDE}}"
        for path in paths:
            line += f"{row[path]['rate']:11.1f}"
            if first and path != paths[0]:
                ratio = counters.ratio(row[path]["rates"],
                                       row[paths[0]]["rates"])
                line += f"{ratio:6.2f}"
        yield f"{line} {point['unit']}"


def net_costs(points):
    """Lines with what a KiB of a stream, or else a packet, has cost: what was
    counted, and microseconds of the domains' processors."""
    yield (f"{'':{NET_WIDE}}{'packets':>9}" +
           "".join(f"{HEADS[c]:>11}" for c in NET_COUNTS) +
           "".join(f"{who + ' us':>11}" for who in PROCESSORS))
    for point in points.values():
        stream = point["unit"] == "MiB/s"
        yield f"{point['title']}, for each " + ("KiB" if stream else "packet")
        for path, one in point["paths"].items():
            counts = one["counts"]
            parts = (one["number"] * 1024 if stream else
                     max(counts["packets"], 1))
            yield (f"{'  ' + path:{NET_WIDE}}{counts['packets'] / parts:9.3f}" +
                   "".join(count(counts[k] / parts if k in counts else None)
                           for k in NET_COUNTS + PROCESSORS))


def net_report(found):
    """Lines about networks."""
    for one in found:
        yield f"guest: {one['title']}"
        if one["points"]:
            yield ""
            yield from net_rates(one["points"])
            yield ""
            yield from net_costs(one["points"])


def report(out):
    """All lines."""
    yield f"host: {out['host']}" + (
        "" if "net" in out else
        "; null_blk, which stores nothing and answers at once")
    for one in out["guests"]:
        yield ""
        yield from guest_report(one, out["processors"])
    for key, lines in (("create", create_report), ("sizes", size_report),
                       ("survey", survey_report),
                       ("many", many_report), ("net", net_report)):
        if key in out:
            yield ""
            yield from lines(out[key])


def page(name, out, command):
    """All lines, as the page docs/bench/NAME.md, which a command has made."""
    yield f"# Benchmark: {name}"
    yield ""
    yield f"Written by `{command}`."
    yield "[performance.md](../performance.md) says what is compared and what the"
    yield "figures are worth."
    yield ""
    for line in report(out):
        yield f"    {line}".rstrip()
