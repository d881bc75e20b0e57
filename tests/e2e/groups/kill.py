# SPDX-License-Identifier: LGPL-2.1-or-later
"""xl killed at ten points of xl create; nothing may be left."""

import shlex
import time

from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

group = Group("kill", arches=("arm64",))

NODE = "xenstore-ls -f /local/domain | grep -q 'backend/virtio_restricted/.*/"
# What has to be seen before xl is killed, how long after it, the config (kn's
# backend never comes), and at what sight xl is stopped first: where it would
# otherwise be done before we look again.
POINTS = [
    ("while it reads the configuration", "true", 0.1),
    ("the record is written", "ls /run/virtio-restricted/*.json", 0),
    ("the broker is started", "pidof vr-broker", 0),
    ("the driver domain exists", "xl domid kg-b1", 0),
    ("the driver domain boots", "xl domid kg-b1", 0.7),
    ("the guest exists", "xl domid kg", 0),
    ("the guest is being built", "xl domid kg", 0.4),
    ("the device is in xenstore", NODE + "state = \"2\"'", 0, "kn"),
    ("waiting for a backend that never comes", NODE + "state = \"2\"'", 2,
     "kn"),
    ("the backend is connected", "grep -q 'are connected' $log", 0, "kg",
     NODE + "state = '"),
]
TRIES = 3

def attempt(h, seen, delay, cfg="kg", stop=""):
    """Was xl killed before it was done, and what is left: by itself, and
    after --stale."""
    text = h.ok("sh /host/bin/kill-create.sh " + " ".join(shlex.quote(str(word))
                for word in (f"/host/cfg/{cfg}.cfg", delay, seen, stop)), 90)
    # Once it has let the guest run, that is no rest.
    runs = h.sh("grep -qs running /run/virtio-restricted/*.json").rc == 0
    caught = "killed" in text and not runs
    if not caught:
        h.sh("xl destroy kg", 60)
    left = h.sh("sh /host/bin/leftovers.sh 20", 90)
    how = ""
    if left.rc:
        h.sh("vrctl cleanup --stale", 60)
        how = ", by vrctl cleanup --stale"
        left = h.sh("sh /host/bin/leftovers.sh 15", 60)
    why = None
    if left.rc:
        why = "left: " + "; ".join(left.text.strip().splitlines()[:4])
        h.sweep()
    return caught, why, how


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("b2.cfg", driver_cfg("b1", extra="vrtest=never"))
    h.put("kg.cfg", guest_cfg("kg", [device()]))
    h.put("kn.cfg", guest_cfg("kg", [device(driver="/host/cfg/b2.cfg")]))
    return {}


@group.many("xl killed", 590)
def kill(h, _made):
    for name, *point in POINTS:
        begin = time.monotonic()
        for _ in range(TRIES):
            caught, why, how = attempt(h, *point)
            if caught or why:
                break
        if not caught and not why:
            why = f"xl was faster, {TRIES} times"
        yield (name + (f" + {point[1]} s" if point[1] else "") + how, why,
               time.monotonic() - begin)


@group.check("libxl gives up late: nothing is left", 120)
def late(h, _made):
    # No network backend in dom0: libxl waits for it in vain, long after the
    # backends have begun to connect.
    cfg = h.put("kv.cfg", guest_cfg("kg", [device()], lines="vif = [ '' ]\n"))
    r = h.create(cfg)
    require(r.rc != 0, "a guest without its network was created")
    require("cannot be created" in r.text, r.text[-300:])
    h.leftovers(20)


@group.check("an xl create after all that works", 120)
def again(h, _made):
    r = h.create("/host/cfg/kg.cfg")
    require(r.rc == 0, r.text[-300:])
    h.ok("xl destroy kg", 60)
