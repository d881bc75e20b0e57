# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device's two processes: what a worker that was taken over can reach, that
neither is there without the other, and how much memory they may have."""

import re

from vre2e.host import device, driver_cfg, mixed
from vre2e.report import Group, require

from ..dynamic import start, stop

group = Group("operations/granter", sweep=True)

G, B = "wg", "wg-b1"
PIDS = ("for p in /proc/[0-9]*; do "
        "[ \"$(cat $p/comm 2>/dev/null)\" = vr-{} ] && echo ${{p#/proc/}}; "
        "done; true")


@group.on_teardown
def teardown(h):
    if G in h.domains():
        stop(h, G)


def ready(h):
    """A guest with a static and a mixed disk of one driver domain."""
    if {G, B} - set(h.domains()):
        h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb")))
        start(h, G, [device(serial="one"),
                     mixed(id="disk1", target="/dev/xvdc", serial="two")])


def processes(h, name):
    return set(h.gx_ok(B, PIDS.format(name)).split())


def disks_work(h):
    h.gx_ok(G, "for d in /sys/block/vd?; do "
            "ioload -f /dev/${d##*/} -m verify -q 4 -t 1 -s 4 || exit 1; "
            "done", 90)


# Without the lock, and with it; of those with a number, as often as there are
# grants of others to try.
EXPECTED = {
    "own pool": ("done", "done"),
    "map": ("done", "killed"),
    "copy": ("done", "killed"),
    "granter maps": ("refused", "refused"),
    "granter copies": ("refused", "refused"),
    "granter copies from the pool": ("refused", "refused"),
    "granter copies beyond the arena": ("refused", "refused"),
    "unmap notification": ("done", "killed"),
    "not registered": ("refused", "refused"),
    "open": ("done", "killed"),
    "signal to the granter": ("done", "killed"),
    "trace the granter": ("done", "killed"),
    # not in every kernel
    "read the granter": ("done|refused", "killed"),
    "memory": ("done", "refused"),
    "shared memory": ("done", "killed"),
}


@group.check("a worker that was taken over reaches its own windows only", 240)
def taken_over(h):
    ready(h)
    disks_work(h)
    one, two = h.show(G)["devices"]
    windows = {w["kind"]: w for w in two["windows"]}
    node = (f"/local/domain/{h.domid(B)}/backend/virtio_restricted/"
            f"{h.domid(G)}/disk0")
    other = h.ok(f"xenstore-read {node}/ctrl-domid {node}/ctrl-gref").split()
    # The other device's pool, and its control page: another domain's grant.
    out = h.gx_ok(
        B, f"badworker {h.domid(G)} " + " ".join(
            f"{windows[k]['gref_base']} {windows[k]['gref_count']}"
            for k in ("static", "dynamic")) +
        f" {h.domid(G)} {one['windows'][0]['gref_base']} "
        f"{other[0]} {other[1]} 2>&1", 60)
    seen = {}
    for line in out.splitlines():
        m = re.fullmatch(r"(.*?)(?: \d+:\d+)?: without (\w+), locked (\w+)",
                         line)
        require(m, f"unexpected: {line}")
        seen.setdefault(m.group(1), []).append(m.groups()[1:])
    for what, expected in EXPECTED.items():
        require(seen.get(what) and all(
            re.fullmatch(word, said) for pair in seen[what]
            for word, said in zip(expected, pair)),
                f"{what}: {seen.get(what)}, not {expected}: {out[-1500:]}")
    require(len(seen["map"]) == len(seen["granter copies"]) == 2, out)
    disks_work(h)
    return f"{len(out.splitlines())} attempts"


@group.check("worker and granter end together, and are replaced", 240)
def end_together(h):
    ready(h)

    def replaced(workers, granters):
        now = processes(h, "worker"), processes(h, "granter")
        return len(now[0]) == len(now[1]) == 2 and not (
            now[0] & workers or now[1] & granters)
    workers, granters = processes(h, "worker"), processes(h, "granter")
    require(len(workers) == len(granters) == 2, f"{workers}, {granters}")
    # A stopped one does not outlive its worker.
    h.gx_ok(B, f"kill -STOP {' '.join(granters)}; "
            f"kill -9 {' '.join(workers)}")
    h.wait("other processes", lambda: replaced(workers, granters), 30)
    disks_work(h)
    workers, granters = processes(h, "worker"), processes(h, "granter")
    h.gx_ok(B, f"kill -9 {' '.join(granters)}")
    h.wait("other processes", lambda: replaced(workers, granters), 30)
    disks_work(h)
    zombies = h.gx_ok(B, "grep -l 'State:.Z' /proc/[0-9]*/status "
                      "2>/dev/null; true")
    require(not zombies, f"zombies: {zombies}")


@group.check("little more memory than they have, and the first to go", 120)
def limits(h):
    ready(h)
    disks_work(h)
    for name in ("worker", "granter"):
        for pid in processes(h, name):
            out = h.gx_ok(B, f"cd /proc/{pid}; cat limits oom_score_adj; "
                          "grep VmSize status; cut -d' ' -f19 stat")
            most = re.search(r"Max address space +(\d+) +(\d+)", out)
            data = re.search(r"Max data size +(\d+) +(\d+)", out)
            size = int(re.search(r"VmSize:\s+(\d+) kB", out).group(1)) << 10
            require(most and data, out)
            require(most.group(1) == most.group(2) and
                    0 <= int(most.group(1)) - size <= 2 << 20,
                    f"vr-{name}: {size} bytes of {most.group(1)}")
            require(int(data.group(2)) < 24 << 20, data.group(0))
            require("\n1000\n" in out and out.split()[-1] == "5", out)
    out = h.gx_ok(B, "cat /proc/$(pidof vr-backend | tr ' ' '\\n' | sort -n | "
                  "head -1)/oom_score_adj")
    require(int(out) < 1000, f"the main process: {out}")
    stop(h, G)
