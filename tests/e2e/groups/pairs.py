# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two guests at once: with a driver domain each, and sharing one."""

from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

group = Group("pairs")


def both(h, names, seconds):
    """Write and verify in both guests at the same time, and audit each."""
    job = ("datafs write /dev/vda 8 {0} && datafs check /dev/vda 8 {0} && "
           "ioload -f /dev/vda -m verify -q 8 -t 2 -s 4")
    h.beside([f"gx -t {seconds} {name} '{job.format(seed)}'"
              for seed, name in enumerate(names, 1)], seconds + 60)
    for name in names:
        r = h.sh(f"vrctl audit {name}")
        require(r.rc == 0, f"audit {name}: {r.text[-300:]}")


@group.check("two guests and two driver domains at once", 500)
def separate(h):
    for n, disk in (("1", "/dev/vda"), ("2", "/dev/vdb")):
        h.put(f"pb{n}.cfg", driver_cfg(f"pb{n}", [disk]))
        h.put(f"pg{n}.cfg", guest_cfg(f"pg{n}", [
            device(driver=f"/host/cfg/pb{n}.cfg")]))
    h.beside([f"xl create /host/cfg/pg{n}.cfg" for n in ("1", "2")], 130)
    require({"pg1", "pg2", "pg1-pb1", "pg2-pb2"} <= set(h.domains()),
            "a domain is missing")
    both(h, ("pg1", "pg2"), 240)
    # each driver domain reaches its own guest's windows and no other's
    for n, other in (("1", "2"), ("2", "1")):
        out = h.ok(f"vrctl audit pg{n}")
        require(f"pb{other}" not in out, out)
    h.ok("xl destroy pg1")
    h.gx_ok("pg2", "ioload -f /dev/vda -m randread -t 1 -s 16")
    h.ok("xl destroy pg2")
    h.wait_gone("pg1", "pg2", "pg1-pb1", "pg2-pb2", seconds=20)


@group.check("one driver domain serves two guests", 500)
def shared(h):
    b = h.put("sb.cfg", driver_cfg("sb", ("/dev/vda", "/dev/vdb"),
                                   memory=128))
    require(h.create(b).rc == 0, "the driver domain cannot be created")
    h.gx_ok("sb", "true")
    for n, target in (("1", "/dev/xvdb"), ("2", "/dev/xvdc")):
        cfg = h.put(f"sg{n}.cfg", guest_cfg(f"sg{n}", [
            device(driver=None, backend="sb", target=target)]))
        r = h.create(cfg)
        require(r.rc == 0, f"sg{n}: {r.text[-400:]}")
    both(h, ("sg1", "sg2"), 240)
    cfg = h.put("sg3.cfg", guest_cfg("sg3", [
        device(driver=None, backend="sb", target="/dev/xvdb")]))
    r = h.sh(f"xl create {cfg}")
    require(r.rc != 0 and "/dev/xvdb" in r.text, "a target that another guest "
            f"writes was given away: {r.text[-200:]}")
    cfg = h.put("sg4.cfg", guest_cfg("sg4", [
        device(id=f"d{i}", driver=None, backend=b, target="/dev/xvdd")
        for i, b in enumerate(("sb", h.domid("sb")))]))
    r = h.sh(f"xl create {cfg}")
    require(r.rc != 0 and "[1]: target=/dev/xvdd" in r.text, "one target for "
            f"two devices, by name and number: {r.text[-200:]}")
    h.ok("xl destroy sg1", 60)
    h.wait_gone("sg1", seconds=15)
    # On a busy machine a request of this path takes 0.2 s, and what was
    # written is read back one by one.
    h.gx_ok("sg2", "ioload -f /dev/vda -m verify -q 8 -t 1 -s 4",
            limit=120)
    require("sb" in h.domains(), "the shared driver domain ended")
    h.ok("xl destroy sg2", 60)
    h.wait_gone("sg2", seconds=15)
    require("sb" in h.domains(), "the shared driver domain ended")
    h.leftovers(10, ["sb"])
    r = h.sh("xenstore-ls -f | grep virtio_restricted")
    require(r.rc != 0, f"nodes are left: {r.out[:200]}")
    h.ok("xl destroy sb")


@group.check("a read-only device cannot be written", 120)
def readonly(h):
    h.put("b1.cfg", driver_cfg("b1"))
    cfg = h.put("ro.cfg", guest_cfg("ro", [
        device(access="ro"), device(id="disk1", access="ro")]))
    r = h.create(cfg)
    require(r.rc == 0, r.text[-400:])
    out = h.gx_ok("ro", "cat /sys/block/vda/ro; for d in /dev/vda /dev/vdb; "
                  "do dd if=$d bs=1M count=4 2>/dev/null | md5sum; done | "
                  "uniq | wc -l; ioload -f /dev/vda -m "
                  "randread -t 1 -s 8 >/dev/null && echo readable; "
                  "dd if=/dev/zero of=/dev/vda bs=4k count=1 2>&1 && "
                  "echo WRITTEN; true")
    # One disk by two devices
    require(out.split()[:2] == ["1", "1"] and "readable" in out and
            "WRITTEN" not in out, out)
    h.ok("xl destroy ro", 60)
