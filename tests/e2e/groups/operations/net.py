# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network devices, what administrators and guests do with them: by the guest
module with its doorbells; mixed, dynamic and static, these with long frames, and
static without offloads and with its IP address given, in one guest of Debian's
kernel."""

import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from ..dynamic import audit
from ..neighbours import judge, search
from ..net import (BRIDGE, PAUSE_MS, PORT, SLOW, address, inside, net, plug,
                   shown, start, stream, within)

G, B = "on", "on-bn"
S = "gs-bn"  # a driver domain for those that never come to be
MTU = 9000
BARE = 3  # the device without offloads, with ip= and rate=
RATE = 256 << 10  # bytes a second
# dom0's bridge, to which the driver domain has an uplink where dom0 has bridges.
UPLINK, DOM0 = "up0", "10.9.0.200"
LONG = 100 << 20
NUMBERS = range(4)

group = Group("operations/net")


@group.on_setup
def setup(h):
    uplink = UPLINK if arch.now.name == "arm64" else ""
    if uplink:
        # Without a NIC it would have the address of Xen's interfaces, which the
        # driver domain's bridge takes for its own.
        h.ok(f"brctl addbr {UPLINK}; ip addr add {DOM0}/24 dev {UPLINK}; "
             f"ip link set {UPLINK} address 00:16:3e:00:00:99; "
             f"ip link set {UPLINK} up")
    start(h, G, (net(mixed, 0, size="4M", aperture="8M", mtu=MTU),
                 net(dynamic, 1, aperture="8M", mtu=MTU),
                 net(device, 2, size="4M"),
                 net(device, BARE, size="4M", offload="off",
                     ip=f"{address(BARE)} fd00::{BARE}",
                     rate=f"{RATE >> 10}KB/s")),
          uplink=uplink, **dict(arch.now.module, ramdisk=arch.now.mixed))
    for n in NUMBERS:
        plug(h, G, n)
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)
    h.sh(f"ip link set {UPLINK} down; brctl delbr {UPLINK}")


def ping(h, number, to=BRIDGE, args=""):
    """From the guest's number-th interface."""
    h.gx_ok(G, within(number, f"ping -c 3 -W 5 {args} {to}"), 40)


@group.check("long frames, by doorbells: TCP from one to the other", 200)
def jumbo(h, _made):
    for n in range(2):
        h.gx_ok(G, within(n, f"ip link show n0 | grep \"mtu {MTU}\""))
    ping(h, 0, address(1), "-s 8900")
    said = (stream(h, inside(0, G), address(0), inside(1, G)),
            stream(h, inside(1, G), address(1), inside(0, G)))
    bells = {r["bell"] for d in h.show(G)["devices"] for r in d["rings"]
             if r["enabled"]}
    require(bells == {"direct"}, f"{bells}")
    audit(h, G)
    return "; ".join(said)


@group.check("IPv6", 150)
def six(h, _made):
    for n in range(2):
        h.gx_ok(G, within(n, f"ip addr add fd00::{n + 1}/64 dev n0"))
    h.gx_ok(G, within(1, "for i in $(seq 20); do ping6 -c 1 -W 2 fd00::1 && "
                      "exit; sleep 0.5; done; exit 1"), 60)
    return stream(h, inside(0, G), "fd00::1", inside(1, G))


@group.check("VLAN tags pass", 100)
def vlan(h, _made):
    for n in range(2):
        h.gx_ok(G, within(n, "ip link add link n0 name v5 type vlan id 5 && "
                          f"ip addr add 10.5.0.{n + 1}/24 dev v5 && "
                          "ip link set v5 up"))
    # As long as the link can have them, with the tag beside.
    ping(h, 0, "10.5.0.2", f"-s {MTU - 28}")
    return stream(h, inside(1, G), "10.5.0.2", inside(0, G))


@group.check("multicast", 100)
def multicast(h, _made):
    for n in range(2):
        h.gx_ok(G, within(n, "ip route add 239.0.0.0/8 dev n0"))
    h.gx_ok(G, within(1, f"netio sink 5002 20 239.1.2.3 {address(1)}") +
            " </dev/null >/tmp/many 2>&1 & echo; sleep 1")
    h.gx_ok(G, within(0, "netio cast 239.1.2.3 5002 20 1000"))
    out = h.gx_ok(G, "until grep wrong /tmp/many; do sleep 0.2; done", 60)
    got = re.match(r"(\d+) datagrams, 0 wrong", out)
    require(got and int(got[1]) >= 10, out)


@group.check("DHCP", 100)
def dhcp(h, _made):
    h.gx_ok(G, "printf 'interface n0\\nstart 10.9.0.40\\nend 10.9.0.40\\n"
            "lease_file /tmp/leases\\noption subnet 255.255.255.0\\n' "
            "> /tmp/udhcpd.conf; touch /tmp/leases; "
            "printf '#!/bin/busybox sh\\n[ $1 != bound ] || "
            "ip addr add $ip/24 dev $interface\\n' > /tmp/bound; "
            "chmod 755 /tmp/bound")
    h.gx_ok(G, within(1, "udhcpd -f /tmp/udhcpd.conf") +
            " </dev/null >/tmp/udhcpd 2>&1 & echo")
    h.gx_ok(G, within(0, "udhcpc -i n0 -n -q -t 5 -T 3 -s /tmp/bound; "
                      "ip addr show n0 | grep 10.9.0.40; "
                      "ip addr del 10.9.0.40/24 dev n0"), 60)


@group.check("what ethtool asks: driver, offloads, counters", 60)
def ethtool(h, _made):
    for n in (0, BARE):
        out = h.gx_ok(G, within(n, "netio about n0"))
        words = dict(l.split(": ", 1) for l in out.splitlines())
        on = words["on"].split()
        require(words["driver"] == "virtio_net", out)
        for feature in ("tx-checksum-ip-generic", "tx-tcp-segmentation"):
            require((feature in on) == (n != BARE), f"{feature}: {out}")
        require(int(words["counters"]) > 0, out)


@group.check("offload=off: nothing is left to the other end", 200)
def bare(h, _made):
    outside = (B, lambda c: c)
    said = (stream(h, outside, BRIDGE, inside(BARE, G)),
            stream(h, inside(BARE, G), address(BARE), outside))
    d = h.wait("it is counted", lambda: shown(h, BARE, G)["packets_to_guest"]
               > 10 and shown(h, BARE, G))
    require(not d["long_to_guest"] and not d["long_from_guest"], f"{d}")
    return "; ".join(said)


@group.check("another IP address than ip=: dropped, and counted", 120)
def spoofed(h, _made):
    def count():
        return shown(h, BARE, G)["spoofed_from_guest"]
    said = []
    # Who asks is another; who asks is itself, and sends as another; IPv6.
    for setting, command in (
            ("ip addr add 10.9.0.77/24 dev n0",
             f"arping -c 2 -w 2 -I n0 -s 10.9.0.77 {BRIDGE}"),
            ("ip addr add 10.9.0.78/32 dev n0",
             f"ping -c 2 -W 1 -I 10.9.0.78 {BRIDGE}"),
            ("ip addr add fd00::78/64 dev n0; sleep 3",
             "ping6 -c 2 -W 1 -I fd00::78 fd00::1")):
        before = count()
        h.gx(G, within(BARE, f"{setting}; {command}"), 30)
        h.wait(f"it is counted: {command}", lambda b=before: count() > b)
        said.append(count() - before)
    ping(h, BARE)
    return f"{said} frames"


@group.check("a packet's neighbours in its page: seen where pages are mapped",
             300)
def neighbours(h, _made):
    said = []
    for n in range(3):
        ping(h, n)
        found, _, _ = search(
            h, G, shown(h, n, G), arch.now.memory(256), lambda s, p, n=n:
            within(n, f"neighbour {BRIDGE} 9 {s} {p}"))
        said.append(judge(found, shown(h, n, G)["mode"] == "dynamic"))
    return "; ".join(said)


@group.check("MTU, MAC and link change 100 times", 200)
def changes(h, _made):
    mac = {n: shown(h, n, G)["mac"] for n in NUMBERS}
    for n in NUMBERS:
        h.gx_ok(G, within(n, "for i in $(seq 100); do "
                          f"ip link set n0 mtu $((600 + 9 * i)); "
                          "ip link set n0 address 00:16:3e:00:01:$((10 + i % 80"
                          ")); ip link set n0 down; ip link set n0 up; done; "
                          f"ip link set n0 mtu 1500; "
                          f"ip link set n0 address {mac[n]}"), 150)
        ping(h, n)
    audit(h, G)


@group.check("rate= bounds what is sent, and nothing else", 150)
def limited(h, _made):
    outside = (B, lambda c: c)
    times = []
    for taker, to, giver in ((outside, BRIDGE, inside(BARE, G)),
                             (inside(BARE, G), address(BARE), outside),
                             (outside, BRIDGE, inside(2, G))):
        said = stream(h, taker, to, giver, 2 * RATE)
        times.append(float(re.search(r"in ([\d.]+) s", said)[1]))
    # The first period's bytes come at once.
    require(times[0] > 1.5 and max(times[1:]) < times[0], f"{times} s")
    return f"{times} s"


@group.check("100 MiB from the guest to dom0, by the driver domain's uplink", 600,
             arches=("arm64",))
def uplink(h, _made):
    ping(h, 2, DOM0)
    dom0 = "/host/bin/netio recv"
    h.ok(f"({dom0} {PORT} {LONG} </dev/null >/tmp/recv 2>&1 &)")
    h.gx_ok(G, within(2, f"netio send {DOM0} {PORT} {LONG}"), 500)
    return h.ok("for i in $(seq 100); do grep -q \"received\\|byte\" /tmp/recv "
                "&& break; sleep 0.2; done; cat /tmp/recv; "
                f"grep -q \"received {LONG} \" /tmp/recv").strip()


def begin_streams(h):
    """A slow one into each interface."""
    for n in NUMBERS:
        h.gx_ok(G, within(n, f"netio recv {PORT} {SLOW} >/tmp/recv{n} 2>&1 "
                          "</dev/null &") + "; echo")
        h.gx_ok(B, f"netio send {address(n)} {PORT} {SLOW} {PAUSE_MS} "
                "</dev/null >/dev/null 2>&1 & echo")
    h.gx_ok(G, "until [ $(cat /tmp/recv? | grep -c connected) = 4 ]; do "
            "sleep 0.2; done", 60)


def end_streams(h):
    """Every byte of them has to arrive."""
    for n in NUMBERS:
        out = h.gx_ok(G, f"until grep -qE \"received|byte\" /tmp/recv{n}; do "
                      f"sleep 0.5; done; cat /tmp/recv{n}", 120)
        require(f"received {SLOW} " in out, out)
    audit(h, G)


@group.check("driver domain paused under streams: they go on", 150)
def paused(h, _made):
    begin_streams(h)
    h.ok(f"xl pause {B}")
    try:
        # Nobody waits for it with a lock in hand.
        h.gx_ok(G, "; ".join(within(n, "ip link set n0 down; "
                                    "ip link set n0 up; ip addr show n0")
                             for n in NUMBERS), 20)
        time.sleep(3)
    finally:
        h.ok(f"xl unpause {B}")
    end_streams(h)


@group.check("vr-backend killed, all of it, under streams: they go on", 200)
def killed(h, _made):
    begin_streams(h)
    h.gx_ok(B, "kill -9 $(cat /run/vr-backend.pid) $(pidof vr-backend); true")
    end_streams(h)
    for n in NUMBERS:
        ping(h, n)


SCRIPTS = "/etc/xen/scripts"
BAD = (
    ({"script": "fail"}, f"script {SCRIPTS}/fail add ended with code 3"),
    ({"script": "hang"}, f"script {SCRIPTS}/hang add has not ended after 40 s "
                         "and was killed"),
    ({"script": "nosuch"}, f"script {SCRIPTS}/nosuch: No such file"),
    ({"bridge": "nosuch"}, f"script {SCRIPTS}/vif-bridge add ended with code 1"),
    ({"vifname": "br0"}, "interface br0 cannot be made: "),
)


@group.check("scripts that fail or hang, a name that is taken: refused", 400)
def refused(h, _made):
    h.put("bs.cfg", driver_cfg(S, (), memory=128, ramdisk="network.cpio",
                               extra="vr.bridge=br0"))
    h.ok("xl create /host/cfg/bs.cfg", 60)
    h.gx_ok(S, "true", up=150)
    for keys, why in BAD:
        cfg = h.put("gs.cfg", guest_cfg("gs", [net(device, 0, **{
            "driver": None, "backend": S, "size": "4M", **keys})]))
        # A name may become free: until timeout=, 60 seconds, it is waited for.
        r = h.create(cfg, 100)
        require(r.rc and why in r.text, f"{keys}: [{r.rc}] {r.text[-400:]}")
        h.wait_gone("gs")
        h.wait("the interface goes", lambda: h.gx(
            S, "ls /sys/class/net | grep vif").rc)
    h.end(S)


@group.check("driver domain destroyed: the guest lives, and ends", 90)
def destroyed(h, _made):
    h.ok(f"xl destroy {B}", 60)
    for n in NUMBERS:
        h.wait("it is noticed", lambda n=n: shown(h, n, G)["state"] == "failed")
        h.gx_ok(G, within(n, "ip link set n0 down; ip link set n0 up; true"))
    h.ok(f"xl destroy {G}", 90)
    h.leftovers(20)
