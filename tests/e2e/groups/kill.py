# SPDX-License-Identifier: LGPL-2.1-or-later
"""xl killed at ten points of xl create; nothing may be left."""

import re

from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

group = Group("kill")
POINTS = 10

# Kills xl (and nothing else) after $1 seconds, then cleans up as an operator
# may: the broker by itself, or vrctl cleanup --stale.
SCRIPT = r"""
xl -vvv create /host/cfg/kg.cfg > /tmp/kill.log 2>&1 &
pid=$!
sleep {delay}
phase=$(cat /run/virtio-restricted/*.json 2>/dev/null |
    sed -n 's/.*"phase": *"\([a-z]*\)".*/\1/p' | head -n 1)
doms=$(xl list | tail -n +3 | awk '{{printf "%s ", $1}}')
if kill -9 $pid 2>/dev/null; then echo "killed phase=$phase domains=$doms"
else echo "ended"; fi
wait $pid 2>/dev/null
true
"""


@group.many("xl killed", 420)
def kill(h):
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("kg.cfg", guest_cfg("kg", [device()]))
    # how long a whole create takes, to spread the points over it
    out = h.ok("a=$(cut -d' ' -f1 /proc/uptime); xl create /host/cfg/kg.cfg "
               ">/dev/null 2>&1; rc=$?; b=$(cut -d' ' -f1 /proc/uptime); "
               "xl destroy kg; echo $a $b $rc", 120)
    a, b, rc = out.split()[-3:]
    require(rc == "0", f"xl create ended with {rc}")
    whole = float(b) - float(a)
    h.leftovers(15)
    results = []
    for n in range(POINTS):
        delay = whole * (n + 0.5) / POINTS
        out = h.ok(SCRIPT.format(delay=f"{delay:.2f}"), 60)
        name = f"after {delay:.1f} s of {whole:.1f} s"
        why = None
        if "killed" not in out:
            # it was faster this time: a guest that runs is no failure
            h.sh("xl destroy kg", 60)
            name += " (had ended)"
        else:
            m = re.search(r"phase=(\S*) domains=(.*)", out)
            name += f" ({m.group(1) or 'no record'}; {m.group(2).strip()})"
        # a guest that was let run before the kill is a guest that runs
        if "running" in out:
            h.sh("xl destroy kg", 60)
        r = h.sh("sh /host/bin/leftovers.sh 12", 60)
        if r.rc:
            first = r.text.strip().splitlines()
            h.sh("vrctl cleanup --stale", 60)
            r = h.sh("sh /host/bin/leftovers.sh 12", 60)
            if r.rc:
                why = "left: " + "; ".join(r.text.strip().splitlines()[:4])
                h.sweep()
            else:
                name += f" by vrctl cleanup --stale of {len(first)} things"
        results.append((name, why, delay))
    return results
