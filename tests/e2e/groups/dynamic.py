# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dynamic windows: memory reached only while the guest's IOMMU maps it."""

from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

B = "dy-b1"

group = Group("dynamic")


def dynamic(text="", **keys):
    """A device string of a dynamic device."""
    values = {"mode": "dynamic", "aperture": "8M", "size": None}
    values.update(keys)
    return device(text, **values)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb"), memory=128))
    cfg = h.put("dy.cfg", guest_cfg("dy", [
        dynamic(serial="one"),
        device(id="disk1", target="/dev/xvdc", size="8M"),
    ], memory=128, extra="iommu.strict=1"))
    r = h.create(cfg, 120)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok("dy", "true")
    return {}


@group.check("a dynamic and a static disk side by side")
def disks(h, _made):
    out = h.gx_ok("dy", "for d in vda vdb; do echo $d "
                  "$(cat /sys/block/$d/size) $(ls -d "
                  "/sys/block/$d/device/iommu 2>/dev/null); done; dmesg | grep -i iommu")
    return out
