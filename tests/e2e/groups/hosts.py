# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts that cannot serve restricted devices say so, before any domain."""

from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

silo = Group("silo", host=("ioreq", "silo"), arches=("arm64",))
stock = Group("stock", host=("stock", "dummy"), arches=("arm64",))


def refused(h, *words):
    h.put("b1.cfg", driver_cfg("b1"))
    cfg = h.put("g1.cfg", guest_cfg("g1", [device()]))
    r = h.sh(f"xl create {cfg}")
    lines = [l for l in r.text.splitlines() if "virtio_restricted" in l]
    require(r.rc != 0 and lines, f"[{r.rc}] {r.text[-300:]}")
    for word in words:
        require(word in lines[0], f"no {word!r} in: {lines[0]}")
    require(not h.domains(), "a domain exists")
    return lines[0].strip()[:200]


def check_says(h, *words):
    r = h.sh("vrctl check")
    require(r.rc == 1, f"vrctl check ended with {r.rc}")
    line = next((l for l in r.text.splitlines() if "FAIL" in l and
                 all(w in l for w in words)), None)
    require(line, f"no FAIL line with {words}: {r.text[-500:]}")
    return line.strip()[:200]


def plain(h):
    cfg = h.put("plain.cfg", guest_cfg("plain", None))
    r = h.create(cfg)
    require(r.rc == 0, r.text[-300:])
    h.ok("xl destroy plain")


@silo.check("SILO host: xl create refuses, with the remedy")
def silo_create(h):
    return refused(h, "xsm=dummy")


@silo.check("SILO host: vrctl check says so")
def silo_check(h):
    return check_says(h, "xsm=dummy")


@silo.check("SILO host: a guest without the key is created as ever")
def silo_plain(h):
    plain(h)


@stock.check("Debian's hypervisor: xl create refuses, with the remedy")
def stock_create(h):
    return refused(h, "CONFIG_IOREQ_SERVER")


@stock.check("Debian's hypervisor: vrctl check says so")
def stock_check(h):
    return check_says(h, "CONFIG_IOREQ_SERVER")


@stock.check("Debian's hypervisor: a guest without the key as ever")
def stock_plain(h):
    plain(h)
