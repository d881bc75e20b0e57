# SPDX-License-Identifier: LGPL-2.1-or-later
"""What vrctl survey takes of a device's rate while it counts."""

import json
import statistics

from vre2e.report import require

from .counters import Tally
from .measure import Meter
from .paths import GUEST
from .workloads import Point

POINTS = ("r4k-1", "r4k-32", "r64k-32", "r1m-4")
PATH = "static"
ANSWER = "/tmp/survey.json"


def begin(host):
    """Until the backends count."""
    host.ok(f"rm -f {ANSWER}*; vrctl survey --json --seconds 3600 {GUEST} > "
            f"{ANSWER} 2> {ANSWER}.said < /dev/null & echo $! > {ANSWER}.pid; "
            f"for i in $(seq 200); do grep -q counting {ANSWER}.said && exit 0; "
            "sleep 0.1; done; exit 1", 60)


def end(host):
    """It tells what it has counted."""
    text = host.ok(f"kill $(cat {ANSWER}.pid); for i in $(seq 200); do grep -q "
                   f"'^}}' {ANSWER} && break; sleep 0.1; done; cat {ANSWER}", 60)
    devices = json.loads(text)["devices"]
    require(any(dev.get("requests") for dev in devices), text[:300])


def rates(meter, points, opt):
    """The median of each point. That clock repeats itself, so they need not
    take turns."""
    found = []
    for point in points:
        tally = {PATH: Tally()}
        for _ in range(opt.runs):
            meter.turn(point, [PATH], tally)
        found.append(statistics.median(tally[PATH].rates))
    return found


def run(host, disks, opt, say):
    """Rows: a point's name, its rates without and with a survey."""
    points = [Point.parse(name) for name in POINTS]
    meter = Meter(host, disks, opt)
    meter.warm_up()
    say("without a survey")
    without = rates(meter, points, opt)
    say("with a survey")
    begin(host)
    surveyed = rates(meter, points, opt)
    end(host)
    return list(zip(POINTS, without, surveyed))
