# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest kernel that ignores the pool."""

import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

B = "deb-b1"

group = Group("kernels")


@group.check("Debian's kernel gets no device and no corruption", 240)
def debian(h):
    h.put("b1.cfg", driver_cfg("b1"))
    mark = h.ok("dd if=/dev/vda bs=1M count=8 2>/dev/null | md5sum")
    cfg = h.put("deb.cfg", guest_cfg(
        "deb", [device()], **arch.now.bare))
    r = h.create(cfg)
    require(r.rc == 0, r.text[-400:])
    begin = time.monotonic()
    out = h.gx_ok("deb", "uname -r; lsmod; ls /sys/block; dmesg | grep -i "
                  "virtio", up=150)
    up = time.monotonic() - begin
    require("vda" not in out, f"a disk appeared: {out}")
    require("virtio_blk" in out, f"the driver is not loaded: {out}")
    log = h.guest_log("deb")
    require(re.search(r"insmod \S*virtio_blk\S*: \d", log),
            "insmod did not return")
    dev = h.show("deb")["devices"][0]
    text = h.ok("vrctl show deb")
    # Why, and both remedies.
    for word in ("outside of the device's window", "DMA_RESTRICTED_POOL",
                 "module virtio_restricted"):
        require(word in text, f"the operator is not told: {dev.get('error')} "
                f"{dev.get('failed_text')}")
    g = h.domid("deb")
    node = h.ok(f"xenstore-read /libxl/{g}/virtio_restricted/disk0/error")
    require("DMA_RESTRICTED_POOL" in node, f"xenstore: {node}")
    require(dev["counters"]["requests"] == 0, "requests were served")
    h.ok("xl destroy deb", 60)
    h.wait_gone("deb", B, seconds=20)
    require(h.ok("dd if=/dev/vda bs=1M count=8 2>/dev/null | md5sum") == mark,
            "the disk changed")
    return f"up {up:.0f} s; the operator reads: {node.strip()[:150]}"
