# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network devices whose queues the driver domain's kernel serves (vhost-net),
beside one that vr-backend serves: what only that path can have wrong. Events,
bells and rings are those of the guest's module; one check has a kernel without
it."""

import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from groups import net as usual
from groups.dynamic import audit

G, B = "gv", "gv-bv"
DRIVER = "/host/cfg/bv.cfg"
SIZE = 2 << 20
# Linux uses a pair for each.
VCPUS = 2

group = Group("vhost")


def card(make, number, **keys):
    """The string of the number-th network device."""
    return usual.net(make, number, **{"driver": DRIVER, "size": "4M", **keys})


def driver(h, **keys):
    """The driver domain's file."""
    h.put("bv.cfg", driver_cfg("bv", extra="vr.bridge=br0",
                               **{"memory": 128, "ramdisk": "network.cpio",
                                  **arch.now.vhost, **keys}))


def start(h, cards, vcpus=1, **args):
    """The guest, its cards in namespaces, and the bridge's address."""
    text = guest_cfg(G, cards, **args)
    r = h.create(h.put(f"{G}.cfg", text.replace("vcpus = 1",
                                                f"vcpus = {vcpus}")), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, f"for m in {' '.join(arch.NET)}; do f=/modules/$m.ko.later; "
            "[ ! -e $f ] || insmod $f; done", 150, up=150)
    h.gx_ok(B, f"ip addr add {usual.BRIDGE}/24 dev br0", up=150)
    for n in range(len(cards)):
        usual.plug(h, G, n)


def inside(number):
    """What stream() takes for the guest's number-th interface."""
    return G, lambda c: usual.within(number, c)


OUTSIDE = (B, lambda c: c)


def shown(h, number):
    """What vrctl tells of the number-th device."""
    return h.show(G)["devices"][number]


def reaches(h, number):
    """The number-th card and the bridge have each other."""
    h.gx_ok(G, usual.within(number, f"ping -c 3 -W 5 {usual.BRIDGE}"))


@group.on_setup
def setup(h):
    driver(h)
    start(h, (card(device, 0, vhost="on"), card(device, 1, vhost="off")),
          **dict(arch.now.module, ramdisk=arch.now.mixed))
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


@group.check("vrctl show says which is served how", 60)
def known(h, _made):
    require([shown(h, n)["vhost_used"] for n in range(2)] == [True, False],
            f"{shown(h, 0)}")
    text = h.ok(f"vrctl show {G} net0")
    require("moved by the driver domain's kernel (vhost-net)" in text, text)
    audit(h, G)


@group.check("ping, short and long", 120)
def ping(h, _made):
    for n in range(2):
        h.gx_ok(G, usual.within(n, f"ping -c 2 -W 5 {usual.BRIDGE} && "
                                f"ping -c 2 -W 5 -s 1472 {usual.BRIDGE}"))


def figures(h, number):
    """Bytes that the card has moved, and how often either side was woken."""
    c = shown(h, number)["counters"]
    return (c["read_bytes"] + c["write_bytes"], c["backend_kicks"],
            c["backend_interrupts"])


@group.check("TCP both ways: every byte is right, with few wake-ups", 400)
def tcp(h, _made):
    said = []
    for n in range(2):
        before = figures(h, n)
        usual.stream(h, OUTSIDE, usual.BRIDGE, inside(n), SIZE)
        usual.stream(h, inside(n), usual.address(n), OUTSIDE, SIZE)
        h.wait("it is all counted", lambda n=n, before=before:
               figures(h, n)[0] > before[0] + 2 * SIZE, 30)
        frames, kicks, rings = (b - a for a, b in zip(before, figures(h, n)))
        frames /= 1500
        said.append(f"{kicks / frames:.3f} kicks, {rings / frames:.3f} "
                    "interrupts")
        require(kicks + rings < frames / 2, f"{said}")
    return f"for 1500 bytes, by vhost: {said[0]}; without: {said[1]}"


@group.check("from one card to the other", 200)
def between(h, _made):
    return "; ".join((usual.stream(h, inside(0), usual.address(0), inside(1)),
                      usual.stream(h, inside(1), usual.address(1), inside(0))))


@group.check("the kernel's figures are vrctl's", 60)
def counted(h, _made):
    h.wait("packets and bytes are counted", lambda: (
        shown(h, 0)["packets_to_guest"] > 100 and
        shown(h, 0)["packets_from_guest"] > 100 and
        shown(h, 0)["counters"]["write_bytes"] > SIZE), 30)


@group.check("another address than its own: dropped", 120)
def spoofed(h, _made):
    h.gx_ok(G, usual.within(0, "ip link set n0 address 00:16:3e:77:77:77"))
    r = h.gx(G, usual.within(0, f"ping -c 2 -W 1 {usual.BRIDGE}"))
    require(r.rc, r.text)
    h.gx_ok(G, usual.within(0, f"ip link set n0 address {usual.MACS[0]}"))
    reaches(h, 0)


@group.check("driver unbound and bound under a stream", 200)
def rebound(h, _made):
    for _ in range(3):
        h.gx_ok(G, usual.within(0, f"netio send {usual.BRIDGE} {usual.PORT} "
                                f"{50 * SIZE}") +
                " </dev/null >/tmp/send 2>&1 & echo")
        h.gx_ok(B, f"netio recv {usual.PORT} {50 * SIZE} </dev/null "
                ">/tmp/recv 2>&1 & sleep 2; echo")
        h.gx_ok(G, "cd /sys/bus/virtio/drivers/virtio_net; for d in virtio*; do "
                "echo $d > unbind && echo $d > bind || exit 1; done; "
                "for p in /proc/[0-9]*; do grep -qs netio $p/comm && "
                "kill -9 ${p#/proc/}; done; true", 60)
        h.gx_ok(B, "for p in /proc/[0-9]*; do grep -qs netio $p/comm && "
                "kill -9 ${p#/proc/}; done; true")
        usual.plug(h, G, 0)
        reaches(h, 0)
    usual.plug(h, G, 1)
    audit(h, G)


@group.check("down and up 30 times, in between a ping", 120)
def flapping(h, _made):
    h.gx_ok(G, usual.within(0, "for i in $(seq 30); do ip link set n0 down; "
                            "ip link set n0 up; done; "
                            f"ping -c 3 -W 5 {usual.BRIDGE}"), 100)


@group.check("worker killed under a stream: it goes on, by vhost", 300)
def restarted(h, _made):
    before = shown(h, 0)["counters"]["restarts"]
    old = h.gx_ok(B, "for p in /proc/[0-9]*; do grep -qs vr-worker $p/comm && "
                  "grep -qs net0 $p/fdinfo/* && echo ${p#/proc/}; done; "
                  "true").split()
    require(len(old) == 1, f"{old}")
    for taker, to, giver in ((inside(0), usual.address(0), OUTSIDE),
                             (OUTSIDE, usual.BRIDGE, inside(0))):
        h.gx_ok(B, "(sleep 1; for p in /proc/[0-9]*; do "
                "grep -qs vr-worker $p/comm && grep -qs net0 $p/fdinfo/* && "
                "kill -9 ${p#/proc/}; done) </dev/null >/dev/null 2>&1 & echo")
        usual.stream(h, taker, to, giver, 8 * SIZE)
    h.wait("it was started again", lambda:
           shown(h, 0)["counters"]["restarts"] > before, 40)
    require(shown(h, 0)["vhost_used"], f"{shown(h, 0)}")
    audit(h, G)


@group.check("driver domain destroyed under a stream: the guest lives", 120)
def destroyed(h, _made):
    h.gx_ok(G, usual.within(0, f"netio send {usual.BRIDGE} {usual.PORT} "
                            f"{50 * SIZE}") +
            " </dev/null >/tmp/send 2>&1 & echo")
    h.gx_ok(B, f"netio recv {usual.PORT} {50 * SIZE} </dev/null "
            ">/dev/null 2>&1 & sleep 3; echo")
    h.ok(f"xl destroy {B}", 60)
    h.wait("it is noticed", lambda: shown(h, 0)["state"] == "failed", 30)
    h.gx_ok(G, usual.within(0, "ip addr show n0; ip link set n0 down; "
                            "ip link set n0 up; true"))
    h.ok(f"xl destroy {G}", 90)
    h.leftovers(20)


@group.check("a kernel without doorbells: by vhost, the broker in between", 300,
             arches=("arm64",))
def trapped(h, _made):
    try:
        h.end(G, B)
        start(h, (card(device, 0, vhost="auto"),), **arch.now.usual)
        require(shown(h, 0)["vhost_used"], f"{shown(h, 0)}")
        said = (usual.stream(h, OUTSIDE, usual.BRIDGE, inside(0)),
                usual.stream(h, inside(0), usual.address(0), OUTSIDE))
        audit(h, G)
        return "; ".join(said)
    finally:
        h.end(G, B)


def pairs_of(h, used):
    """How each of the two cards' queue pairs are used, once it is so."""
    h.wait(f"{used} pairs are in use", lambda: all(
        shown(h, n)["queue_pairs_used"] == used for n in range(2)), 20)


def streams(h):
    """Four at a time, into each card."""
    for n in range(2):
        for k in range(4):
            h.gx_ok(G, usual.within(n, f"netio recv {6000 + k} {SIZE // 2}") +
                    f" </dev/null >/tmp/recv{n}{k} 2>&1 & echo")
        h.gx_ok(B, f"for k in 0 1 2 3; do netio send {usual.address(n)} 600$k "
                f"{SIZE // 2} & done; wait", 150)
        out = h.gx_ok(G, f"for i in $(seq 100); do [ $(cat /tmp/recv{n}? | "
                      "grep -c received) = 4 ] && break; sleep 0.2; done; "
                      f"cat /tmp/recv{n}?", 60)
        require(out.count(f"received {SIZE // 2} ") == 4, out)


@group.check("4 pairs of queues, by vhost and without", 500)
def several(h, _made):
    try:
        h.end(G, B)
        driver(h)
        start(h, (card(device, 0, queues=4, vhost="on"),
                  card(device, 1, queues=4, vhost="off")), vcpus=VCPUS,
              **dict(arch.now.module, ramdisk=arch.now.mixed))
        pairs_of(h, VCPUS)
        streams(h)
        for n in range(2):
            usual.stream(h, OUTSIDE, usual.BRIDGE, inside(n), SIZE)
        # A worker that is started anew knows how many there are.
        h.gx_ok(B, "for p in /proc/[0-9]*; do grep -qs vr-worker $p/comm && "
                "kill -9 ${p#/proc/}; done; true")
        h.wait("both are there again", lambda: all(
            shown(h, n)["counters"]["restarts"] for n in range(2)), 40)
        streams(h)
        pairs_of(h, VCPUS)
        # Their number changes 100 times.
        for n in range(2):
            h.gx_ok(G, usual.within(n, "netio pairs n0 4 100"), 100)
        pairs_of(h, 4)
        streams(h)
        # A new driver has one to begin with, and then what it asks for.
        h.gx_ok(G, "cd /sys/bus/virtio/drivers/virtio_net; for d in virtio*; do "
                "echo $d > unbind && echo $d > bind || exit 1; done", 60)
        for n in range(2):
            usual.plug(h, G, n)
            reaches(h, n)
        pairs_of(h, VCPUS)
        # Only its own address; and frames for groups, of which it is in one.
        for n in range(2):
            r = h.gx(G, usual.within(n, "ip link set n0 address "
                                     "00:16:3e:77:77:77"))
            require(r.rc, r.text)
            h.gx_ok(G, usual.within(n, "ip link set n0 promisc on; "
                                    "ip link set n0 promisc off; "
                                    "ip link set n0 allmulticast on; "
                                    f"ping -c 2 -W 5 {usual.BRIDGE}"))
        audit(h, G)
        # The command is given behind ip's back; whoever is next waits for it.
        h.ok(f"xl pause {B}")
        begun = time.monotonic()
        h.gx_ok(G, usual.within(0, "ip link set n0 promisc on; sleep 1; "
                                "ip link set lo mtu 1400"), 90)
        took = time.monotonic() - begun
        h.ok(f"xl unpause {B}")
        h.gx_ok(G, "dmesg | grep \"no answer to a command for 30 s\"")
        return f"a command to a paused driver domain ended after {took:.0f} s"
    finally:
        h.sh(f"xl unpause {B}")
        h.end(G, B)


@group.check("no vhost-net in the kernel: auto does without, on is refused", 200,
             arches=("arm64",))
def missing(h, _made):
    try:
        h.end(G, B)
        driver(h, kernel=arch.now.driver["kernel"], ramdisk="network.cpio",
               memory=128)
        start(h, (card(device, 0),), **arch.now.usual)
        require(not shown(h, 0)["vhost_used"], f"{shown(h, 0)}")
        reaches(h, 0)
    finally:
        h.end(G, B)
    r = h.create(h.put("gs.cfg", guest_cfg("gs", [card(device, 0,
                                                       vhost="on")])), 100)
    require(r.rc and re.search("vhost=on: .*(sch_ingress|vhost_net)", r.text),
            f"[{r.rc}] {r.text[-400:]}")
    h.leftovers(20)
    return r.text.splitlines()[0]


BAD = (
    ({"vhost": "perhaps"}, device, "vhost=perhaps is unknown"),
    ({"vhost": "on", "rate": "10Mb/s"}, device, "vhost=on goes with"),
    ({"vhost": "on"}, mixed, "vhost=on goes with"),
    ({"queues": 8}, device, "queues=8 is out of range"),
    ({"queues": 4, "size": "3M"}, device, "use at least 3392K"),
    ({"vhost": "on", "size": None}, dynamic, "vhost=on goes with"),
)


@group.check("what does not go together is refused", 60)
def refused(h, _made):
    for keys, make, why in BAD:
        cfg = h.put("gs.cfg", guest_cfg("gs", [card(make, 0, **keys)]))
        r = h.create(cfg, 40)
        require(r.rc and why in r.text, f"{keys}: [{r.rc}] {r.text[-400:]}")
