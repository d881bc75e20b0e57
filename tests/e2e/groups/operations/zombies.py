# SPDX-License-Identifier: LGPL-2.1-or-later
"""A shared driver domain in which a program keeps a page of a guest that has
ended: the guest comes again, what keeps it is shown, and there is a limit."""

import json
import re

from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

B, G = "zb", "zg"
UUID = "5eedf00d-0000-4000-8000-00000000000a"
OWN_LIMIT = 4  # of one guest's lives

group = Group("operations/zombies", sweep=True)


@group.on_setup
def setup(h):
    h.put("zb.cfg", driver_cfg(B, ("/dev/vda", "/dev/vdb")))
    disk = device(driver=None, backend=B)
    h.put("zg.cfg", guest_cfg(G, [disk], lines=f'uuid = "{UUID}"\n'))
    h.put("zo.cfg", guest_cfg("zo", [
        device(driver=None, backend=B, target="/dev/xvdc")]))
    h.ok("xl create /host/cfg/zb.cfg", 60)
    h.gx_ok(B, "true")
    create(h)
    return {"lives": []}


def create(h, args="", cfg="zg"):
    r = h.create(f"/host/cfg/{cfg}.cfg", args=args)
    require(r.rc == 0, f"xl create {cfg}: {r.text[-500:]}")
    return h.domid(cfg)


def works(h):
    h.gx_ok(G, "ioload -f /dev/vda -m verify -q 4 -t 1 -s 2", 120)


def pin(h):
    """A page of the guest's present life, which runs, is taken and kept."""
    works(h)
    domid = h.domid(G)
    first = h.show(G)["devices"][0]["windows"][0]["gref_base"]
    h.gx_ok(B, f"hold pin {domid} {first + 7} >/tmp/pin{domid} 2>&1 "
            f"</dev/null & until grep -q pinned /tmp/pin{domid}; do sleep 0.1; "
            "done")
    return domid


def listed(h, lives):
    """The lives that have ended, and are kept, are shown where they should."""
    left = {int(l.split()[1]) for l in h.ok("xl list").splitlines()
            if l.startswith("(null)")}
    require(left == set(lives), f"zombies {left}, expected {lives}")
    shown = json.loads(h.ok("vrctl list --json"))
    kept = [z for z in shown["zombies"] if z["driver"] == B]
    require({z["domid"] for z in kept} == set(lives) and
            {z["guest"] for z in kept} == {G} and
            {z["uuid"] for z in kept} == {UUID}, f"{shown}")
    text = h.ok("vrctl list")
    for domid in lives:
        require(re.search(rf"^{G} +{domid} .*{B}", text, re.M), text)
    b = h.domid(B)
    nodes = h.ok(f"xenstore-list /libxl/{b}/virtio_restricted_zombies")
    require({int(n) for n in nodes.split()} >= set(lives), nodes)


@group.check("the guest reboots while a page of it is kept: comes again", 300)
def reboots(h, made):
    old = pin(h)
    h.gx(G, "(sleep 0.3; /sbin/reboot) </dev/null >/dev/null 2>&1 &")
    h.wait_again(G, old)
    works(h)
    made["lives"].append(old)
    listed(h, made["lives"])
    dev = h.show(G)["devices"][0]
    require(dev["state"] == "connected" and dev["driver_zombies"] == 1,
            f"{dev}")
    require("keeps 1" in h.ok(f"vrctl show {G}"), h.ok(f"vrctl show {G}"))
    h.ok(f"vrctl audit {G}")


@group.check("destroyed, then created anew with the same uuid", 200)
def anew(h, made):
    old = pin(h)
    h.ok(f"xl destroy {G}", 90)
    made["lives"].append(old)
    create(h)
    works(h)
    listed(h, made["lives"])


@group.check("its record is left behind: created anew nevertheless", 200)
def left_behind(h, made):
    old = pin(h)
    r = h.sh(f"vrctl cleanup {UUID}", 60)
    require(r.rc == 2 and f"{B} (" in r.text, f"[{r.rc}] {r.text}")
    # Past the plug-in, so that nobody looks again.
    h.ok(f"/usr/sbin/xl destroy {G}", 60)
    h.ok(f"[ -e /run/virtio-restricted/{UUID}.json ]")
    made["lives"].append(old)
    create(h)
    works(h)
    listed(h, made["lives"])


@group.check("too many of them: that guest is refused, others are not", 400)
def limit(h, made):
    while len(made["lives"]) < OWN_LIMIT:
        made["lives"].append(pin(h))
        h.ok(f"xl destroy {G}", 90)
        if len(made["lives"]) < OWN_LIMIT:
            create(h)
    r = h.create("/host/cfg/zg.cfg")
    require(r.rc != 0 and f"xl destroy {B}" in r.text and
            re.search(rf"backend={B} keeps", r.text), r.text[-500:])
    listed(h, made["lives"])
    create(h, "-p", "zo")
    h.ok("xl destroy zo", 60)


@group.check("what lets go is not counted; the driver domain's end ends all",
             200)
def over(h, made):
    last = made["lives"].pop()
    h.gx_ok(B, f"kill -9 $(ps | awk '/hold pin {last} / && !/awk/ "
            "{print $1}')")
    h.wait("its guest goes", lambda: str(last) not in h.ok(
        "xl list | awk '/^\\(null\\)/ {print $2}'").split())
    listed(h, made["lives"])
    create(h)
    works(h)
    h.ok(f"xl destroy {G}; xl destroy {B}", 120)
    h.leftovers(20)
