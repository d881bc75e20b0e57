# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver domain and the guests, on a host that is up."""

import contextlib

from vre2e.report import require

from . import paths
from .paths import DRIVER, GUEST

VBD = 51712  # xvda


@contextlib.contextmanager
def driver(host, opt):
    """A driver domain. Each guest has a new one: where Linux puts the pages of a
    window depends on the windows that there were before."""
    host.ok("xl create " + host.put(DRIVER + ".cfg", paths.driver_cfg(opt)), 90)
    host.gx_ok(DRIVER, "test -b /dev/nullb0", up=120)
    yield
    destroy(host, DRIVER)


def null_blk(host):
    """A null_blk device in dom0, for QEMU."""
    host.ok("test -b /dev/nullb0 || for m in $(cat /lib/modules/more); do "
            f"case $m in null_blk) o='nr_devices=1 {paths.NULL_BLK}' ;; "
            "*) o= ;; esac; insmod /lib/modules/$m.ko $o || exit 1; done; "
            "test -b /dev/nullb0")


def attach_blkback(host):
    """What a block hotplug script does in the driver domain, dom0 does: it
    names the device to blkback."""
    node = (f"/local/domain/{host.domid(DRIVER)}/backend/vbd/"
            f"{host.domid(GUEST)}/{VBD}")
    number = host.gx_ok(DRIVER, "stat -c %t:%T /dev/nullb0").strip()
    host.ok(f"xenstore-write {node}/physical-device {number} "
            f"{node}/hotplug-status connected")


def find_disks(host, count):
    """(file, device's name) of each path's disk, once there are so many."""
    out = host.gx_ok(GUEST, f"disks-by-serial {count}", 60, up=150)
    rows = [line.split() for line in out.splitlines()]
    return {row[0]: (row[1], row[2]) for row in rows}


def trap(host, device):
    """The broker stands between this device and its backend: no doorbells."""
    host.gx_ok(GUEST, f"bind-without-doorbells {device}")


def start_guest(host, kernel, wanted, opt):
    """Create a guest. Returns (file, device's name) of each path's disk."""
    if "qemu" in wanted:
        null_blk(host)
    cfg = paths.guest_cfg(kernel, wanted, opt)
    host.ok("xl create " + host.put(GUEST + ".cfg", cfg), 150)
    if "blkfront" in wanted:
        attach_blkback(host)
    disks = find_disks(host, len(wanted))
    trapped = [disks[p][1] for p in paths.TRAPPED if p in disks]
    for device in trapped:
        trap(host, device)
    if trapped:
        disks = find_disks(host, len(wanted))
    require(set(disks) == set(wanted), f"the guest has disks {disks!r}")
    return {path: disks[path] for path in wanted}


def facts(host, wanted):
    """What the guest runs, and how blkfront's pair has agreed to work."""
    words = host.gx_ok(GUEST, "uname -r; cat /sys/devices/system/clocksource/"
                       "clocksource0/current_clocksource").split()
    found = {"uname": words[0], "clock": words[1]}
    if "blkfront" in wanted:
        front = f"/local/domain/{host.domid(GUEST)}/device/vbd/{VBD}"
        back = (f"/local/domain/{host.domid(DRIVER)}/backend/vbd/"
                f"{host.domid(GUEST)}/{VBD}")
        # Written only where it is not the default.
        out = host.ok(
            f"for n in {front}/feature-persistent "
            f"{back}/feature-max-indirect-segments "
            f"{front}/multi-queue-num-queues {front}/ring-page-order; do "
            "xenstore-read $n 2> /dev/null || echo -; done")
        found["blkfront"] = dict(zip(
            ("persistent grants", "indirect segments", "queues",
             "ring page order"), out.split()))
    return found


def clocks(host):
    """Seconds that dom0 and the guest have been up, by their own clocks."""
    out = host.ok(f"cat /proc/uptime; gx {GUEST} 'cat /proc/uptime'").split()
    return float(out[0]), float(out[2])


def clock_rate(before, after):
    """The rate of the guest's clock, by dom0's. Rates of I/O are measured by
    the guest's."""
    return (after[1] - before[1]) / (after[0] - before[0])


def destroy(host, *names):
    """Domains, and wait until they are gone."""
    for name in names:
        host.ok(f"xl destroy {name}", 60)
        host.wait_gone(name)
