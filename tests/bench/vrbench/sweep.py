# SPDX-License-Identifier: LGPL-2.1-or-later
"""From which size on the guest module had better map memory in one piece than
copy it."""

import statistics

from .counters import Tally
from .measure import Meter
from .paths import GUEST
from .workloads import Point

SIZES = ("4k", "16k", "32k", "64k", "128k", "256k", "1m")
DEPTHS = ("1", "32")
# Mixed devices of the module map what has at least so many bytes.
KNOB = "/sys/module/virtio_restricted/parameters/threshold"
SETTINGS = {"copied": 1 << 30, "mapped": 4096}


def row(host, meter, point, opt):
    """Size, rates when copied and when mapped, and what the IOMMU was asked
    for each request when mapped."""
    tallies = {name: {"mixed": Tally()} for name in SETTINGS}
    for number in range(opt.runs):
        order = list(SETTINGS) if number % 2 else list(SETTINGS)[::-1]
        for name in order:
            host.gx_ok(GUEST, f"echo {SETTINGS[name]} > {KNOB}")
            meter.turn(point, ["mixed"], tallies[name])
    copied, mapped = (tallies[n]["mixed"] for n in ("copied", "mapped"))
    return (point.size, statistics.median(copied.rates),
            statistics.median(mapped.rates),
            mapped.count["iommu"] / mapped.ios)


def run(host, disks, opt, say):
    """Rows for each depth; the default as the module has it."""
    default = int(host.gx_ok(GUEST, f"cat {KNOB}"))
    meter = Meter(host, disks, opt)
    meter.warm_up()
    found = {}
    for depth in DEPTHS:
        found[depth] = []
        for size in SIZES:
            point = Point.parse(f"r{size}-{depth}h")
            say(point.title)
            found[depth].append(row(host, meter, point, opt))
    return {"default": default, "depths": found}
