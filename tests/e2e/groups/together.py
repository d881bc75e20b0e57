# SPDX-License-Identifier: LGPL-2.1-or-later
"""A static, a dynamic and a mixed device in one guest: data, audit, isolation,
reboot, refused MAPs."""

from vre2e import acpi, arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from groups.bells import exits, rings
from groups.dynamic import audit, iommu, refuse_maps, sample, stop, told
from groups.main import arrived, attack, judge
from groups.neighbours import judge as judge_page, look

G, B = "ma", "ma-b1"
MEMORY = 160
NAMES = ("static", "dynamic", "mixed")
SEED = 53
group = Group("together")


@group.on_setup
def setup(h):
    # PVH on both hosts: what documents recommend, and what can map by the bare
    # hypercall. (The other groups' driver domains on x86 are PV.)
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb", "/dev/vdc"),
                               memory=128, kind="pvh"))
    lines = ""
    if arch.now.node == "firmware_node":
        with open(f"{h.share}/cfg/own.aml", "wb") as file:
            file.write(acpi.HARMLESS)
        lines = 'acpi_firmware = "/host/cfg/own.aml"'
    r = h.create(h.put(f"{G}.cfg", guest_cfg(G, [
        device(serial="static"),
        dynamic(id="disk1", target="/dev/xvdc", serial="dynamic"),
        mixed(id="disk2", target="/dev/xvdd", serial="mixed")],
        memory=MEMORY, lines=lines, extra="hugepages=2")), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=150)
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def disks(h, *names):
    """The guest's disks of these serial numbers, such as /dev/vda."""
    return h.gx_ok(G, f"diskof {' '.join(names)}").split()


@group.check("static, dynamic and mixed in one guest", 200)
def described(h, _made):
    audit(h, G)
    before = [exits(d) for d in h.show(G)["devices"]]
    out = h.gx_ok(G, f"for d in $(diskof {' '.join(NAMES)}); do "
                  "ioload -f $d -m verify -q 4 -t 1 -s 4; done", 150)
    found = told(h, G, *disks(h, *NAMES))
    words = {"static": arch.now.told[:1], "dynamic": arch.now.told[1:],
             "mixed": arch.now.told}
    for name, (kind, *properties) in found.items():
        require((kind == "none") == (name == "static") and
                set(properties) == set(words[name]), f"{found}")
    require(out.count('"errors":0,') == 3 and
            out.count('"mismatches":0') == 3, out)
    devices = h.show(G)["devices"]
    if arch.now.mixes:  # by the guest module, which makes doorbells, too
        require(all(r["bell"] == "direct" for d in devices for r in rings(d)),
                f"{devices}")
        after = [exits(d) for d in devices]
        require(after == before, f"exits: {before}, then {after}")
    grefs = sorted((w["gref_base"], w["gref_count"], w["kind"])
                   for d in devices for w in d["windows"])
    require(len(grefs) == 4 and all(a[0] + a[1] <= b[0] for a, b in
                                    zip(grefs, grefs[1:])), f"{grefs}")
    # Dynamic windows below all pools.
    require([g[2] for g in grefs] == ["dynamic", "dynamic", "static", "static"],
            f"{grefs}")
    endpoints = [e["device"] for e in iommu(h, G)["endpoints"]]
    require(endpoints == ["disk1", "disk2"], f"{endpoints}")
    for dev in devices:
        inside(dev)
    audit(h, G)


PARAMETER = "/sys/module/virtio_restricted/parameters/threshold"


@group.check("mixed: long buffers are mapped when the threshold says so", 200,
             arches=("x86",))
def long_ones(h, _made):
    """A guest that knows both ways; unless told it copies all that it has."""
    def seen():
        return next(e["pages_max"] for e in iommu(h, G)["endpoints"]
                    if e["device"] == "disk2")
    require(seen() == 0, f"{seen()} pages were mapped before")
    out = h.gx_ok(G, f"t=$(cat {PARAMETER}); "
                  f"echo 65536 > {PARAMETER}; "
                  "ioload -f $(diskof mixed) -m write -b 1048576 -c -t 1 -s 32; "
                  f"echo $t > {PARAMETER}", 100)
    require('"errors":0,' in out, out)
    require(seen() >= 16, f"{seen()} pages at the most")
    inside(h.show(G)["devices"][2])
    audit(h, G)
    return f"up to {seen()} pages mapped"


def inside(dev):
    """Rings and payload of a device are in its windows."""
    spans = [(w["base"], w["base"] + w["size"]) for w in dev["windows"]]

    def within(addr):
        return any(low <= addr < high for low, high in spans)
    for ring in dev["rings"]:
        for part in ("descriptors", "available", "used"):
            require(within(ring[part]), f"{dev['id']}: {part}: {ring}")
    count = dev["counters"]
    require(within(count["payload_low"]) and within(count["payload_high"] - 1)
            and not count["faults"] and not count["backend_faults"],
            f"{dev['id']}: {count}")


@group.check("the guest has the user's table and ours", arches=("x86",))
def tables(h, _made):
    out = h.gx_ok(G, "cd /sys/firmware/acpi/tables; ls; "
                  "cat SSDT* | tr -cd 'A-Z0-9'; "
                  "dmesg | grep -e 'restricted to its pool'")
    for word in ("VIOT", acpi.TABLE_ID, "VIRTIORS", "restricted to its pool"):
        require(word in out, f"no {word}: {out}")


@group.check("audit: at many instants just what is granted can be reached", 400)
def sampled(h, _made):
    note = sample(h, G, disks(h, *NAMES), "disk1")
    audit(h, G, "--pause")
    return note


@group.check("hostile driver domain: every attempt refused by Xen", 240)
def isolation(h, _made):
    memory = arch.now.memory(MEMORY)
    result = attack(h, G, B, memory)
    pools = sum(w["gref_count"] for d in h.show(G)["devices"]
                for w in d["windows"] if w["kind"] == "static")
    mapped = sum(e["pages"] for e in iommu(h, G)["endpoints"])
    arrived(result, pools + mapped, True)
    audit(h, G)
    return judge(result, memory)


@group.check("what a hostile backend reads around a small buffer", 200)
def neighbours(h, _made):
    memory = arch.now.memory(MEMORY)
    # A mixed device keeps it in the pool when the guest has the module.
    return "; ".join(
        f"{name}: {judge_page(look(h, G, name, memory), exposed)}"
        for name, exposed in (("dynamic", True), ("static", False),
                              ("mixed", not arch.now.mixes)))


@group.check("the guest reboots, data of all three right", 300)
def reboots(h, _made):
    each = f"for d in $(diskof {' '.join(NAMES)}); do "
    h.gx_ok(G, f"{each} datafs write $d 4 {SEED} 32M || exit 1; done", 150)
    old = h.domid(G)
    h.ok(f"xl reboot {G}")
    h.wait_again(G, old)
    h.gx_ok(G, f"{each} datafs check $d 4 {SEED} || exit 1; done", 90, 150)
    audit(h, G)


@group.check("refused MAPs of one: the guest and its other disks go on", 200)
def refused(h, _made):
    note = refuse_maps(h, G, 1, *disks(h, "dynamic"))
    out = h.gx_ok(G, "for d in $(diskof static mixed); do "
                  "ioload -f $d -m verify -q 4 -t 1 -s 4; done", 90)
    require(out.count('"errors":0,') == 2 and
            out.count('"mismatches":0') == 2, out)
    return note


@group.check("destroyed: nothing left", 120)
def destroyed(h, _made):
    stop(h, G)
