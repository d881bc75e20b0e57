# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mixed devices: a pool and a dynamic window for one device. The guests here
have no module, so they do not use the pool beside an IOMMU: a mixed device
works as a dynamic one, and its pool is granted all the same."""

import re

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from groups.dynamic import audit, iommu, start, stop, told, under_pressure

SEED = 47
POOL, APERTURE = 8 << 20, 16 << 20

group = Group("mixed")


def windows(dev):
    """The pool and the dynamic window of a device that vrctl shows."""
    pool, iova = dev["windows"]
    require(pool["kind"] == "static" and iova["kind"] == "dynamic" and
            pool["size"] == POOL and iova["size"] == APERTURE,
            f"{dev['windows']}")
    return pool, iova


def inside(window, addr):
    """Does the address lie in the window?"""
    return window["base"] <= addr < window["base"] + window["size"]


def disk_works(h, name, by_firmware):
    """Data written and read back, and where rings and payload were. by_firmware:
    does it tell the device's pool? The virtio-iommu does."""
    found = told(h, name, "/dev/vda")
    kind, *properties = found["one"]
    require(kind != "none" and set(properties) == set(
        arch.now.told if by_firmware else arch.now.told[1:]), f"{found}")
    h.gx_ok(name, f"datafs write /dev/vda 4 {SEED} && "
            f"datafs check /dev/vda 4 {SEED}", 200)
    # Linux says that it does not know the property, and goes on.
    out = h.gx_ok(name, "dmesg | grep -E 'viommu|restricted DMA'")
    require(out.count("unknown viommu prop 0xfff") == 1 and
            "failed to parse" not in out, out)
    dev = h.counted(name)
    _, iova = windows(dev)
    for ring in dev["rings"]:
        for part in ("descriptors", "available", "used"):
            require(inside(iova, ring[part]), f"{part} at {ring[part]:#x}")
    c = dev["counters"]
    require(inside(iova, c["payload_low"]) and
            inside(iova, c["payload_high"]) and not c["faults"] and
            not c["backend_faults"] and not dev["rings_in_pool"], f"{c}")
    pages = audit(h, name)["domains"]
    own = [d for d in pages if d["driver"]]
    require(len(own) == 1 and own[0]["pages"] >= POOL >> 12, f"{pages}")


@group.check("Debian's kernel, no module: works as a dynamic device", 300,
             arches=("arm64",))
def debian(h):
    h.put("b1.cfg", driver_cfg("b1"))
    start(h, "mx", [mixed(serial="one", pool_in="probe")], kernel="Debian's")
    disk_works(h, "mx", False)
    stop(h, "mx")


def usual_guest(h):
    h.put("b1.cfg", driver_cfg("b1"))
    start(h, "mx", [mixed(serial="one", pool_in="both")],
          kernel=next(iter(arch.now.mappers)))


@group.check("a kernel without the module: works as a dynamic device", 300)
def usual(h):
    usual_guest(h)
    disk_works(h, "mx", True)


def ready(h):
    """Guest mx, which a check before has made, or a new one."""
    if "mx" not in h.domains():
        usual_guest(h)


@group.check("vrctl and xenstore show both windows", 150)
def shown(h):
    ready(h)
    g, b = h.domid("mx"), h.domid("mx-b1")
    dev = h.show("mx")["devices"][0]
    pool, iova = windows(dev)
    text = h.ok("vrctl show mx")
    for want in (f"window        static, {pool['base']:#x}-",
                 f"window        dynamic, {iova['base']:#x}-",
                 "pool told by  firmware, and the virtio-iommu's PROBE answer",
                 "not in the static window"):
        require(want in text, f"no \"{want}\": {text}")
    text = h.ok("vrctl list")
    require(re.search(r"mx .*disk0 .*mixed +8M\+16M ", text), text)
    require("disk0 (static)" in h.ok("vrctl audit mx"), "audit")
    back = f"/local/domain/{b}/backend/virtio_restricted/{g}/disk0"
    truth = f"/libxl/{g}/virtio_restricted/disk0"
    front = f"/local/domain/{g}/device/virtio_restricted/disk0"
    for base in (back, truth):
        for number, window in enumerate((pool, iova)):
            for key, value in (("kind", window["kind"]),
                               ("base", f"{window['base']:#x}"),
                               ("size", f"{window['size']:#x}"),
                               ("gref", str(window["gref_base"]))):
                path = f"{base}/window/{number}/{key}"
                out = h.ok(f"xenstore-read {path}").strip()
                require(out == value, f"{path} is {out}, not {value}")
    require(dev["pool_in"] == "both" ==
            h.ok(f"xenstore-read {truth}/pool-in").strip(), f"{dev}")
    for key, value in (("pool-base", pool["base"]), ("pool-size", pool["size"]),
                       ("iova-base", iova["base"]),
                       ("iova-size", iova["size"])):
        out = h.ok(f"xenstore-read {front}/{key}").strip()
        require(out == f"{value:#x}", f"{key} is {out}")


@group.check("audit finds one entry too many in each window", 150)
def planted(h):
    ready(h)
    g, b = h.domid("mx"), h.domid("mx-b1")
    pool, iova = windows(h.show("mx")["devices"][0])
    audit(h, "mx", "--pause")
    free = iova["gref_base"]
    h.ok(f"plant add {g} {b} {free} 0x40100")
    try:
        r = h.sh("vrctl audit --pause mx")
    finally:
        h.ok(f"plant del {g} {b} {free} 0")
    require(r.rc == 1 and re.search(r"EXCESS in the window of disk0 \(dynamic",
                                    r.text), f"[{r.rc}] {r.text[-500:]}")
    # Entries of the pool are all in use: one is led astray.
    ref, frame = pool["gref_base"] + 100, (pool["base"] >> 12) + 100
    h.ok(f"plant move {g} {b} {ref} 0x40100")
    try:
        r = h.sh("vrctl audit --pause mx")
    finally:
        h.ok(f"plant move {g} {b} {ref} {frame:#x}")
    require(r.rc == 1 and re.search(r"MISSING of disk0 \(static", r.text) and
            "EXCESS" in r.text, f"[{r.rc}] {r.text[-500:]}")
    audit(h, "mx", "--pause")


@group.check("Xen lets the driver domain reach the pool and what is mapped", 150)
def reachable(h):
    ready(h)
    pool, iova = windows(h.show("mx")["devices"][0])
    counts = []
    for window in (pool, iova):
        out = h.gx_ok("mx-b1", f"hold count {h.domid('mx')} "
                      f"{window['gref_base']} {window['gref_count']}", 60)
        counts.append(int(out.split()[0]))
    mapped = iommu(h, "mx")["endpoints"][0]["pages"]
    require(counts == [POOL >> 12, mapped] and mapped < 64,
            f"{counts}, {mapped} pages are mapped")
    return f"{counts[0]} and {counts[1]} references"


@group.check("backend killed under load: the next one goes on, data right", 240)
def killed(h):
    ready(h)
    h.gx_ok("mx", "load start -f /dev/vda -m verify -q 8 -t 8 -s 4")
    for _ in range(3):
        h.gx_ok("mx-b1", "kill -9 $(pidof vr-worker) 2>/dev/null || "
                "kill -9 $(ps | awk '/vr-worker/ && !/awk/ {print $1}'); "
                "sleep 1")
    out = h.gx_ok("mx", "load end 120", 125)
    require('"errors":0,' in out, out)
    dev = h.show("mx")["devices"][0]
    require(dev["counters"]["restarts"] >= 2, f"{dev['counters']}")
    require(iommu(h, "mx")["counters"]["kills"] == 0, "killed by the broker")
    audit(h, "mx")
    return f"{dev['counters']['restarts']} restarts"


@group.check("revocation leaves the pool alone", 150)
def revoked(h):
    ready(h)
    g = h.domid("mx")
    pool, _ = windows(h.show("mx")["devices"][0])
    h.gx_ok("mx", "rebind /sys/bus/virtio/drivers/virtio_blk 1", 40)
    out = h.gx_ok("mx-b1", f"hold count {g} {pool['gref_base']} "
                  f"{pool['gref_count']}", 60)
    require(int(out.split()[0]) == POOL >> 12, out)
    h.gx_ok("mx", "ioload -f /dev/vda -m verify -q 4 -t 1 -s 2", 120)
    audit(h, "mx")


@group.check("destroyed: nothing left", 120)
def destroyed(h):
    stop(h, "mx")


# With indirect tables more requests are under way than there are addresses.
@group.check("the smallest aperture under the heaviest load, no module", 700)
def pressure(h):
    return (under_pressure(h, "mp", mixed(aperture="1036K")) +
            " of 259 pages")


@group.check("configurations that cannot be are refused", 90)
def refused(h):
    bad = [
        (mixed(size=None), "size= is missing"),
        (mixed(aperture=None), "aperture= is missing"),
        (mixed(aperture="512K"), "too small for queues=1"),
        (mixed(size="300M"), "gntdev maps at once"),
        (mixed(pool_in="viot"), "use firmware, probe or both"),
        (device(pool_in="probe"), "is behind none"),
        (dynamic(pool_in="both"), "it says how the guest finds a pool"),
    ]
    for text, want in bad:
        cfg = h.put("mr.cfg", guest_cfg("mr", [text], **arch.now.usual))
        r = h.create(cfg)
        require(r.rc != 0 and want in r.text, f"{text}: [{r.rc}] {r.text[-300:]}")
    h.leftovers(10)
