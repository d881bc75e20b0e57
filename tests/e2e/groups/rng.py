# SPDX-License-Identifier: LGPL-2.1-or-later
"""Entropy devices: static, dynamic and mixed, beside a disk, in one guest that
has the virtio-rng driver of Debian's kernel. Linux has one current source of
random numbers at a time: each of the three is chosen in turn."""

import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from groups.dynamic import audit

G, B = "gr", "gr-b1"
SOURCES = 3
HW = "/sys/class/misc/hw_random"

group = Group("rng")


def rng(make, number, **keys):
    """The string of the number-th entropy device."""
    return make(**{"id": f"rng{number}", "type": "rng",
                   "target": "/dev/urandom", **keys})


DEVICES = (device(serial="disk"), rng(device, 0, size="256K"),
           rng(dynamic, 1, aperture="2M"),
           rng(mixed, 2, size="256K", aperture="2M"))


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", memory=128))
    args = dict(arch.now.module, ramdisk=arch.now.mixed)
    r = h.create(h.put(f"{G}.cfg", guest_cfg(G, DEVICES, **args)), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "insmod /modules/virtio-rng.ko.later", up=150)
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def read(h, number, size=256):
    """Bytes of the guest's number-th source, as text."""
    out = h.gx_ok(G, f"hwrng read {number} {size}", 60)
    name, data = out.split()
    require(name == f"virtio_rng.{number}", out)
    return data


def served(h, number):
    """What vrctl tells of the number-th of the entropy devices."""
    return h.show(G)["devices"][1 + number]["counters"]


def workers(h):
    """Workers of vr-backend for entropy devices: those with the source open."""
    return h.gx_ok(B, "workers-of /dev/urandom").split()


@group.check("the guest has three sources, all bytes differ", 120)
def works(h, _made):
    out = h.gx_ok(G, f"cat {HW}/rng_available").split()
    require([f"virtio_rng.{n}" for n in range(SOURCES)] ==
            sorted(n for n in out if n.startswith("virtio_rng")), f"{out}")
    seen = [read(h, n) for n in range(SOURCES) for _ in range(2)]
    require(all(len(s) == 512 for s in seen), f"{seen}")
    # Of eight bytes of any two none are the same.
    words = [s[i:i + 16] for s in seen for i in range(0, len(s), 16)]
    require(len(set(words)) == len(words), f"{seen}")
    for n in range(SOURCES):
        c = h.counted(G, 1 + n)["counters"]
        h.wait("bytes are counted",
               lambda n=n: served(h, n)["read_bytes"] >= 512)
        require(not c["backend_faults"] and not c["faults"] and
                not c["request_errors"] and not c["target_read_errors"], f"{c}")


@group.check("vrctl list, show and audit know entropy devices", 60)
def shown(h, _made):
    text = h.ok("vrctl list")
    for n, mode in enumerate(("static", "dynamic", "mixed")):
        require(re.search(rf"{G} .*rng{n} .*rng.* {mode}", text), text)
    text = h.ok(f"vrctl show {G} rng0")
    require("device rng0: rng" in text and "target        /dev/urandom\n" in
            text and "capacity" not in text, text)
    dev = h.show(G)["devices"][1]
    require(dev["type"] == "rng" and "capacity_sectors" not in dev, f"{dev}")
    audit(h, G)


@group.check("worker killed under a read: the read ends with random bytes", 120)
def restarted(h, _made):
    before = [served(h, n)["restarts"] for n in range(SOURCES)]
    old = workers(h)
    require(len(old) >= SOURCES, f"{old}")
    h.gx_ok(G, f"hwrng all {SOURCES} 4096")
    h.gx_ok(B, f"kill -9 {' '.join(old)}; true")
    h.wait("all are served again", lambda: all(
        served(h, n)["restarts"] > before[n] for n in range(SOURCES)), 40)
    h.gx_ok(G, f"hwrng wait {SOURCES * 4096}", 100)
    for n in range(SOURCES):
        require(len(set(re.findall(".{16}", read(h, n)))) == 32, "repeated")
    audit(h, G)


@group.check("driver unbound and bound: the device is quiet, then works", 90)
def rebound(h, _made):
    h.gx_ok(G, "rebind /sys/bus/virtio/drivers/virtio_rng 1", 60)
    for _ in range(SOURCES):
        name = h.gx_ok(G, f"cat {HW}/rng_available").split()
        require(len([x for x in name if x.startswith("virtio_rng")]) ==
                SOURCES, f"{name}")
    begun = time.monotonic()
    h.gx_ok(G, "dd if=/dev/hwrng of=/dev/null bs=64 count=8", 40)
    require(time.monotonic() - begun < 30 * arch.now.patience, "slow")
    audit(h, G)


BAD = (
    ({"access": "ro"}, "access= is for type=block: take it out of a device "
                       "with type=rng"),
    ({"serial": "one"}, "serial= is for type=block"),
    ({"discard": "off"}, "discard= is for type=block"),
    ({"queues": "2"}, "queues= is for type=block"),
    ({"size": "128K"}, "use at least 256K"),
    ({"target": None}, "target= is missing: add it, such as "
                       "target=/dev/urandom"),
    ({"target": "urandom"}, "is not an absolute path"),
    # A disk, and a character device that would give no random numbers.
    ({"target": "/dev/xvdb"}, "no source of random numbers; use "
                              "/dev/urandom or /dev/hwrng"),
    ({"target": "/dev/zero"}, "no source of random numbers"),
)


# Nothing in it knows the architecture.
@group.check("configurations that are wrong are refused", 240,
             arches=("arm64",))
def refused(h, _made):
    h.ok(f"xl destroy {G}", 90)
    for keys, why in BAD:
        cfg = h.put("gs.cfg", guest_cfg("gs", [rng(device, 0, **{
            "size": "256K", **keys})]))
        r = h.create(cfg, 100)
        require(r.rc and why in r.text, f"{keys}: [{r.rc}] {r.text[-400:]}")
        h.leftovers(20)
