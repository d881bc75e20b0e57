# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the operator reads: states, reasons and names, while a guest is created,
renamed, and loses what it needs. The guests stay paused: no word depends on what
they do."""

import json
import re

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

group = Group("operations/words", sweep=True)

LOG = "/var/log/xen/vr-broker-{}.log"


@group.on_setup
def setup(h):
    h.put("wd.cfg", driver_cfg("wd", ("/dev/vda", "/dev/vdb")))
    h.put("w1.cfg", guest_cfg("w1", [served(), served("disk1", "/dev/xvdc",
                                                      dynamic)],
                              **arch.now.usual))
    return {}


@group.on_teardown
def teardown(h):
    h.sweep()


def served(name="disk0", target="/dev/xvdb", kind=device, **keys):
    """A device of the driver domain wd, which all guests here share."""
    return kind(id=name, driver=None, backend="wd", target=target, **keys)


def driver(h):
    """The driver domain, made when there is none."""
    if "wd" not in h.domains():
        r = h.create("/host/cfg/wd.cfg")
        require(r.rc == 0, f"the driver domain: {r.text[-400:]}")


def guest(h):
    """The paused guest w1, made when there is none."""
    driver(h)
    if "w1" in h.domains():
        return
    r = h.create("/host/cfg/w1.cfg", args="-p")
    require(r.rc == 0, f"xl create -p: {r.text[-400:]}")


def listed(h, domid):
    """The guest's devices in vrctl list, by their ids."""
    rows = json.loads(h.ok("vrctl list --json"))["devices"]
    return {r["id"]: r for r in rows if r.get("domid") == domid}


def agree(h, domid):
    """What list, show and audit say of a guest, which has to be one thing."""
    rows = listed(h, domid)
    shown = h.show(domid)
    text = h.ok(f"vrctl show {domid}")
    for dev in shown["devices"]:
        row = rows[dev["id"]]
        require((row["state"], row["error"]) == (dev["state"], dev["error"]),
                f"list says {row['state']}: {row['error']}, show says "
                f"{dev['state']}: {dev['error']}")
        require((dev["state"] == "connected") == (not dev["error"]),
                f"{dev['state']}: \"{dev['error']}\"")
        require(f"device {dev['id']}: block, {dev['state']}\n" in text, text)
        require(row["guest"] == shown["guest"], f"{row} {shown['guest']}")
    require("works" not in text, text)
    return rows


def state(h, domid, name, wanted, reason, seconds=20):
    """Wait until a device is said to be so; why."""
    def look():
        row = agree(h, domid)[name]
        return row if row["state"] == wanted and reason in row["error"] else 0
    return h.wait(f"{name} is {wanted}: {reason}", look, seconds)["error"]


@group.check("several bad targets: the refusal names each, and no other", 150)
def targets(h, _made):
    driver(h)
    cfg = h.put("wt.cfg", guest_cfg("wt", [
        served("good", "/dev/xvdb", timeout=20),
        served("bad1", "/dev/nosuch1", timeout=20),
        served("bad2", "/dev/nosuch2", timeout=20)]))
    # Until it is refused, whoever looks sees what it waits for.
    out = h.sh(f"sh /host/bin/create-seen.sh {cfg} wt", 120)
    require("rc 0" not in out.text, "xl create succeeded")
    why = next((l for l in out.text.splitlines() if "nosuch1" in l), "")
    require("device bad1" in why and "device bad2" in why and
            "/dev/nosuch2" in why, f"not both are named: {out.text[-600:]}")
    require("device good" not in why, f"the good one is named: {why}")
    seen = h.ok("cat /tmp/seen")
    require(not re.search(r'(registers|window) .*0x0\b|'
                          r'"(mmio_base|window_base|irq)": 0\b', seen),
            f"addresses before there are any: {seen[:1500]}")
    require("no restricted devices are declared" not in seen, "audit")
    require(re.search(r'^wt .* starting .*it says "target /dev/nosuch1', seen,
                      re.M), f"no reason while it starts: {seen[:1500]}")
    h.leftovers(15, ["wd"])
    return why[:200]


@group.check("a silent driver domain: its guest is waited for, others are made "
             "meanwhile", 200)
def silent(h, _made):
    driver(h)
    h.gx_ok("wd", "kill -STOP $(pidof vr-backend)")
    waits = h.put("ws.cfg", guest_cfg("ws", [served(timeout=15)],
                                      **arch.now.usual))
    plain = h.put("wp.cfg", guest_cfg("wp", None))
    out = h.sh(f"sh /host/bin/create-meanwhile.sh {waits} ws {plain}", 150)
    h.gx_ok("wd", "kill -CONT $(pidof vr-backend)")
    require(re.search(r"plain 0\nws waits\nws [1-9]", out.out), out.text[-900:])
    why = next((l for l in out.text.splitlines() if "within 15 s" in l), "")
    require("device disk0" in why and "timeout=" in why, out.text[-900:])
    h.ok("xl destroy wp")
    h.leftovers(20, ["wd"])
    return why[:200]


@group.check("a name that libxl could not read back is refused, with what to "
             "do", 60)
def latin1(h, _made):
    driver(h)
    h.ok("sed \"s/\\\"w1\\\"/\\\"$(printf 'gr\\374\\337e')\\\"/\" "
         "/host/cfg/w1.cfg > /tmp/latin.cfg")
    r = h.sh("xl create -p /tmp/latin.cfg", 60)
    require(r.rc != 0 and "name=gr??e" in r.text and "UTF-8" in r.text,
            r.text[-400:])
    h.leftovers(10, ["wd"])


@group.check("xl rename of guest and driver domain: all follow", 150)
def rename(h, _made):
    guest(h)
    domid, server = h.domid("w1"), h.domid("wd")
    agree(h, domid)
    h.ok("xl rename w1 'wü 2' && xl rename wd wd2")
    h.wait("the names are followed", lambda: (
        lambda v: v["guest"] == "wü 2" and
        all(d["driver"] == "wd2" for d in v["devices"]))(h.show(domid)))
    agree(h, domid)
    for what in ("list", "show 'wü 2'", "audit 'wü 2'"):
        text = h.ok(f"vrctl {what}")
        require("wü 2" in text and "wd2" in text and
                not re.search(r"\bw1\b|\bwd\b", text), f"{what}: {text}")
        require(h.sh(f"vrctl {what.replace('wü 2', 'w1')}").rc != 0 or
                what == "list", f"{what}: the old name is known")
    node = f"/libxl/{domid}/virtio_restricted/disk0/driver-name"
    require(h.ok(f"xenstore-read {node}").strip() == "wd2", node)
    require(h.show(domid)["log"] == LOG.format("wü_2"), h.show(domid)["log"])
    h.ok(f"test -s '{LOG.format('wü_2')}' && ! test -e {LOG.format('w1')}")
    # What is no text at all can still be shown, and found by its number.
    h.ok(f"xl rename {domid} $(printf 'w\\374')")
    h.wait("the name is cleaned", lambda: h.show(domid)["guest"] == "w?")
    require("w?" in h.ok(f"vrctl audit {domid}"), "audit")
    h.ok(f"xl rename {domid} w1 && xl rename {server} wd")
    h.wait("the names are followed", lambda: h.show("w1")["devices"][0]
           ["driver"] == "wd")
    h.ok(f"test -s {LOG.format('w1')}")


@group.check("driver domain paused, its backend's words: waiting, and why", 150)
def waiting(h, _made):
    guest(h)
    domid, server = h.domid("w1"), h.domid("wd")
    h.ok("xl pause wd")
    why = agree(h, domid)
    require(all(r["state"] == "waiting" and "is paused" in r["error"]
                for r in why.values()), str(why))
    h.ok("xl unpause wd")
    for name in why:
        state(h, domid, name, "connected", "")
    # The driver domain's own text, longer than a line and with quotes in it.
    node = f"/local/domain/{server}/backend/virtio_restricted/{domid}/disk0"
    words = "all is well\\\". run: rm -rf /; " + "w" * 900
    h.ok(f"xenstore-write {node}/error \"{words}\" {node}/state 3")
    said = state(h, domid, "disk0", "waiting", "it says")
    own, quote = said.split(" it says ")
    require("is not connected" in own and quote.startswith('"all is well\'. ')
            and quote.endswith('..."') and quote.count('"') == 2, said)
    require(len(quote) <= 128, f"{len(quote)} characters of its text")
    require(listed(h, domid)["disk1"]["state"] == "connected", "disk1")
    h.ok(f"xenstore-write {node}/error '' {node}/state 4")
    state(h, domid, "disk0", "connected", "")
    return said[:100]


@group.check("the broker's worker ends: failed, and the very log is named", 60)
def worker(h, _made):
    guest(h)
    domid, broker = h.domid("w1"), h.show("w1")["broker"]
    h.ok(f"kill -9 $(awk '$4 == {broker} {{ print $1 }}' /proc/[0-9]*/stat)")
    why = state(h, domid, "disk0", "failed", "worker died")
    path = next(w for w in why.split() if w.startswith("/"))
    require(path == LOG.format("w1"), why)
    h.ok(f"test -s {path}")
    h.ok(f"kill -9 {broker}")
    state(h, domid, "disk1", "failed", "the broker is gone")
    h.ok("xl destroy w1", 90)
    h.wait_gone("w1")
    h.leftovers(15, ["wd"])


@group.check("driver domain destroyed: failed, and the audit says that it is "
             "gone", 120)
def gone(h, _made):
    guest(h)
    domid, server = h.domid("w1"), h.domid("wd")
    audit = h.ok("vrctl audit w1")
    require("audit: OK" in audit and f"domain {server} (wd)" in audit, audit)
    h.ok("xl destroy wd")
    h.wait_gone("wd")
    why = state(h, domid, "disk0", "failed", "is gone")
    audit = h.ok("vrctl audit w1")
    require(f"audit: domain {server} (wd) is gone" in audit and
            "audit: OK" not in audit and
            not re.search(f"reachable by domain {server}", audit), audit)
    doms = json.loads(h.ok("vrctl audit --json w1"))["domains"]
    require([d["state"] for d in doms if d["driver"]] == ["gone"], str(doms))
    h.ok("xl destroy w1", 90)
    h.wait_gone("w1")
    h.leftovers(15)
    return why[:120]
