# SPDX-License-Identifier: LGPL-2.1-or-later
"""What follows from the figures: floors, and whether mixed reaches its aim."""

import statistics

from . import counters

ONE_WAY = ("static", "copied", "mapped")  # those that mixed is made of
MIXED_AIM = 0.95


def part(iops, exits, cost_us):
    """The part of a second that a guest with one processor spends in accesses
    to registers, during which it does nothing else."""
    return iops * exits * cost_us / 1e6


def best_ratio(exits, cost_us, reference_iops):
    """The ratio to the reference if all but the accesses took no time; None
    without accesses."""
    return 1e6 / exits / cost_us / reference_iops if exits else None


def mixed_aim(rates):
    """rates: runs of each path. (the better of static and dynamic, mixed's
    ratio to it, does it reach the aim), or None without mixed or without
    anything to compare it with."""
    others = {p: statistics.median(rates[p]) for p in ONE_WAY if p in rates}
    if "mixed" not in rates or not others:
        return None
    best = max(others, key=others.get)
    ratio = counters.ratio(rates["mixed"], rates[best])
    return best, ratio, ratio >= MIXED_AIM


def crossing(rows):
    """rows: (size, rate when copied, rate when mapped), sizes ascending. The
    least size from which on mapping is never slower; None: there is none."""
    found = None
    for size, copied, mapped in rows:
        if mapped < copied:
            found = None
        elif found is None:
            found = size
    return found
