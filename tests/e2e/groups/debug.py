# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's kernel that checks its drivers (DMA-API debugging, KASAN, lockdep):
the guest module, and the drivers above it, give it nothing to report."""

import re

from vre2e import build
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

G, B = "gd", "gd-b1"
SEED = 91
# A static, a mixed, a dynamic device.
SERIALS = ("pool", "both", "iommu")
STATS = "/sys/kernel/debug/virtio_restricted"
PARAMETER = "/sys/module/virtio_restricted/parameters/threshold"
# What checks print, unlike what they say when they are switched on.
REPORT = r"WARNING: |BUG: |INFO: |Call trace:|DMA-API: [^ ]+ [^ ]+: "

group = Group("debug", arches=("arm64",), build=build.debug_guest)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb", "/dev/vdc"),
                               memory=128))
    # How long a processor takes says nothing where it is emulated.
    text = guest_cfg(G, [
        device(serial="pool"),
        device(id="disk1", target="/dev/xvdc", serial="both", mode="mixed",
               aperture="16M"),
        dynamic(id="disk2", target="/dev/xvdd", serial="iommu"),
    ], memory=320, kernel="Image-debug", ramdisk="debug.cpio",
                     extra="rcupdate.rcu_cpu_stall_suppress=1 "
                     "kasan_multi_shot")
    text = text.replace('on_reboot = "restart"', 'on_reboot = "destroy"')
    r = h.create(h.put("gd.cfg", text), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=200)
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def watched(h, command, seconds=60):
    """Run a command in the guest. Nothing may have been reported since its
    boot, and the checks may not have given up. The command's output."""
    out = h.gx_ok(G, f"{command}\nrc=$?; reports '{REPORT}'; exit $rc",
                  seconds)
    own, _, reports = out.partition("==\n")
    require(re.fullmatch(r"0\nN\n *debug_locks: *1\n", reports),
            reports[-1500:])
    return own


def disks(h):
    """The disks, such as /dev/vda, by their serial numbers."""
    out = h.gx_ok(G, f"diskof {' '.join(SERIALS)}")
    return dict(zip(SERIALS, out.split()))


def restricted(h):
    """What the module restricts: the devices' names and pools, by their ids."""
    ids = {d["window_base"]: d["id"] for d in h.show(G)["devices"]}
    out = h.gx_ok(G, f"cd {STATS}; for d in *; do echo $d "
                  "$(sed -n 's/^base //p;s/^size //p' $d); done")
    found = {}
    for name, base, size in (line.split() for line in out.splitlines()):
        found[ids[int(base, 0)]] = (name, base, size)
    require(set(found) == {"disk0", "disk1"}, out)
    return found


def verify(devices, size):
    """A command that writes at random and reads back."""
    return " && ".join(f"ioload -f {disk} -m verify -q 4 -b {size} "
                       "-t 0.3 -s 1" for disk in devices)


@group.check("each check is at work; random writes of each disk read back", 240)
def data(h, _made):
    # Low enough for the mixed disk's requests to be mapped.
    out = watched(h, f"echo 65536 > {PARAMETER}; "
                  "dmesg | grep -iE 'kasan|DMA-API|restricted'; " +
                  verify(disks(h).values(), 65536), 200)
    require("KernelAddressSanitizer initialized" in out and
            "debugging enabled" in out, out)
    require("created restricted DMA pool" not in out and
            out.count("restricted to its pool") == 2, out)
    require(out.count('"errors":0,') == 3 and
            out.count('"mismatches":0') == 3, out)
    r = h.sh(f"vrctl audit {G}")
    require(r.rc == 0, f"audit: {r.text[-400:]}")


@group.check("ext4 on the mixed disk: made, written, read back", 240)
def files(h, _made):
    disk = disks(h)["both"]
    watched(h, f"datafs write {disk} 1 {SEED} 8M -b 4096 && "
            f"datafs check {disk} 1 {SEED}", 200)


@group.check("every DMA operation, by several threads at once", 200)
def operations(h, _made):
    found = restricted(h)
    # Each insmod ends with an error when one of its checks fails.
    commands = ["rmmod dma_check"] * len(found)
    for number, (dev, (name, base, size)) in enumerate(found.items()):
        mixed = f"mixed=$(cat {PARAMETER})" if dev == "disk1" else ""
        commands.insert(2 * number, "insmod /modules/dma-check.ko.later "
                        f"device={name} base={base} size={size} {mixed}")
    out = watched(h, " && ".join(commands) + " && "
                  "dmesg | grep 'dma-check: '", 160)
    require(out.count("dma-check: ok") >= 15 and "FAILED" not in out, out)


@group.check("under I/O: not unloaded; unbound; unloaded; loaded, bound", 240)
def under_load(h, _made):
    names = disks(h)
    devices = " ".join(name for name, _, _ in restricted(h).values())
    loaded = " ".join(names[serial] for serial in ("pool", "both"))
    out = watched(h, f"unload-under-io '{devices}' '{loaded}' "
                  "-m randwrite -q 8 -b 65536 -t 60 -s 2 -w 20", 120)
    # Rings of the same kind are mapped again, and nothing else.
    before, unbound, after = out.split()
    require(int(unbound) > int(before) == int(after), out)
    watched(h, verify((names["pool"], names["both"]), 4096), 120)


@group.check("what is wrong on purpose is reported by each check", 120)
def reported(h, _made):
    out = h.gx_ok(G, "misuse")
    for want in ("DMA-API: .*free.* DMA memory it has not allocated",
                 "unmapped what was not mapped",
                 "BUG: KASAN: slab-out-of-bounds in ",
                 "BUG: sleeping function called from invalid context",
                 "possible circular locking dependency detected",
                 r"^1$", "debug_locks: *0"):
        require(re.search(want, out, re.M), f"no \"{want}\": {out[-1500:]}")


MARK = "what was wrong on purpose ends here"


# After that, which has made lockdep give up: this needs no second boot, and the
# other checks still report.
@group.check("reboot under I/O: nothing more is reported", 150)
def reboot(h, _made):
    # The console is late: what was on it before is told by a line, not counted.
    h.gx_ok(G, f"echo {MARK} > /dev/kmsg")
    loads = " ".join(
        f"ioload -f {disk} -m randread -q 8 -b 65536 -t 60 -s 2 -w 20 "
        "</dev/null >/dev/null 2>&1 &" for disk in disks(h).values())
    h.gx(G, f"{loads} (sleep 1; /sbin/reboot) </dev/null >/dev/null 2>&1 &")
    h.wait_gone(G, B, seconds=90)
    log = h.guest_log(G)
    _, mark, after = log.partition(MARK)
    require(mark and "Restarting system" in after, log[-1500:])
    require(not re.search(REPORT, after), after[-1500:])
