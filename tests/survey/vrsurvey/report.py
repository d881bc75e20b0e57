# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page docs/survey/README.md, from report.in and the files of data."""

import os
import string

from . import data, model, plots

HERE = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
NOT_USED = ("start", "idle")


class Text(string.Template):
    """${device.load.column}"""
    braceidpattern = r"[a-z0-9][a-z0-9._-]*"


def size(number):
    """12 B, 1.5 KiB, 4 MiB."""
    number = float(number)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024 or unit == "MiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if number >= 10 or number == int(number) \
        else f"{number:.1f} {unit}"


def duration(us):
    us = int(us)
    for limit, unit, factor in ((1000, "us", 1), (1000000, "ms", 1e3)):
        if us < limit:
            return f"{us / factor:.0f} {unit}"
    return f"{us / 1e6:.1f} s"


def between(low, high):
    """1.0 to 2.7, or 64."""
    low, high = (f"{float(n):.1f}" if float(n) < 10 else f"{float(n):.0f}"
                 for n in (low, high))
    return low if low == high else f"{low} to {high}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |"
              for row in rows]
    return "\n".join(lines)


def used(rows):
    """The loads that use the device."""
    return [row for row in rows if row["load"] not in NOT_USED] or rows


def verdicts(rows, counts, reasons):
    """The first table: a line for each device."""
    made = []
    for device in dict.fromkeys(row["device"] for row in rows):
        own = [row for row in rows if row["device"] == device]
        count = counts.get(device, {"requests": 0})
        verdict = data.verdict(own, int(count["requests"]))
        if verdict == "none":
            made.append((device, "-", "-", "-", "-", "-",
                         "**none**: " + reasons[device]))
            continue
        work = used(own)
        most = max(work, key=lambda row: float(row["exposed"]))
        least = min((row for row in work if int(row["maps"])),
                    key=lambda row: float(row["exposed"]))
        made.append((
            device,
            size(min(int(r["size_p50"]) for r in work if int(r["maps"])))
            + " / " + size(max(int(r["size_max"]) for r in own)),
            duration(max(int(r["life_p50"]) for r in work)),
            f"{max(float(r['shared']) for r in work) * 100:.0f} %",
            between(least["exposed"], most["exposed"]),
            size(max(int(r["pool"]) for r in own)),
            f"**{verdict}**: " + reasons[device]))
    return table(("device", "size: median / longest", "longest median lifetime",
                  "share a page", "exposed for each byte needed",
                  "pool needed", "fits"), made)


def summary(rows, counts):
    """The answer in a few lines: which devices have which verdict."""
    devices = {}
    for device in dict.fromkeys(row["device"] for row in rows):
        own = [row for row in rows if row["device"] == device]
        verdict = data.verdict(own, int(counts.get(
            device, {"requests": 0})["requests"]))
        devices.setdefault(verdict, []).append(device)
    return table(("mode", "devices"),
                 [(f"**{mode}**", ", ".join(devices[mode]))
                  for mode in ("static", "mixed", "dynamic", "none")
                  if mode in devices])


def loads(rows):
    """The long table."""
    return table(
        ("device", "load", "maps", "a second", "moved", "p10 / p50 / p90",
         "lifetime p50 / p90", "share a page", "exposed / needed", "in flight",
         "pool"),
        [(row["device"], row["load"], row["maps"],
          f"{int(row['maps']) / float(row['seconds']):.0f}",
          size(row["bytes"]),
          " / ".join(size(row[c]) for c in ("size_p10", "size_p50",
                                            "size_p90")),
          " / ".join(duration(row[c]) for c in ("life_p50", "life_p90")),
          f"{float(row['shared']) * 100:.0f} %",
          f"{float(row['exposed']):.1f}", size(row["in_flight"]),
          size(row["pool"])) for row in rows if int(row["maps"])])


def counted(counts):
    """The recorder beside QEMU."""
    return table(
        ("device", "requests", "buffers", "tables", "QEMU: both",
         "recorder: used", "posted, unused"),
        [(row["device"], row["requests"], row["buffers"], row["tables"],
          row["expected"] if int(row["mapped"]) else "0 (no DMA API)",
          row["recorded"], row["posted"]) for row in counts.values()])


def pools(rows):
    return table(
        ("device", "maps", "bounces", "pool: predicted", "in use at most"),
        [(row["device"], row["maps"], row["bounces"], size(row["predicted"]),
          size(row["used"])) for row in rows])


def costs(rows):
    """Cost of a copy, against size, beside the counting clock's."""
    names = list(dict.fromkeys(row["what"] for row in rows))
    sizes = sorted({int(row["bytes"]) for row in rows
                    if "caches" in row["what"]})
    at = {(row["what"], int(row["bytes"])): float(row["ns"]) for row in rows}
    return table(
        ("size", *names),
        [(size(bytes_), *(f"{at[name, bytes_] / 1000:.2f} us"
                          if (name, bytes_) in at else "-" for name in names))
         for bytes_ in sizes])


def examples(leave, page):
    """The formula for figures of several machines."""
    rows = [("this project's emulated arm64 host (counted)", leave,
             model.COUNTED_RATE, page)]
    rows += [(f"an exit of {e / 1000:g} us, a copy of {r:g} GB/s, "
              f"{p} ns a page", e, r, p)
             for e, r, p in ((10000, 5, 300), (5000, 5, 300), (2000, 5, 200),
                             (2000, 10, 200), (2000, 10, 500))]
    made = []
    for what, *three in rows:
        limit = model.crossover(*three)
        made.append((what, "never" if limit is None else size(limit)))
    return table(("machine", "mapping is cheaper from"), made)


def cold_rate(rows):
    """Bytes a nanosecond, from the longest copy."""
    last = [row for row in rows if row["what"] == "cold caches: copied"][-1]
    return int(last["bytes"]) / float(last["ns"])


def draw(docs):
    log = "set logscale x\n"
    kilo = log + "set format x '%.0s%c'\n"
    plots.lines(docs, "sizes", "How large is a mapping?", "bytes",
                "share of the mappings", kilo)
    plots.lines(docs, "lifetimes", "How long does it live?",
                "microseconds of the counting clock", "share of the mappings",
                kilo)
    plots.lines(docs, "flight", "Bytes in flight", "time, of the load",
                "bytes", "set logscale y\nset format y '%.0s%c'\n")
    plots.bars(docs, "exposed", "Bytes exposed for each byte needed",
               "exposed / needed")
    plots.lines(docs, "reuse", "How soon is a page mapped again?",
                "other pages mapped since, and one", "share of the mappings",
                log)
    limit = model.crossover(data.EXAMPLE[0], cold_rate(
        data.read(os.path.join(docs, "data"), "cost")), data.EXAMPLE[1])
    mark = "" if limit is None else (
        f"set arrow from {limit}, graph 0 to {limit}, graph 1 nohead dt 2\n"
        f"set label ' crossover' at {limit}, graph 0.04\n")
    plots.lines(docs, "cost", "What does a buffer cost?", "bytes",
                "nanoseconds", kilo + "set logscale y\n"
                "set format y '10^{%L}'\n" + mark, "linespoints")


def figures(docs):
    """What the text can name."""
    folder = os.path.join(docs, "data")
    rows = data.read(folder, "patterns")
    counts = {row["device"]: row for row in data.read(folder, "counts")}
    swept = [(int(row["bytes"]), float(row["copied_ns"]),
              float(row["mapped_ns"])) for row in data.read(folder, "sweep")]
    leave, page = model.fit(swept)
    named = {}
    for row in rows:
        for column, value in row.items():
            key = f"{row['device']}.{row['load']}.{column}"
            if column in ("bytes", "in_flight", "pool") or \
                    column.startswith("size"):
                value = size(value)
            elif column.startswith("life"):
                value = duration(value)
            elif column in ("touched", "exposed"):
                value = f"{float(value):.1f}"
            named[key] = value
    for row in counts.values():
        for column, value in row.items():
            named[f"count.{row['device']}.{column}"] = value
    for row in data.read(folder, "packets"):
        named.update({"packets." + key: value for key, value in row.items()})
    named["model.exit"] = f"{leave / 1000:.0f} us"
    named["model.page"] = f"{page / 1000:.1f} us"
    named["model.copy"] = f"{model.PAGE / model.COUNTED_RATE / 1000:.2f} us"
    named["table.loads"] = loads(rows)
    named["table.counts"] = counted(counts)
    named["table.pools"] = pools(data.read(folder, "pools"))
    named["table.costs"] = costs(data.read(folder, "cost"))
    named["table.examples"] = examples(leave, page)
    leave, page = data.EXAMPLE
    rate = cold_rate(data.read(folder, "cost"))
    limit = model.crossover(leave, rate, page)
    named["example.exit"] = f"{leave / 1000:g} us"
    named["example.page"] = f"{page} ns"
    named["example.copy"] = f"{model.PAGE / rate:.0f} ns"
    named["example.limit"] = "never" if limit is None else size(limit)
    cold = [row for row in data.read(folder, "cost")
            if row["what"] == "cold caches: copied"]
    warm = [row for row in data.read(folder, "cost")
            if row["what"] == "warm caches: copied"]
    named["copy.cold"] = f"{float(cold[0]['ns']) / float(warm[0]['ns']):.0f}"
    return rows, counts, named


def write(docs):
    """The page and its plots."""
    draw(docs)
    rows, counts, named = figures(docs)
    reasons = {}
    with open(os.path.join(HERE, "report.in"), encoding="utf-8") as file:
        head, _, text = file.read().partition("\n---\n")
    for line in head.splitlines():
        device, _, reason = line.partition(": ")
        reasons[device] = Text(reason).substitute(named)
    named["table.summary"] = summary(rows, counts)
    named["table.verdicts"] = verdicts(rows, counts, reasons)
    with open(os.path.join(docs, "README.md"), "w", encoding="utf-8") as file:
        file.write(Text(text).substitute(named))
