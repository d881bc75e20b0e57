# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that abuses its network device (guest/badnet.c), and floods from either
side: the device's process lives, does not grow and says little, and the interface
beside it goes on. The tests' small kernel, which lets root have registers."""

import re

from vre2e import arch
from vre2e.host import device, dynamic, hexint
from vre2e.report import Group, require

from ..dynamic import audit
from ..net import BRIDGE, MACS, address, net, plug, shown, start, within

G, B = "ob", "ob-bn"
NOBODY = "10.9.0.99"  # frames to it go to the abused device
ROUNDS = 200
RSS_MAX_KIB = 8192  # beside the windows, 4 MiB here
WINDOW_KIB = 4096
LINES_MAX = 20  # that the driver domain's console says of an attack

# badnet knows the registers of virtio-mmio.
MMIO = arch.BOUND["mmio"][0]

group = Group("operations/badnet", arches=("arm64",))


@group.on_setup
def setup(h):
    start(h, G, (net(device, 0, size="4M", transport="mmio"),
                 net(dynamic, 1, aperture="8M")), **arch.now.usual)
    plug(h, G, 1)
    dev = shown(h, 0, G)
    base = f"{hexint(dev['mmio_base']):x}.virtio"
    h.gx_ok(G, f"cd {MMIO}; echo {base} > unbind")
    h.gx_ok(B, f"arp -i br0 -s {NOBODY} {MACS[0]}")
    return {"base": base, "bad": f"badnet {hexint(dev['mmio_base']):#x} "
            f"{hexint(dev['window_base']):#x}"}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def attack(h, command, seconds):
    """The guest's command; everybody else has to go on meanwhile. What it said,
    and the device as it is shown then."""
    mark = h.mark()
    h.gx_ok(G, f"{command} </dev/null >/tmp/said 2>&1 &")
    h.gx_ok(G, within(1, f"ping -c 5 -W 5 {BRIDGE}"), 60)
    out = h.gx_ok(G, "while pidof badnet netio > /dev/null; do sleep 0.2; done; "
                  "cat /tmp/said", seconds)
    return out, calm(h, mark)


def calm(h, mark):
    """The device's process has neither died nor grown, nor said much."""
    dev = shown(h, 0, G)
    require(dev["counters"]["restarts"] == 0, f"{dev}")
    sizes = [int(kib) for kib in re.findall(r"VmHWM:\s+(\d+)", h.gx_ok(
        B, "for p in $(grep -sl vr-worker /proc/[0-9]*/comm); do "
        "grep VmHWM ${p%comm}status; done"))]
    require(sizes and max(sizes) < RSS_MAX_KIB + WINDOW_KIB, f"{sizes}")
    lines = h.said_since(mark).get(f"guest-{B}.log", "").splitlines()
    require(len(lines) < LINES_MAX, f"{len(lines)} lines: {lines[:3]}")
    audit(h, G)
    return dev


@group.check("headers, frames and descriptors that are rubble", 300)
def rubble(h, made):
    h.gx_ok(B, f"(for i in $(seq 30); do netio cast {NOBODY} 9 200 700; "
            "sleep 0.2; done) </dev/null >/dev/null 2>&1 & echo")
    out, dev = attack(h, f"{made['bad']} rubble {ROUNDS} 7", 240)
    got = re.match(r"(\d+) rounds, (\d+) back, (\d+) resets", out)
    require(got and all(int(n) > ROUNDS / 50 for n in got.groups()), out)
    for key in ("bad_from_guest", "spoofed_from_guest", "packets_from_guest"):
        require(dev[key] > 0, f"{key}: {dev}")
    return out.strip()


@group.check("a flood from the guest", 120)
def flood(h, made):
    out, dev = attack(h, f"{made['bad']} flood 5", 60)
    require("works" in out, out)
    return f"{out.strip()}, {dev['packets_from_guest']} sent"


@group.check("a flood to the guest, which has no buffers, or few", 120)
def drowned(h, _made):
    mark = h.mark()
    for to in NOBODY, address(1):
        h.gx_ok(B, f"netio cast {to} 9 5000 64", 100)
    h.gx_ok(G, within(1, f"ping -c 5 -W 5 {BRIDGE}"), 60)
    calm(h, mark)


@group.check("the kernel's driver has the device again", 90)
def again(h, made):
    h.gx_ok(G, f"cd {MMIO}; echo {made['base']} > bind")
    plug(h, G, 0)
    h.gx_ok(G, within(0, f"ping -c 3 -W 5 {BRIDGE}"))
