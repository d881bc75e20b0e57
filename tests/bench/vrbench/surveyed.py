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
TURNS = 3  # of each, one after the other
ANSWER = "/tmp/survey.json"


def begin(host):
    """Until the backends count."""
    host.ok(f"rm -f {ANSWER}*; vrctl survey --json --seconds 3600 {GUEST} > "
            f"{ANSWER} 2> {ANSWER}.said < /dev/null & echo $! > {ANSWER}.pid; "
            f"for i in $(seq 200); do grep -q counting {ANSWER}.said && exit 0; "
            "sleep 0.1; done; exit 1", 60)


def end(host):
    """Another one, which is short, takes its place; what that has counted of
    nothing shows that backends listen."""
    host.ok(f"kill $(cat {ANSWER}.pid)")
    text = host.ok(f"vrctl survey --json --seconds 1 {GUEST} 2> /dev/null", 60)
    require(json.loads(text)["devices"][0]["counted"], text[:300])


def row(host, meter, point):
    """The point's name and the rates without and with a survey, medians."""
    tallies = {name: {PATH: Tally()} for name in ("without", "with")}
    for _ in range(TURNS):
        meter.turn(point, [PATH], tallies["without"])
        begin(host)
        meter.turn(point, [PATH], tallies["with"])
        end(host)
    return (point.name, *(statistics.median(tally[PATH].rates)
                          for tally in tallies.values()))


def run(host, disks, opt, say):
    """Rows for each point."""
    meter = Meter(host, disks, opt)
    meter.warm_up()
    found = []
    for name in POINTS:
        point = Point.parse(name)
        say(point.title)
        found.append(row(host, meter, point))
    return found
