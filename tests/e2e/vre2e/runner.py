# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots the hosts that the groups want, and runs the groups on them.

When the emulator is at fault (host.HostFault), the group is begun once more on
a new machine; what it had counted until then does not count."""

import os
import time

from . import arch, build
from .host import Host, HostGone, HostFault
from .report import Fail, say

STEADY = ("--icount", "0", "--boot-timeout", "600", "--xen-args",
          "sched=credit sched_credit_tslice_ms=1 sched_ratelimit_us=0")
DISKS = 3
DISK_MIB = 160


def disks(name):
    """Fresh sparse disks for the driver domains."""
    paths = []
    for number in range(DISKS):
        path = os.path.join(build.OUT, f"{name}-disk{number}.raw")
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "wb") as file:
            file.truncate(DISK_MIB << 20)
        paths += ["--disk", path]
    return paths


def run_group(host, group, report):
    """Set up, run the checks, tear down, look for what is left."""
    made = None
    say(f"-- {group.name}")
    if group.setup:
        host.deadline = time.monotonic() + 240 * arch.now.patience
        mark = host.mark()
        ok = report_setup(host, group, report)
        if ok is None:
            explain(host, report, mark)
            for name, _, _ in group.checks:
                report.line("FAIL", f"{group.name}: {name}", 0.0,
                            "the set-up failed")
            host.deadline = None
            host.sweep()
            return
        made = ok
    for name, fn, limit in group.checks:
        host.deadline = time.monotonic() + limit * arch.now.patience
        args = (host, made) if group.setup else (host,)
        mark = host.mark()
        ok = report.run(f"{group.name}: {name}", fn, *args)
        host.deadline = None
        if not ok:
            explain(host, report, mark)
        if not ok and (group.sweep or not group.setup):
            host.sweep()
    host.deadline = None
    if group.teardown:
        group.teardown(host)
    if not report.run(f"{group.name}: nothing left behind",
                      lambda: host.leftovers(15)):
        host.sweep()


def explain(host, report, mark):
    """What the consoles say to a failure; HostFault when that was no check's."""
    said = host.said_since(mark)
    report.quote(said)
    if "Triple fault" in said.get("host", ""):
        raise HostFault("a guest's processor was reset by a triple fault")


def report_setup(host, group, report):
    """What the set-up made, or None after it failed."""
    result = []
    if report.run(f"{group.name}: set-up",
                  lambda: result.append(group.setup(host))):
        return result[0]
    return None


def prepare(wanted, share):
    """Build what the groups need, into the share."""
    with build.alone():
        build.everything(share, say)
        for group in wanted:
            if group.build:
                say(f"building what only {group.name} needs")
                group.build(share)


def boot(host, kind, options):
    """Another host of this kind, unless one is to be used that runs."""
    if not options.attach:
        host.down()
        host.up("--xen", kind[0], "--xsm", kind[1], *disks(host.name),
                "--smp", str(options.smp),
                *(STEADY if options.steady else ()))
        say(f"host is up (Xen {kind[0]}, xsm={kind[1]})")
    host.install()
    host.leftovers(1)  # notes what is there before any guest


def run_all(wanted, options, report):
    """Boot each kind of host that the groups want, and run them."""
    host, kind = None, None
    name = options.attach or os.path.basename(build.OUT)
    share = os.path.join(build.ROOT, "out", "host", name, "share")
    os.makedirs(share, exist_ok=True)
    if not options.no_build:
        prepare(wanted, share)
    report.took("building")
    again = True  # may be begun once more
    queue = list(wanted)
    while queue:
        group = queue.pop(0)
        wants = group.host or arch.now.hosts[0]
        begin = report.mark()
        try:
            if wants != kind:
                if options.attach and wants != arch.now.hosts[0]:
                    say(f"-- {group.name} needs another host, left out")
                    continue
                if host and not options.attach:
                    host.keep_logs("-".join(kind) if kind else "gone")
                    host.down()
                host, kind = Host(name, share), wants
                boot(host, kind, options)
                report.took("hosts", host.used())
            run_group(host, group, report)
            again = True
        except HostFault as fault:
            say(f"{group.name}: {fault}")
            kind = None  # a new one is booted
            if again and not options.attach:
                report.repeat(begin, group.name, str(fault))
                queue.insert(0, group)
            else:
                report.line("FAIL", f"{group.name}: the host", 0.0, str(fault))
            again = not again
        except HostGone as gone:
            report.line("FAIL", f"{group.name}: the host", 0.0, str(gone))
            tail(name)
            kind = None
            again = True
        except Fail as fail:
            report.line("FAIL", f"{group.name}: set-up of the host", 0.0,
                        str(fail))
        report.took(group.name, host.used())
    if host:
        host.keep_logs("-".join(kind) if kind else "last")
        if not options.keep and not options.attach:
            host.down()


def tail(name):
    """The end of the console, after the host hung or ended."""
    path = os.path.join(build.ROOT, "out", "host", name, "console.log")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            print("".join(file.readlines()[-25:]), flush=True)
    except OSError:
        pass
