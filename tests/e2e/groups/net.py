# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network devices: static and dynamic, beside a disk, in one guest. Each interface
has a network namespace of its own, so that what one of them sends to the other
goes through the bridge in the driver domain, as between guests. Other groups
take their functions from here."""

import re

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

from groups.dynamic import audit

G, B = "gn", "gn-bn"
DRIVER = "/host/cfg/bn.cfg"
MACS = tuple(f"00:16:3e:00:00:1{n}" for n in range(4))
BRIDGE = "10.9.0.1"
# Enough for long frames, and not too much for a machine that is busy.
SIZE = 96 << 10
PORT = 5001
# A stream that takes ten seconds, on a machine of any speed.
SLOW, PAUSE_MS = 800 << 10, 50

group = Group("net")


def net(make, number, **keys):
    """The string of the number-th network device, served by vr-backend itself."""
    return make(**{"id": f"net{number}", "type": "net", "target": None,
                   "driver": DRIVER, "mac": MACS[number], "bridge": "br0",
                   "vhost": "off", **keys})


def address(number):
    """What the guest's number-th interface is given."""
    return f"10.9.0.{10 + number}"


def within(number, command):
    """A command in the number-th namespace of a guest."""
    return f"within {number} '{command}'"


def start(h, name, devices, disks=(), uplink="", **args):
    """Create a guest, and its driver domain, which has a bridge. @uplink: a
    bridge of dom0's that it is on."""
    h.put("bn.cfg", driver_cfg(
        "bn", disks, memory=128, ramdisk="network.cpio",
        extra="vr.bridge=br0" + (",eth0" if uplink else ""),
        lines=f'vif = [ "bridge={uplink}" ]' if uplink else ""))
    r = h.create(h.put(f"{name}.cfg", guest_cfg(name, devices, **args)), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(f"{name}-bn", f"ip addr add {BRIDGE}/24 dev br0", up=150)


def plug(h, name, number):
    """The number-th interface into the number-th namespace, as n0; up."""
    h.gx_ok(name, f"plug {number} {MACS[number]} {address(number)}/24 "
            f"{' '.join(arch.NET)}", 60, up=150)


@group.on_setup
def setup(h):
    start(h, G, (net(device, 0, size="4M"), net(dynamic, 1, aperture="8M"),
                 device(id="disk0", serial="disk", driver=DRIVER)),
          disks=("/dev/vda",), **arch.now.usual)
    for n in range(2):
        plug(h, G, n)
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def inside(number, name=G):
    """What stream() takes for a guest's number-th interface."""
    return name, lambda c: within(number, c)


OUTSIDE = (B, lambda c: c)


def stream(h, taker, to, giver, size=SIZE):
    """A TCP stream between two (domain, wrapper) with checked content."""
    h.gx_ok(taker[0], taker[1](f"netio recv {PORT} {size}") +
            " </dev/null >/tmp/recv 2>&1 & echo")
    h.gx_ok(giver[0], giver[1](f"netio send {to} {PORT} {size}"), 150)
    out = h.gx_ok(taker[0], "for i in $(seq 100); do grep -q received "
                  "/tmp/recv && break; sleep 0.2; done; cat /tmp/recv", 60)
    require(f"received {size} " in out, out)
    return out.splitlines()[-1]


def shown(h, number, name=G):
    """What vrctl tells of a guest's number-th device."""
    return h.show(name)["devices"][number]


@group.check("ping: guest to driver domain, and back", 120)
def ping(h, _made):
    for n in range(2):
        h.gx_ok(G, within(n, f"ping -c 2 -W 5 {BRIDGE} && "
                          f"ping -c 2 -W 5 -s 1472 {BRIDGE}"))
        h.gx_ok(B, f"ping -c 2 -W 5 {address(n)}")


@group.check("TCP both ways: every byte is right, long frames are used", 400)
def tcp(h, _made):
    said = []
    for n in range(2):
        said.append(stream(h, OUTSIDE, BRIDGE, inside(n)))
        said.append(stream(h, inside(n), address(n), OUTSIDE))
        def look(n=n):
            d = shown(h, n)
            return d["long_to_guest"] and d["long_from_guest"] and d
        d = h.wait("long frames are counted", look)
        require(not d["bad_from_guest"] and not d["spoofed_from_guest"] and
                not d["counters"]["backend_faults"], f"{d}")
    return "; ".join(said)


@group.check("TCP from one interface to the other, by the bridge", 300)
def between(h, _made):
    return "; ".join((stream(h, inside(0), address(0), inside(1)),
                      stream(h, inside(1), address(1), inside(0))))


@group.check("UDP both ways, short and long", 200)
def udp(h, _made):
    for n in range(2):
        for taker, to, giver in ((OUTSIDE, BRIDGE, inside(n)),
                                 (inside(n), address(n), OUTSIDE)):
            for size in (18, 4000):
                h.gx_ok(taker[0], taker[1]("netio sink 5002 50") +
                        " </dev/null >/tmp/udp 2>&1 & echo; sleep 0.5")
                h.gx_ok(giver[0], giver[1](f"netio cast {to} 5002 50 {size}"))
                out = h.gx_ok(taker[0], "for i in $(seq 200); do grep -q wrong "
                              "/tmp/udp && break; sleep 0.2; done; "
                              "cat /tmp/udp", 60)
                got = re.match(r"(\d+) datagrams, 0 wrong", out)
                require(got and int(got[1]) >= 10, f"{size}: {out}")


@group.check("vrctl list, show and audit know network devices", 60)
def known(h, _made):
    text = h.ok("vrctl list")
    for n, mode in enumerate(("static", "dynamic")):
        require(re.search(rf"{G} .*net{n} .*net .* {mode}", text), text)
    text = h.ok(f"vrctl show {G} net0")
    require(f"mac           {MACS[0]}" in text and
            "link          up, MTU 1500" in text, text)
    audit(h, G)


@group.check("the disk beside them works", 90)
def disk(h, _made):
    h.gx_ok(G, "pattern write /dev/vda 1 7 && "
            "echo 3 > /proc/sys/vm/drop_caches && pattern check /dev/vda 1 7",
            60)


@group.check("another address than its own: dropped, and counted", 120)
def spoofed(h, _made):
    for n in range(2):
        h.gx_ok(G, within(n, "ip link set n0 address 00:16:3e:77:77:77"))
        r = h.gx(G, within(n, f"ping -c 2 -W 1 {BRIDGE}"))
        require(r.rc, r.text)
        h.gx_ok(G, within(n, f"ip link set n0 address {MACS[n]}"))
        h.wait("it is counted", lambda n=n: shown(h, n)["spoofed_from_guest"])
        h.gx_ok(G, within(n, f"ping -c 2 -W 5 {BRIDGE}"))


@group.check("the guest's link follows the interface", 90)
def link(h, _made):
    name = h.gx_ok(B, "ls /sys/class/net | grep net0").strip()
    for state in "down", "up":
        h.gx_ok(B, f"ip link set {name} {state}")
        h.wait(f"the link is {state}", lambda state=state: (
            "LOWER_UP" in h.gx_ok(G, within(0, "ip link show n0"))) ==
               (state == "up"))
    h.gx_ok(G, within(0, f"ping -c 2 -W 5 {BRIDGE}"))


@group.check("workers killed under streams: they go on", 200)
def restarted(h, _made):
    before = [shown(h, n)["counters"]["restarts"] for n in range(2)]
    for n in range(2):
        h.gx_ok(G, within(n, f"netio recv {PORT} {SLOW} >/tmp/recv{n} 2>&1 "
                          "</dev/null &") + "; echo")
        h.gx_ok(B, f"netio send {address(n)} {PORT} {SLOW} {PAUSE_MS} "
                "</dev/null >/dev/null 2>&1 & echo")
    h.gx_ok(G, "until [ $(cat /tmp/recv? | grep -c connected) = 2 ]; do "
            "sleep 0.2; done", 60)
    h.gx_ok(B, "sleep 1; kill -9 $(grep -sl vr-worker /proc/[0-9]*/comm | "
            "cut -d/ -f3)")
    for n in range(2):
        out = h.gx_ok(G, f"until grep -qE \"received|byte\" /tmp/recv{n}; do "
                      f"sleep 0.5; done; cat /tmp/recv{n}", 120)
        require(f"received {SLOW} " in out, out)
        h.wait("it was started again", lambda n=n:
               shown(h, n)["counters"]["restarts"] > before[n], 40)
    audit(h, G)


@group.check("driver unbound and bound: the interface is new, and works", 120)
def rebound(h, _made):
    h.gx_ok(G, "cd /sys/bus/virtio/drivers/virtio_net; for d in virtio*; do "
            "echo $d > unbind && echo $d > bind || exit 1; done", 60)
    for n in range(2):
        plug(h, G, n)
        h.gx_ok(G, within(n, f"ping -c 3 -W 5 {BRIDGE}"))
    audit(h, G)


@group.check("down and up 30 times, in between a ping", 120)
def flapping(h, _made):
    for n in range(2):
        h.gx_ok(G, within(n, "for i in $(seq 30); do ip link set n0 down; "
                          "ip link set n0 up; done; "
                          f"ping -c 3 -W 5 {BRIDGE}"), 100)


@group.check("driver domain destroyed under a stream: the guest lives", 120)
def destroyed(h, _made):
    h.gx_ok(B, f"netio recv {PORT} {SLOW} </dev/null >/tmp/recv 2>&1 & echo")
    h.gx_ok(G, within(0, f"netio send {BRIDGE} {PORT} {SLOW} {PAUSE_MS}") +
            " </dev/null >/tmp/send 2>&1 & echo")
    h.gx_ok(B, "until grep -q connected /tmp/recv; do sleep 0.2; done", 60)
    h.ok(f"xl destroy {B}", 60)
    h.wait("it is noticed", lambda: shown(h, 0)["state"] == "failed", 30)
    h.gx_ok(G, within(0, "ip addr show n0; ip link set n0 down; "
                      "ip link set n0 up; true"))
    h.ok(f"xl destroy {G}", 90)
    h.leftovers(20)
