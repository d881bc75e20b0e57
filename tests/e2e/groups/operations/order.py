# SPDX-License-Identifier: LGPL-2.1-or-later
"""Driver domains go after their guests, whoever asks, and cannot be moved away
from under them: nothing that a guest has written is lost.

Two guests: o1, whose device is static, with a driver domain of its own, and o2,
whose device is dynamic, with one that is shared. Both are started, and once
stopped, by Debian's own xendomains script."""

import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

OWNED, SHARED = "o1-b1", "b2"
GUESTS = {"o1": ("/dev/vda", OWNED), "o2": ("/dev/vdb", SHARED)}
ALL = (*GUESTS, OWNED, SHARED)
# Where the distribution has xl, past the plug-in.
PLAIN = "/usr/lib/xen-4.17/bin/xl"
PLUGIN = "/usr/local/lib/virtio-restricted/xl-virtio-restricted.so"
XENDOMAINS = "/etc/init.d/xendomains"
SAVED = "/var/lib/xen/save"
MIB = 8
# Who takes a domain that is migrated, as far as it comes.
RECEIVER = ("echo xl migration receiver ready, send binary domain data.; "
            "cat > /dev/null")

group = Group("operations/order", sweep=True)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1"))
    cfgs = {
        "10-shared": h.put("b2.cfg", driver_cfg("b2", disks=("/dev/vdb",))),
        "20-o1": h.put("o1.cfg", guest_cfg("o1", [device()])),
        "21-o2": h.put("o2.cfg", guest_cfg("o2", [
            dynamic(driver=None, backend=SHARED)], **arch.now.usual)),
    }
    h.ok("mkdir -p /etc/xen/auto; " + "; ".join(
        f"ln -sf {path} /etc/xen/auto/{name}" for name, path in cfgs.items()))
    return {}


@group.on_teardown
def teardown(h):
    h.sh("rm -rf /etc/xen/auto")


def start(h):
    """All domains, as when the host boots."""
    out = h.ok(f"{XENDOMAINS} start 2>&1", 240)
    require(set(h.domains()) == set(ALL), out)
    for guest in GUESTS:
        h.gx_ok(guest, "true", up=100)


def running(h):
    """All domains, whether or not the check before this one has passed."""
    if set(h.domains()) != set(ALL):
        h.sweep()
        start(h)


def works(h, guest):
    """Reads and writes complete."""
    h.gx_ok(guest, "rwcheck")


def dirty(h):
    """A file system, and data beside it, which the guests do not write back
    until they are made to; the checksums that the storage is to have."""
    sums = {}
    for guest, (disk, _) in GUESTS.items():
        sums[guest] = h.gx_ok(guest, f"dirty {MIB}", 180).split()[0]
        require(stored(h, disk) != sums[guest],
                "nothing is left to be written at the end")
    return sums


def stored(h, disk):
    """The checksum of what is beside the file system."""
    return h.ok(f"blockdev --flushbufs {disk}; dd if={disk} bs=1M skip=32 "
                f"count={MIB} 2>/dev/null | sha256sum").split()[0]


def right(h, sums):
    """All that the guests had written is there."""
    for guest, (disk, _) in GUESTS.items():
        require(stored(h, disk) == sums[guest],
                f"{guest}: data that was written is lost")
        h.ok(f"e2fsck -fn {disk}")


@group.check("xendomains start: shared driver domain, then guests", 400)
def first(h, _made):
    start(h)
    for guest in GUESTS:
        works(h, guest)


@group.check("a guest and its driver domains cannot be saved or moved, nor "
             "these lose what they need", 150)
def refused(h, _made):
    running(h)
    # Asked of driver domains only, when guests use them.
    serving = ["trigger {} sleep", "sysrq {} b", "sysrq {} o",
               "block-detach {} xvdb", "pci-detach {} 0000:00:1f.0"]
    verbs = []
    if arch.now.name == "x86":  # Xen on Arm has no others
        verbs = ["save {} /tmp/saved", "save -c {} /tmp/saved",
                 f"migrate -s '' {{}} \"{RECEIVER}\"",
                 "remus -F -b -n -d {} none"]
    for verb in serving + verbs:
        for name in (OWNED, SHARED) if verb in serving else ALL:
            r = h.sh(f"xl {verb.format(name)} < /dev/null")
            require(re.search(r"cannot (be|lose) ", r.text),
                    f"xl {verb}: {name}: {r.text}")
            if name not in GUESTS:
                require("o1" in r.text or "o2" in r.text, r.text)
            require(h.sh("test -e /tmp/saved").rc, f"xl {verb}: a file is left")
    # xl suspend and xl resume of later versions of Xen.
    for name in ALL:
        call = f"LD_PRELOAD={PLUGIN} /host/bin/xlcall {{}} {h.domid(name)}"
        r = h.sh(call.format("suspend"))
        require(r.rc and "cannot be suspended" in r.text, f"{name}: {r.text}")
        h.sh(call.format("resume"))
    for guest in GUESTS:
        works(h, guest)
    require(set(h.domains()) == set(ALL), h.ok("xl list"))


def shown(h, word, state):
    """o1's device is in this state, for this reason."""
    dev = h.show("o1")["devices"][0]
    return dev["state"] == state and word in dev["error"]


@group.check("a driver domain that is suspended or paused comes back", 200)
def suspended(h, _made):
    running(h)
    domid = h.domid(OWNED)
    for word, stop, go in (
            ("suspended", f"plant suspend {domid}", f"plant resume {domid}"),
            ("paused", f"xl pause {domid}", f"xl unpause {domid}")):
        h.ok(stop)
        h.gx_ok("o1", "(dd if=/dev/zero of=/dev/vda bs=4k seek=26000 count=1 "
                "conv=fsync; echo $? > /tmp/done) > /dev/null 2>&1 &")
        h.wait(f"{word} is shown", lambda w=word: shown(h, w, "waiting"))
        require(h.gx("o1", "test -e /tmp/done").rc, "a write without a backend")
        h.ok(go)
        h.wait("connected is shown", lambda: shown(h, "", "connected"))
        require(h.show("o1")["devices"][0]["error"] == "", "a reason is left")
        h.gx_ok("o1", "for i in $(seq 100); do [ -s /tmp/done ] && break; "
                "sleep 0.1; done; read rc < /tmp/done; rm /tmp/done; exit $rc")
        works(h, "o1")


@group.check("a checkpoint past the plug-in is survived", 200, arches=("x86",))
def checkpoint(h, _made):
    running(h)
    # On a slow machine the domain may be too late to agree: not saved, then.
    r = h.sh(f"{PLAIN} save -c {OWNED} /dev/null", 100)
    require(r.rc in (0, 1), r.text)
    h.wait("connected is shown", lambda: shown(h, "", "connected"))
    works(h, "o1")
    return "" if r.rc == 0 else "it was not saved"


@group.check("xendomains stop with dirty data: nothing is lost", 400)
def stop(h, _made):
    running(h)
    sums = dirty(h)
    begin = time.monotonic()
    out = h.ok(f"{XENDOMAINS} stop 2>&1", 350)
    took = time.monotonic() - begin
    require(not h.domains(), out + h.ok("xl list"))
    right(h, sums)
    require(not h.sh(f"ls {SAVED}").out.strip(), "a saved domain is left")
    h.leftovers(15)
    return f"{took:.0f} s"


@group.check("xendomains start after that: all runs again", 400)
def again(h, _made):
    start(h)
    for guest in GUESTS:
        works(h, guest)


@group.check("a driver domain asked first waits, and takes no new guest", 200)
def asked(h, _made):
    running(h)
    for name in (SHARED, OWNED):
        r = h.sh(f"xl shutdown {name}")
        require(r.rc == 0 and "waits" in r.text, r.text)
    require("o2" in h.sh(f"xl reboot {SHARED}").text, "the message names no one")
    h.sh(f"xl shutdown {SHARED}")
    require(h.show("o2")["devices"][0]["driver_down"] == "poweroff", "not shown")
    h.put("o3.cfg", guest_cfg("o3", [
        device(driver=None, backend=SHARED, target="/dev/xvdc")]))
    r = h.create("/host/cfg/o3.cfg")
    require(r.rc and "waits" not in r.text and "xenstore-rm" in r.text, r.text)
    for guest in GUESTS:
        works(h, guest)


@group.check("xl shutdown -a -w with dirty data: nothing is lost", 400)
def shutdown_all(h, _made):
    running(h)
    sums = dirty(h)
    r = h.sh("xl shutdown -a -w", 350)
    require(r.rc == 0, r.text)
    h.wait_gone(*ALL, seconds=60)
    right(h, sums)
    h.leftovers(15)


@group.check("driver domains power off by themselves: nothing is lost", 800)
def poweroff(h, _made):
    running(h)
    for _, driver in GUESTS.values():
        h.gx_ok(driver, "/sbin/poweroff < /dev/null > /dev/null 2>&1 &")
    for guest in GUESTS:
        works(h, guest)
    sums = dirty(h)
    # Past the plug-in they are asked once more.
    h.ok(f"{PLAIN} shutdown -a -w", 350)
    h.wait_gone(*ALL, seconds=60)
    right(h, sums)
    h.leftovers(15)
