# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guests that are there cost the next one, and dom0."""

from vre2e import arch, host as vhost

from . import domains, setup_times
from .paths import DRIVER

NAME = "bm"  # of the guest that comes and goes
KINDS = ("plain", "restricted")
VERBS = ("create", "reboot", "destroy")
IDLE_SECONDS = 20
# In MiB. Each guest has an xl of its own in dom0, beside its broker.
MEMORY = 64
DOM0 = 1024
PER_GUEST = 16
REST = 512  # Xen, the driver domain
TIMED = "TIMEFORMAT=%R; {{ time {} > /dev/null 2> /tmp/timed; }} 2>&1"


def host_args(guests):
    """Memory for so many guests, for `host up`."""
    dom0 = DOM0 + PER_GUEST * guests
    each = arch.now.memory(MEMORY) + PER_GUEST
    return ("--dom0-mem", str(dom0),
            "--mem", str(dom0 + REST + each * (guests + 2)))


def config(name, kernel, kind):
    """A small guest; its target is read only, and so everybody's."""
    device = vhost.device(
        id="disk0", driver=None, backend=DRIVER, target="/dev/nullb1",
        access="ro", size="8M")
    return vhost.guest_cfg(
        name, [device] if kind == "restricted" else None, memory=MEMORY,
        kernel=kernel.kernel, ramdisk=kernel.ramdisk, extra=kernel.extra)


def timed(host, command, limit=90):
    """Milliseconds of a command that has to succeed."""
    text = host.ok(TIMED.format(command), limit)
    return float(text.split()[-1]) * 1000


def one_life(host, cfg, times):
    """The guest is created, reboots, and is destroyed."""
    times["create"].append(timed(host, f"xl create -p {cfg}"))
    times["reboot"].append(float(
        host.ok(f"/host/bin/domclock reboot {host.domid(NAME)}", 90)))
    times["destroy"].append(timed(host, f"xl destroy {NAME}"))
    host.wait_gone(NAME)


def row(host, cfgs, opt, count):
    """What is measured with so many guests there."""
    found = {"guests": count}
    for kind in KINDS:
        times = {verb: [] for verb in VERBS}
        for _ in range(opt.creations):
            one_life(host, cfgs[kind], times)
        found[kind] = {k: setup_times.spread(v) for k, v in times.items()}
    found["list"] = setup_times.spread(
        [timed(host, "vrctl list") for _ in range(opt.creations)])
    used = host.ok(f"/host/bin/domclock used {IDLE_SECONDS} 0 "
                   f"{host.domid(DRIVER)}", IDLE_SECONDS * 10).split()
    found["idle"] = [float(ms) / IDLE_SECONDS / 10 for ms in used]
    if count:
        found["broker"] = setup_times.resident(
            host.ok("sh /host/bin/resident vr-broker", 120))
    return found


def slope(rows, kind, verb):
    """Milliseconds that each guest that is there adds."""
    first, last = rows[0], rows[-1]
    return ((last[kind][verb]["median"] - first[kind][verb]["median"]) /
            (last["guests"] - first["guests"]))


def fill(host, kernel, first, last):
    """More guests, which stay paused."""
    cfgs = [host.put(f"bf{n}.cfg", config(f"bf{n}", kernel, "restricted"))
            for n in range(first, last)]
    for cfg in cfgs:
        host.ok(f"xl create -p {cfg}", 90)


def run(host, kernel, opt, say):
    """The rows of the table: with a fraction of the guests, and all."""
    cfgs = {kind: host.put(f"{kind}.cfg", config(NAME, kernel, kind))
            for kind in KINDS}
    rows, there = [], 0
    with domains.driver(host, opt):
        for count in sorted({0, opt.guests // 4, opt.guests // 2,
                             opt.guests}):
            say(f"{count} guests")
            fill(host, kernel, there, count)
            there = count
            rows.append(row(host, cfgs, opt, count))
        for n in range(there):
            host.ok(f"xl destroy bf{n}", 60)
    return {"kernel": kernel.name, "rows": rows}
