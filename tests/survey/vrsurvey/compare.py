# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is a survey what an earlier one was? Within the bounds that report.in
states."""

from . import data

# Nothing in them depends on when somebody else got to it.
EXACT = {("blk", "random-4k"), ("scsi", "random-4k"), ("console", "lines"),
         ("rng", "reads-16"), ("rng", "reads-4k"), ("input", "keys"),
         ("9p", "small-files"), ("9p", "sequential-1m"),
         ("crypto", "messages-64"), ("crypto", "messages-16k"),
         ("mem", "plug"), ("mem", "unplug"), ("pmem", "write-flush")}
SAME = ("maps", "bytes", "out", "in", "size_p10", "size_p50", "size_p90",
        "size_max")
# Of the other loads: how much is mapped, and what is in flight at once.
NEAR = {"bytes": 1.25, "in_flight": 2, "pool": 2}


def differences(before, after):
    """before, after: rows of patterns.csv. Returns (figures compared, texts
    of those that differ)."""
    count, wrong = 0, []
    old = {(row["device"], row["load"]): row for row in before}
    for row in after:
        key = row["device"], row["load"]
        if key not in old or row["load"] in ("start", "idle"):
            continue
        exact = key in EXACT
        for column in SAME if exact else NEAR:
            was, now = float(old[key][column]), float(row[column])
            count += 1
            if was == now:
                continue
            limit = 1 if exact else NEAR[column]
            if max(was, now) > limit * min(was, now):
                wrong.append(f"{' '.join(key)}: {column} was {was:g} and is "
                             f"{now:g}")
    for device in dict.fromkeys(row["device"] for row in after):
        one, other = (data.verdict([r for r in rows if r["device"] == device],
                                   1) for rows in (before, after))
        count += 1
        if one != other and any(r["device"] == device for r in before):
            wrong.append(f"{device}: the verdict was {one} and is {other}")
    return count, wrong
