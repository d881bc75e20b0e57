# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest whose own grants need the room in front of its windows: a PV disk
that takes eight times as many as usual, beside two restricted disks."""

import json
import re

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

G, B = "og", "og-b1"
# What a disk takes with this, on one processor: 1 + 32 * (256 + 1).
MANY = "xen_blkfront.max_indirect_segments=256"
ENOUGH, TOO_FEW = 512 + 8225, 1024
NODES = "/local/domain/{0}/device/virtio_restricted"
LOST = r"(\d+) of the (\d+) grant entries of (?:its|the) windows have been " \
    r"overwritten by the guest.*into the (\d+) in front.*" \
    r"virtio_restricted_grants="

group = Group("operations/grants", sweep=True)


def begin(h, grants=None, extra="", vcpus=1, hold=True):
    """A guest whose table is as small as can be. hold: may a guest module that
    is loaded at the start keep the windows' references?"""
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb")))
    text = guest_cfg(
        G, [device(serial="one", size="16M"),
            dynamic(id="disk1", target="/dev/xvdc", aperture="4M",
                    serial="two")],
        memory=256, extra=extra,
        lines="disk = [ 'phy:/dev/vdc,xvda,w' ]\nmax_grant_frames = 4\n" +
        (f"virtio_restricted_grants = {grants}\n" if grants else ""))
    text = text.replace("vcpus = 1", f"vcpus = {vcpus}")
    r = h.create(h.put("og.cfg", text), 150, args="" if hold else "-p")
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    if not hold:
        nodes = NODES.format(h.domid(G))
        h.ok(f"for d in $(xenstore-list {nodes}); do "
             f"xenstore-rm {nodes}/$d/pool-gref {nodes}/$d/iova-gref; done; "
             f"xl unpause {G}")
    h.gx_ok(G, "true", up=150)


def lowest(h):
    """The first reference of all windows."""
    return min(w["gref_base"] for d in h.show(G)["devices"]
               for w in d["windows"])


def load(h, depth):
    """Writes of a MiB, so many at once, of 257 grants each where they are not
    cut; what ioload says of them."""
    r = h.gx(G, f"ioload -f /dev/xvda -m verify -b 1048576 -q {depth} "
             "-t 2 -s 64", 100)
    found = re.search(r"\{.*\}", r.out)
    require(found, f"[{r.rc}] {r.text[-300:]}")
    return json.loads(found.group(0))


def audit(h):
    r = h.sh(f"vrctl audit --json {G}")
    return r.rc, json.loads(r.out)


def nothing_lost(h):
    rc, found = audit(h)
    require(rc == 0 and found["ok"] and not found["lost_entries"],
            f"audit: [{rc}] {json.dumps(found)[:600]}")
    states = {d["id"]: d["state"] for d in h.show(G)["devices"]}
    require(set(states.values()) == {"connected"}, f"{states}")


def restricted_disks_work(h):
    h.gx_ok(G, "for d in /sys/block/vd?; do "
            "ioload -f /dev/${d##*/} -m verify -b 65536 -q 4 -t 1 -s 8 || "
            "exit 1; done", 90)


@group.check("four processors and a PV disk: as many as Linux takes, no more",
             240, arches=("arm64",))
def computed(h):
    begin(h, vcpus=4)
    # 512 + 4 * 1057 references, in whole frames.
    require(lowest(h) == 10 * 512, f"the windows begin at {lowest(h)}")
    h.gx_ok(G, "for i in 1 2 3 4; do ioload -f /dev/xvda -m randwrite "
            "-b 131072 -q 32 -t 3 -s 64 & done; wait", 90)
    out = load(h, 16)
    require(not out["errors"] and not out["mismatches"], f"{out}")
    restricted_disks_work(h)
    nothing_lost(h)
    h.end(G, B)


@group.check("what is plugged in later has to fit as well", 150)
def plugged(h):
    h.put("b1.cfg", driver_cfg("b1"))
    attach = f"xl block-attach {G} phy:/dev/vdc,xvdq,w"
    for grants in (None, ENOUGH):
        text = guest_cfg(G, [device()], memory=256, lines="max_grant_frames = 1"
                         + (f"\nvirtio_restricted_grants = {grants}" if grants
                            else "")).replace("vcpus = 1", "vcpus = 4")
        r = h.create(h.put("og.cfg", text), 100, args="-p")
        require(r.rc == 0, f"xl create -p: {r.text[-600:]}")
        r = h.sh(attach, 60)
        # 512 + 4 * 1057 references, of 4096.
        require(r.rc == 0 if grants else r.rc != 0 and
                "virtio_restricted_grants=4740" in r.text, r.text[-600:])
        require(bool(grants) == (h.sh(f"xl block-list {G} | grep -q vdc || "
                                      f"xl block-list {G} | grep -q vbd").rc
                                 == 0), h.ok(f"xl block-list {G}"))
        h.end(G, B)
    return r.line()


@group.check("a disk with 256 segments, and the key: no error, no entry lost",
             240, arches=("arm64",))
def enough(h):
    begin(h, ENOUGH, MANY)
    require(lowest(h) == 18 * 512, f"the windows begin at {lowest(h)}")
    out = load(h, 24)
    require(not out["errors"] and not out["mismatches"], f"{out}")
    restricted_disks_work(h)
    nothing_lost(h)
    h.end(G, B)


@group.check("too few are left: what is lost, and why, is said everywhere",
             400)
def too_few(h):
    begin(h, TOO_FEW, MANY, hold=False)
    require(lowest(h) == TOO_FEW, f"the windows begin at {lowest(h)}")
    nothing_lost(h)
    out = load(h, 24)
    rc, found = audit(h)
    require(rc == 1 and found["lost_entries"] > 100,
            f"audit: [{rc}] {json.dumps(found)[:600]}")
    require(re.search(LOST, found["lost_because"]), found["lost_because"])
    said = h.sh(f"vrctl audit {G}").text
    require(re.search(r"audit: " + LOST, said), said[-600:])

    # The broker looks once a minute by itself.
    def named():
        dev = h.show(G)["devices"][0]
        return dev if dev["state"] != "connected" else None
    dev = h.wait("the broker notices", named, 90, 2)
    said = re.search(LOST, dev["error"])
    require(dev["state"] == "damaged" and said and
            int(said.group(3)) == TOO_FEW, f"{dev['state']}: {dev['error']}")
    require(re.search(LOST, h.ok("vrctl list")), h.ok("vrctl list"))

    # What is mapped stays so until the process is another one.
    h.gx_ok(B, "kill -9 $(ps | awk '/vr-worker/ && !/awk/ {print $1}')")

    def failed():
        dev = h.show(G)["devices"][0]
        return dev if dev["state"] == "failed" and re.search(
            LOST, dev["error"]) else None
    dev = h.wait("the restarted process cannot map the pool", failed, 30, 1)
    require("the guest has overwritten" in dev["backend_error"],
            dev["backend_error"])
    log = h.ok(f"cat /var/log/xen/vr-broker-{G}.log")
    require(re.search(LOST, log), log[-600:])
    h.end(G, B)
    return (f"{said.group(1)} of {said.group(2)} entries, and "
            f"{out['errors']} errors of the PV disk")


@group.check("too few are left, but the guest module holds the windows'", 400)
def held(h):
    begin(h, TOO_FEW, MANY)
    if arch.now.name == "arm64":
        # Its kernel has restricted pools, so nothing has loaded the module.
        h.gx_ok(G, "insmod /modules/virtio_restricted.ko.later")
    log = h.gx_ok(G, "dmesg | grep 'virtio_restricted: holds'")
    end = int(h.show(G)["grant_frames"]) * 512 - 1
    require(f"holds grants {lowest(h)}-{end}," in log, log)
    out = load(h, 24)
    require(not out["errors"] and not out["mismatches"], f"{out}")
    restricted_disks_work(h)
    nothing_lost(h)
    require("max_grant_frames reached" in h.gx_ok(G, "dmesg"),
            "the kernel's table never was full")
    h.end(G, B)
    return log.strip().splitlines()[-1].split("] ")[-1]
