# SPDX-License-Identifier: LGPL-2.1-or-later
"""Queues' own bells, abused: by whoever has taken over a device's process, by
root of the driver domain, by the guest's driver."""

import re

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg, hexint
from vre2e.report import Group, Skip, require

from ..dynamic import audit
from ..module import DEVICES, DRIVER

group = Group("operations/bells")

G, B = "ba", "ba-b1"
STATS = "/sys/kernel/debug/virtio_restricted_doorbells"
WORKERS = ("for p in $(grep -sl vr-worker /proc/[0-9]*/comm | cut -d/ -f3); do "
           "readlink /proc/$p/exe > /dev/null && echo $p; done; true")
VERIFY = "ioload -f /dev/vda -m verify -b 4096 -q 8 -t 1 -s 4"
# Without a lock, with the restricted descriptor, with the filter too.
ATTEMPTS = {
    "own port": ("done", "done", "done"),
    "port of another domain": ("done", "refused", "refused"),
    "any port of any other domain": ("done", "refused", "refused"),
    "port for another domain": ("done", "refused", "killed"),
    "by another descriptor": ("done", "done", "killed"),
    "end that is another process's": ("refused", "refused", "refused"),
    "restricted to another domain": ("done", "refused", "killed"),
    "reset": ("done", "done", "killed"),
    "open": ("done", "done", "killed"),
}


@group.on_setup
def setup(h):
    """A guest with the module: on arm64 the small kernel, which lets root have
    registers and event channels."""
    small = arch.now.name == "arm64"
    h.put("b1.cfg", driver_cfg("b1", kind="pvh"))
    text = guest_cfg(G, [device(serial="static")], **(
        {} if small else {**arch.now.module, "ramdisk": arch.now.mixed}))
    r = h.create(h.put(f"{G}.cfg", text), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    if small:
        h.gx_ok(G, "insmod /modules/virtio_restricted.ko.later; "
                f"cd {DRIVER}; d=$(ls -d {DEVICES}); echo $d > unbind && "
                "echo $d > bind", up=150)
    h.gx_ok(G, f"for i in $(seq 100); do [ -b /dev/vda ] && exec {VERIFY}; "
            "sleep 0.1; done; exit 1", 120, up=250)
    return {}


@group.on_teardown
def teardown(h):
    h.sh("kill $(cat /tmp/held.pid 2> /dev/null)")
    h.end(G, B)


def bell(h):
    """The guest's account of the queue."""
    words = h.gx_ok(G, f"cat {STATS}").split()
    return dict(zip(words[3::2], map(int, words[4::2])))


def unserved(h):
    """Nobody serves the device until served(): the worker is killed, and who
    would replace it is stopped."""
    h.gx_ok(B, "p=$(pidof vr-backend | tr ' ' '\\n' | sort -n | head -1); "
            f"echo $p > /tmp/stopped; kill -STOP $p; kill -9 $({WORKERS})")


def served(h, port):
    """Undoes unserved(): the next worker takes the same event channel."""
    h.gx_ok(B, "kill -CONT $(cat /tmp/stopped)")
    h.gx_ok(G, VERIFY, 90)
    require(bell(h)["port"] == port, "another event channel")
    audit(h, G)


@group.check("a worker that was taken over binds its own guest's ports only", 200)
def taken_over(h, _made):
    # What stands for another guest's is dom0's: meant for the same domain.
    h.ok(f"/host/bin/badbells hold {h.domid(B)} > /tmp/held 2>&1 < /dev/null & "
         "echo $! > /tmp/held.pid; for i in $(seq 100); do [ -s /tmp/held ] && "
         "exit 0; sleep 0.1; done; exit 1")
    held, port = h.ok("cat /tmp/held").strip(), bell(h)["port"]
    unserved(h)
    out = h.gx_ok(B, f"badbells worker {h.domid(G)} {port} {held} 2>&1", 150)
    served(h, port)
    h.ok("kill $(cat /tmp/held.pid)")
    seen = {m[0]: m[1:] for m in re.findall(
        r"^(.*): without (\w+), restricted (\w+), locked (\w+)\r?$", out, re.M)}
    require(seen == ATTEMPTS, f"{out}")
    return f"{3 * len(seen)} attempts"


@group.check("a backend that rings without end: the guest hears little of it",
             200)
def flooded(h, _made):
    before = bell(h)
    unserved(h)
    sent = int(h.gx_ok(B, f"badbells ring {h.domid(G)} {before['port']} 4", 60))
    heard = bell(h)["spurious"] - before["spurious"]
    # Two for each of Linux's timer ticks, of which there are 250 a second.
    require(sent > 1000 and 0 < heard < 2 * 250 * 6, f"{sent} sent, {heard} heard")
    served(h, before["port"])
    return f"{sent} sent, {heard} heard"


def bad_guest(h, name, what, limit=60):
    """What a driver that abuses its doorbell says; the device has no other."""
    base = name.split(".")[0]
    pool = hexint(h.show(G)["devices"][0]["window_base"])
    return h.gx_ok(G, f"badguest 0x{base} {pool:#x} {what}", limit)


@group.check("a driver that names channels it should not, rings and restarts "
             "without end", 240, arches=("arm64",))
def bad_driver(h, _made):
    if arch.now.transport == "pci":
        raise Skip("badguest knows the registers of virtio-mmio")
    here = h.gx_ok(G, f"cd {DRIVER}; ls -d {DEVICES}").strip()
    workers = h.gx_ok(B, WORKERS)
    h.gx_ok(G, f"echo {here} > {DRIVER}/unbind")
    # Its kernel's own (xenstore, console), and what nobody has made.
    out = bad_guest(h, here, "names 1 2 3000 131071 4294967295").split()
    require(out[1::2] == ["refused"] * 5 + ["taken"], f"{out}")

    def interrupts():
        return int(h.gx_ok(B, "grep ^intr /proc/stat").split()[1])
    before, seconds = interrupts(), 4
    sent, state = bad_guest(h, here, f"flood {seconds}").split()
    heard = interrupts() - before
    # 64 at once, 1000 a second, and those that a Linux has anyway.
    require(state == "works" and heard < 64 + 2500 * (seconds + 2),
            f"{sent} sent, {heard} heard: {state}")
    require(bad_guest(h, here, "loop 20", 120).strip() == "0",
            "the device asked for a reset")
    h.gx_ok(G, f"echo {here} > {DRIVER}/bind; for i in $(seq 100); do "
            f"[ -b /dev/vda ] && exec {VERIFY}; sleep 0.1; done; exit 1", 90)
    require(h.gx_ok(B, WORKERS) == workers, "the worker is another one")
    audit(h, G)
    return f"{sent} rings, {heard} interrupts in the driver domain"
