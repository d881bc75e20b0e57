# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long things take until a guest runs, and what stays in memory."""

import statistics

from . import counters, paths
from .domains import destroy
from .paths import DRIVER, GUEST

WINDOW_MIB = 64  # of the targets


def spread(values):
    """The median, the least and the most."""
    return {"median": statistics.median(values), "least": min(values),
            "most": max(values), "runs": len(values)}


def resident(text):
    """KiB of each process, and of all with shared pages counted once."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return {"largest_kib": max(int(r[1]) for r in rows),
            "sum_kib": sum(int(r[2]) for r in rows),
            "processes": len(rows)}


def sizes(host):
    """Mapping time of a window in the driver domain, resident memory."""
    dev = counters.find(host.show(GUEST), "static")
    mapping = [float(host.gx_ok(DRIVER, f"mapwindow {host.domid(GUEST)} "
                                f"{dev['gref_base']} {dev['gref_count']}"))
               for _ in range(5)]
    return {"map_ms": spread(mapping),
            "map_mib": dev["gref_count"] >> 8,
            "broker": resident(host.ok("sh /host/bin/resident vr-broker")),
            "backend": resident(host.gx_ok(DRIVER, "resident vr-backend"))}


def seeding(host):
    """Milliseconds to write the grants of a window into the paused guest."""
    text = host.ok(f"/host/bin/seedtime {host.domid(GUEST)} 5")
    rows = [[float(v) for v in line.split()] for line in text.splitlines()]
    return {"map_table_ms": spread([r[0] for r in rows]),
            "write_ms": spread([r[1] for r in rows])}


def create(host, kernel, opt):
    """Milliseconds of `xl create -p` without the key and with it, in turns,
    beside a driver domain that runs already. Guests stay paused. Also the time
    that seeding a window takes, in one of them."""
    kinds = {"plain": (), "keyed": ("static",)}
    if opt.pci:
        kinds["pci"] = ("pci",)
    times = {kind: [] for kind in kinds}
    opt = type(opt)(**{**vars(opt), "window": f"{WINDOW_MIB}M"})
    cfgs = {kind: host.put(f"{kind}.cfg", paths.guest_cfg(kernel, path, opt) +
                           ("" if path else "max_grant_frames = 64\n"))
            for kind, path in kinds.items()}
    for _ in range(opt.creations):
        for kind, cfg in cfgs.items():
            text = host.ok("TIMEFORMAT=%R; { time xl create -p "
                           f"{cfg} > /dev/null 2> /tmp/create; }} 2>&1", 90)
            times[kind].append(float(text.split()[-1]) * 1000)
            if kind == "plain":
                seed = seeding(host)
            destroy(host, GUEST)
    def added(kind, to):
        return [k - t for t, k in zip(times[to], times[kind])]
    times["added"] = added("keyed", "plain")
    if opt.pci:
        times["by_pci"] = added("pci", "keyed")
    return {"kernel": kernel.name, "seed": seed,
            **{name: spread(values) for name, values in times.items()}}
