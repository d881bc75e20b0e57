# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mixed device whose pool only the virtio-iommu tells of: Debian's kernel and
the guest module, told to look for that and not told to. One boot."""

import re

from vre2e import arch
from vre2e.host import driver_cfg
from vre2e.report import Group, require

from groups.dynamic import audit, iommu, start, told
from groups.mixed import inside, mixed
from groups.module import DRIVER, MODULE, STATS
from groups.neighbours import judge, look

G, B = "xp", "xp-b1"
MEMORY = 256

group = Group("probe")


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1"))
    start(h, G, [mixed(serial="one", pool_in="probe")], kernel="Debian's",
          ramdisk=arch.now.mixed, memory=MEMORY,
          extra="iommu.strict=1 virtio_restricted.probe_pools=1")
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def works(h):
    """The disk does; vrctl's view of it."""
    refused = iommu(h, G)["counters"]["refused"]
    found = told(h, G, "/dev/vda")
    require(found["one"][0] != "none" and
            set(found["one"][1:]) == set(arch.now.told[1:]), f"{found}")
    out = h.gx_ok(G, "ioload -f /dev/vda -m verify -q 8 -b 4096 -t 1 -s 4; "
                  "ioload -f /dev/vda -m verify -q 4 -b 262144 -t 1 -s 8", 90)
    require(out.count('"errors":0,') == 2 and
            out.count('"mismatches":0') == 2, out)
    audit(h, G)
    dev = h.show(G)["devices"][0]
    c = dev["counters"]
    require(not c["faults"] and not c["backend_faults"] and
            iommu(h, G)["counters"]["refused"] == refused, f"{c}")
    return dev


@group.check("told to look: the pool is found and used", 120)
def used(h, _made):
    dev = works(h)
    pool = dev["windows"][0]
    require(dev["rings_in_pool"] and dev["pool_in"] == "probe", f"{dev}")
    text = h.gx_ok(G, f"cat {STATS}/*; dmesg | grep -e 'restricted to its pool' "
                   "-e 'viommu prop'")
    seen = {l.split()[0]: int(l.split()[1], 0) for l in text.splitlines()
            if re.fullmatch(r"\w+ \w+", l)}
    require(seen["base"] == pool["base"] and seen["size"] == pool["size"] and
            seen["copied"] > 100 and seen["high_water"] > 0, text)
    # The kernel's own driver has asked as well, and does not know it.
    require(text.count("unknown viommu prop 0xfff") == 1, text)
    # The module asked for each of 32 endpoints, of which there is one.
    refused = iommu(h, G)["counters"]["refused"]
    require(refused == 31, f"{refused} requests refused")
    return f"{seen['copied']} buffers copied, pool at {seen['base']:#x}"


@group.check("mixed: of a small buffer's page the backend reads the buffer alone",
             100)
def kept(h, _made):
    return judge(look(h, G, "one", MEMORY), False)


@group.check("not told to: it works as a dynamic device", 150)
def unused(h, _made):
    # virtio_mmio stays: Linux 6.12 does not survive that a virtio-iommu goes.
    h.gx_ok(G, f"cd {DRIVER}; d=$(ls {STATS}) && echo $d > unbind && "
            f"rmmod virtio_restricted && insmod {MODULE} && echo $d > bind && "
            f"[ -z \"$(ls {STATS})\" ] && ls /sys/block/vda", 60)
    dev = works(h)
    require(not dev["rings_in_pool"] and
            all(inside(dev["windows"][1], r["descriptors"])
                for r in dev["rings"]), f"{dev['rings']}")


@group.check("no warning in the guest's kernel log")
def quiet(h, _made):
    log = h.guest_log(G)
    require(not re.search(r"WARNING:|BUG:|Call trace", log),
            "the console has a warning")
