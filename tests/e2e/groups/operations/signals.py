# SPDX-License-Identifier: LGPL-2.1-or-later
"""What comes to the broker, the launcher and a creation from outside: signals,
the end of a session, a damaged installation, a libxl that gives up."""

import json
import re

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

B = "s1-b1"
LOG = "/var/log/xen/vr-broker-s1.log"
LIB = "/usr/local/lib/virtio-restricted"
XL = "/usr/lib/xen-4.17/bin/xl"
BLOCK = "/etc/xen/scripts/block"
DRIVER = "/host/cfg/sg-b1.cfg"

group = Group("operations/signals", sweep=True)

# Notes its arguments, as a systemd that takes the broker would get them.
BUSCTL = r"""#!/bin/sh
echo "$*" > /tmp/busctl
exec {then}
"""


def systemd(h, then):
    """A host where systemd seems to run, and answers a call by THEN."""
    path = h.put("busctl", BUSCTL.format(then=then))
    h.ok(f"mkdir -p /run/systemd/system; rm -f /tmp/busctl; "
         f"cp {path} /usr/bin/busctl; chmod 755 /usr/bin/busctl")


def no_systemd(h):
    h.ok("rm -rf /run/systemd /usr/bin/busctl")


def block_script(h, text):
    """What is to happen before the hotplug script of a disk does its work."""
    path = h.put("block", f"#!/bin/bash\n{text}\nexec {BLOCK}.real \"$@\"\n")
    h.ok(f"[ -e {BLOCK}.real ] || mv {BLOCK} {BLOCK}.real; "
         f"cp {path} {BLOCK}; chmod 755 {BLOCK}")


def usual(h):
    """The host as it was, whatever a check has left."""
    no_systemd(h)
    h.ok(f"[ ! -e {BLOCK}.real ] || mv {BLOCK}.real {BLOCK}; "
         f"[ ! -e /tmp/lib ] || cp /tmp/lib/*.so {LIB}/; "
         f"chown 0:0 {XL}; chmod 755 {XL}")


@group.on_setup
def setup(h):
    h.ok(f"mkdir -p /tmp/lib; cp -p {LIB}/*.so /tmp/lib/")
    h.put("s1.cfg", guest_cfg("s1", [device(driver=DRIVER)],
                              memory=arch.now.usual.get("memory", 96)))
    systemd(h, "true")
    fresh(h)
    return {}


@group.on_teardown
def teardown(h):
    usual(h)
    h.end("s1", B)


def fresh(h):
    """A running guest s1, made when a check that failed has left none."""
    if "s1" in h.domains():
        return
    h.put("sg-b1.cfg", driver_cfg("b1"))
    r = h.create("/host/cfg/s1.cfg")
    require(r.rc == 0, f"xl create: {r.text[-400:]}")


def pids(h):
    """Of both processes of the broker: supervisor and worker."""
    out = h.ok("cd /proc; for name in vr-broker vr-ioreq; do "
               "grep -lx $name [0-9]*/comm; done").split()
    require(len(out) == 2, f"broker and worker: {out}")
    return [path.split("/")[0] for path in out]


def start_io(h):
    """I/O in the guest's background, as long as the guest lives."""
    h.gx_ok("s1", "pidof ioload > /dev/null || "
            "load start -f /dev/vda -m verify -q 8 -t 100000 -s 16")


def moves(h):
    """Requests complete."""
    at = h.gx_ok("s1", "load at")
    h.wait("requests complete", lambda: h.gx_ok("s1", "load at") != at, 40)


@group.check("the broker asks systemd for a scope of its own", 60)
def scope(h, _made):
    broker, worker = pids(h)
    said = h.wait("busctl is called", lambda: h.sh("cat /tmp/busctl").out)
    require(f"StartTransientUnit ssa(sv)a(sa(sv)) vr-broker-{broker}.scope "
            f"fail 4 PIDs au 2 {broker} {worker} DefaultDependencies b false"
            in said, said)
    require("no scope" not in h.ok(f"cat {LOG}"), "the log says it failed")
    no_systemd(h)


@group.check("signals that ask for its end, to both processes, under I/O", 150)
def polite(h, _made):
    fresh(h)
    start_io(h)
    broker, worker = pids(h)
    for sig in ("TERM", "INT", "HUP", "QUIT", "USR1", "ALRM", "PWR", "34"):
        h.ok(f"kill -{sig} {worker}; kill -{sig} {broker}")
    # To the group and the session, as a shell's or a terminal's end does it.
    group_ = h.ok(f"cut -d' ' -f5 /proc/{broker}/stat").strip()
    h.ok(f"kill -TERM -- -{group_}; kill -HUP -- -{group_}")
    moves(h)
    require(pids(h) == [broker, worker], "other processes")
    # Once for all that came within a minute.
    lines = [l for l in h.ok(f"cat {LOG}").splitlines() if "is ignored" in l]
    require(len(lines) == 1, str(lines))
    require("xl shutdown" in lines[0], lines[0])
    require(h.show("s1")["devices"][0]["state"] == "connected", "state")


@group.check("killall5 -15 in dom0", 60)
def killall5(h, _made):
    fresh(h)
    start_io(h)
    before = pids(h)
    reached = h.ok("sh /host/bin/killall5.sh").split()
    require(set(before) <= set(reached), f"{before} not in {reached}")
    moves(h)
    require(pids(h) == before, "other processes")


@group.check("a reboot, its driver= file edited; systemd does not answer", 220)
def reboot(h, _made):
    fresh(h)
    systemd(h, "sleep 1000")
    # Another name: that domain would be seen.
    h.put("sg-b1.cfg", driver_cfg("other", memory=104))
    old, begun = h.domid("s1"), pids(h)
    h.gx("s1", "(sleep 0.3; /sbin/reboot) </dev/null >/dev/null 2>&1 &")
    h.wait_again("s1", old)
    require(B in h.domains(), f"no {B}: {h.domains()}")
    h.gx_ok("s1", "ioload -f /dev/vda -m verify -q 4 -t 1 -s 2", 120,
            up=90)
    # The alarm is after 20 s of real time; nothing has waited for it.
    h.wait("the log says that there is no scope",
           lambda: h.sh(f"grep 'no scope' {LOG}").rc == 0, 40, 1)
    require(h.sh("ps -o args | grep -q '[s]leep 1000'").rc, "busctl runs on")
    require(set(begun).isdisjoint(pids(h)), "the old broker is still there")
    no_systemd(h)


def watcher_kib(h):
    """Memory of the xl that watches the guest."""
    return int(h.ok("cd /proc; for d in $(grep -lx xl [0-9]*/comm); do "
                    "sed -n 's/^RssAnon:[^0-9]*//p' ${d%comm}status; "
                    "done").split()[0])


@group.check("a second reboot, the file gone", 120, arches=("arm64",))
def reboot_again(h, _made):
    fresh(h)
    h.ok(f"rm {DRIVER}")
    old = h.domid("s1")
    before = watcher_kib(h)
    h.gx("s1", "(sleep 0.3; /sbin/reboot) </dev/null >/dev/null 2>&1 &")
    h.wait_again("s1", old)
    require(B in h.domains(), f"no {B}: {h.domains()}")
    h.gx_ok("s1", "ioload -f /dev/vda -m verify -q 4 -t 1 -s 2", 120,
            up=90)
    h.put("sg-b1.cfg", driver_cfg("b1"))
    return f"xl that watches the guest: {before}, then {watcher_kib(h)} KiB"


@group.check("vrctl cleanup goes on through signals; libxl fails in it", 120)
def cleanup(h, _made):
    fresh(h)
    start_io(h)
    uuid = h.show("s1")["uuid"]
    # libxl's process in vrctl is killed by the script that it runs: a libxl
    # that was abandoned in the midst of its work.
    block_script(h, '[ "$1" != remove ] || kill -9 $PPID')
    out = h.sh(f"sh /host/bin/cleanup-signals.sh {uuid}", 90).out
    require("libxl did not destroy it" in out, out)
    require(h.sh(f"ls /run/virtio-restricted/{uuid}.json").rc == 0,
            f"the record is gone: {out}")
    usual(h)
    # The guest is the operator's, and xl destroy looks again.
    h.ok("xl destroy s1", 60)
    h.wait_gone("s1", B)
    h.leftovers(15)
    return out.splitlines()[0]


@group.check("xl killed while a hotplug script runs: nothing is left", 120)
def late_script(h, _made):
    usual(h)
    block_script(h, '[ "$1" != add ] || sleep 3')
    h.ok(f"sh /host/bin/kill-in-hotplug.sh /host/cfg/s1.cfg {BLOCK}", 60)
    h.leftovers(30)
    usual(h)


@group.check("libxl undoes a driver domain, its script goes on", 120)
def undone(h, _made):
    # As the script does it when libxl has removed the path meanwhile.
    block_script(h, 'if [ "$1" = add ]; then\n'
                 '(sleep 4; xenstore-write $XENBUS_PATH/hotplug-error late) '
                 '</dev/null >/dev/null 2>&1 &\nexit 1\nfi')
    r = h.create("/host/cfg/s1.cfg")
    require(r.rc != 0 and "cannot be created" in r.text, r.text[-300:])
    h.leftovers(5)
    # Has it come by now, it came too late for the check above.
    h.ok("while ps -o args | grep '[s]cripts/block'; do sleep 0.5; "
         "done", 20)
    h.leftovers(1)
    usual(h)


# ---- the launcher ----

def findings(h):
    """What vrctl check says of xl, by level and text."""
    data = json.loads(h.sh("vrctl check --json").out)
    return [f for f in data["findings"] if f["what"].endswith("xl")]


def refused(h, text, finding=True):
    """xl does nothing and says TEXT; vrctl check sees it, too."""
    r = h.sh("xl list")
    require(r.rc != 0 and text in r.text, f"xl list: [{r.rc}] {r.text[-300:]}")
    require("Domain-0" not in r.out, "xl was started")
    found = [f for f in findings(h) if f["level"] == "FAIL"]
    require(bool(found) == finding, f"vrctl check: {found}")
    return found[0]["value"] if found else ""


@group.check("the launcher: what keeps the plug-in from being loaded", 120)
def launcher(h, _made):
    usual(h)
    require(all(f["level"] != "FAIL" for f in findings(h)), str(findings(h)))
    so = f"{LIB}/xl-virtio-restricted.so"
    said = []
    h.ok(f": > {so}")
    said.append(refused(h, "is missing or empty"))
    h.ok(f"cp /tmp/lib/*.so {LIB}/; printf '\\377\\377' | "
         f"dd of={so} bs=1 seek=18 conv=notrunc 2>/dev/null")
    said.append(refused(h, "unknown global option"))
    h.ok(f"cp /tmp/lib/*.so {LIB}/; chown nobody {XL}; chmod 4755 {XL}")
    said.append(refused(h, "unknown global option"))
    usual(h)
    # The part that works for the key: xl itself goes on.
    h.ok(f"head -c 100 /tmp/lib/vr-plugin.so > {LIB}/vr-plugin.so; xl list")
    require(any("cannot load" in f["value"] for f in findings(h)),
            str(findings(h)))
    r = h.sh("xl create -n /host/cfg/s1.cfg")
    require(r.rc != 0 and "cannot load" in r.text, r.text[-300:])
    usual(h)
    h.ok("xl list")
    return "; ".join(re.sub(r".*plug-in: ", "", s)[:60] for s in said)


@group.check("the launcher: what it costs", 60)
def cost(h, _made):
    times = {}
    for name, xl in (("launcher", "xl"), ("alone", XL)) * 3:
        out = h.ok("a=$(cut -d' ' -f1 /proc/uptime); "
                   f"for i in 1 2 3 4 5 6 7 8; do {xl} list >/dev/null; done; "
                   "b=$(cut -d' ' -f1 /proc/uptime); echo $a $b", 60)
        a, b = out.split()
        times.setdefault(name, []).append((float(b) - float(a)) / 8)
    median = {n: sorted(t)[1] * 1000 for n, t in times.items()}
    return (f"xl list takes {median['launcher']:.0f} ms with the launcher, "
            f"{median['alone']:.0f} ms without")
