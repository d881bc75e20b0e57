# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mixed devices with the guest module: rings and short payload in the pool,
long payload mapped, and what that costs. One boot of Debian's kernel."""

import re

from vre2e import arch
from vre2e.host import driver_cfg, mixed
from vre2e.report import Group, require

from groups.dynamic import audit, iommu, start
from groups.module import STATS

G, B = "xm", "xm-b1"
SEED = 53
THRESHOLD = 64 << 10
PARAMETER = "/sys/module/virtio_restricted/parameters/threshold"

group = Group("mixed-module")

# The kernel's own code would take mappings away later, with iommu.strict=0; the
# module does it at once all the same.
@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb"), memory=128))
    start(h, G, [mixed(serial="one")], kernel="Debian's",
          ramdisk=arch.now.mixed, memory=256,
          extra="iommu.strict=0 hugepages=2")
    # By default the module copies all that these loads have.
    h.gx_ok(G, f"echo {THRESHOLD} > {PARAMETER}")
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def stats(h):
    """The module's counters."""
    lines = [l.split() for l in h.gx_ok(G, f"cat {STATS}/*").splitlines()]
    return {l[0]: int(l[1], 0) for l in lines if len(l) == 2}


def with_data(h, made):
    """The file that data_right() looks for; it stays until the disk as such is
    written to."""
    if "data" not in made:
        h.gx_ok(G, f"datafs write /dev/vda 8 {SEED}", 200)
        made["data"] = True


def data_right(h):
    h.gx_ok(G, f"datafs check /dev/vda 8 {SEED}", 120)
    audit(h, G)


@group.check("rings in the pool, IOVAs in the window, and the module says so")
def says(h, _made):
    log = h.gx_ok(G, "dmesg | grep -E 'restricted to its pool|its IOMMU'")
    dev = h.show(G)["devices"][0]
    pool, iova = dev["windows"]
    require(f"at {pool['base']:#018x}" in log and
            f"from {iova['base']:#018x}" in log and
            f"{iova['size'] >> 10} KiB" in log, f"{log}, {dev['windows']}")
    require(dev["rings_in_pool"], f"{dev['rings']}")
    s = stats(h)
    require(s["iova_base"] == iova["base"] and s["iova_size"] == iova["size"],
            f"{s}")
    return log.strip().splitlines()[-1].split("] ")[-1][:150]


def counted(h, args):
    """What a load of one request at a time costs, and its requests."""
    def figures():
        c = iommu(h, G)["counters"]
        d = h.show(G)["devices"][0]["counters"]
        return {"kicks": c["kicks"], "maps": c["maps"],
                "unmaps": c["unmaps"], "requests": d["requests"], **{
                    "guest-" + k: v for k, v in stats(h).items()}}
    before = figures()
    out = h.gx_ok(G, f"ioload -f /dev/vda {args} -t 1 -s 32", 60)
    require('"errors":0,' in out and '"mismatches":0' in out, out)
    ios = int(re.search(r'"ios":(\d+)', out)[1])

    def all_counted():
        """The backend tells its counters now and then."""
        after = figures()
        n = {k: after[k] - before[k] for k in after}
        return n if n["requests"] >= ios else None
    return h.wait("requests are counted", all_counted)


# Bytes, what else, and what is expected of a request: UNMAPs.
LOADS = [
    ("4 KiB", "-m randwrite -b 4096", 0),
    ("60 KiB, one piece", "-m randread -b 61440 -c", 0),
    ("64 KiB, one piece, not at a page", "-m randread -b 65536 -c -o 512", 0),
    ("64 KiB, one piece", "-m randread -b 65536 -c", 1),
    ("1 MiB, one piece, read", "-m read -b 1048576 -c", 1),
    ("1 MiB, one piece, written", "-m write -b 1048576 -c", 1),
]


@group.check("MAPs and UNMAPs of a request, as the broker counts them", 200)
def cost(h, made):
    made.pop("data", None)
    lines = []
    for name, args, want in LOADS:
        n = counted(h, args)
        lines.append(f"{name}: {n['maps']} and {n['unmaps']} in "
                     f"{n['requests']}")
        require(n["requests"], f"{name}: {n}")
        most = want * n["requests"]
        require(0.9 * most <= n["unmaps"] <= most and
                n["maps"] <= n["guest-mapped_bytes"] // THRESHOLD,
                f"{name}: {n}")
        require(n["guest-maps"] == n["maps"] and
                n["guest-unmaps"] == n["unmaps"], f"{name}: {n}")
        # A kick of the IOMMU's queue for all MAPs and one for the UNMAP. (What
        # one kick announces the broker may find in two batches, when it is
        # still looking.)
        require(n["kicks"] <= 2 * most, f"{name}: {n}")
    return "; ".join(lines)


@group.check("random writes of all sizes at once, read back", 120)
def verify(h, made):
    made.pop("data", None)
    load = "ioload -f /dev/vda -m verify"
    out = h.gx_ok(G, f"echo 16384 > {PARAMETER}; "
                  f"{load} -q 8 -b 262144 -t 2 -s 32 -c; "
                  f"echo {THRESHOLD} > {PARAMETER}; "
                  f"{load} -q 16 -b 65536 -t 2 -s 32; "
                  f"{load} -q 32 -b 4096 -t 1 -s 4", 110)
    require(out.count('"errors":0,') == 3 and
            out.count('"mismatches":0') == 3, out)
    s = stats(h)
    require(not s["iova_used"] and not s["lost"], f"{s}")
    audit(h, G)


@group.check("ext4 made, written, synced and read back", 240)
def write(h, made):
    with_data(h, made)
    data_right(h)
    s, c = stats(h), iommu(h, G)["counters"]
    require(s["copied"] and not s["failed"] and not s["lost"], f"{s}")
    require(not c["refused"] and not c["malformed"] and c["unmaps"], f"{c}")
    # The page cache's memory is in long pieces: one UNMAP for all of a request.
    require(s["mapped_bytes"] > 4 << 20 and s["unmaps"] <= s["batches"] and
            s["batches"] <= s["maps"] <= s["mapped"], f"{s}")
    dev = h.show(G)["devices"][0]
    require(not dev["counters"]["faults"] and
            not dev["counters"]["backend_faults"], f"{dev['counters']}")
    return f"{s['copied_bytes'] >> 10} KiB copied, " \
        f"{s['mapped_bytes'] >> 10} KiB mapped"


@group.check("what the backend can see of each buffer", 180)
def seen_by_backend(h, made):
    with_data(h, made)
    s = stats(h)
    name = h.gx_ok(G, f"ls {STATS}").strip()
    lines = []
    # First with a threshold that no buffer reaches: as without an IOMMU.
    for threshold, mode in ((0xffffffff, ""), (THRESHOLD, f"mixed={THRESHOLD}")):
        r = h.gx(G, f"echo {threshold} > {PARAMETER}; dmacheck device={name} "
                 f"base={s['base']} size={s['size']} {mode}", 60)
        require(r.rc == 0 and "WARN" not in r.out, f"[{r.rc}] {r.text[-700:]}")
        lines += re.findall(r"dma-check: ok .*", r.out)
    require(len(lines) == 15, f"{lines}")
    after = stats(h)
    require(after["used"] == s["used"] and not after["iova_used"] and
            after["fallbacks"] > s["fallbacks"], f"left behind: {after}")
    data_right(h)
    return f"{len(lines)} checks"


@group.check("idle: the driver domain reaches the pool and nothing else", 60)
def idle(h, _made):
    dev = h.show(G)["devices"][0]
    counts = []
    for window in dev["windows"]:
        out = h.gx_ok(B, f"hold count {h.domid(G)} {window['gref_base']} "
                      f"{window['gref_count']}", 60)
        counts.append(int(out.split()[0]))
    require(counts == [dev["windows"][0]["size"] >> 12, 0], f"{counts}")


# Not virtio_mmio: Linux 6.12 by itself does not survive it when one of its
# devices is a virtio-iommu.
@group.check("under I/O: not unloaded; unbound; unloaded; loaded, bound", 180)
def under_load(h, made):
    with_data(h, made)
    name = h.gx_ok(G, f"ls {STATS}").strip()
    out = h.gx_ok(G, f"unload-under-io {name} /dev/vda "
                  f"-m read -b 1048576 -c -q 4 -t 60 -s 32; ls {STATS}", 100)
    require(out.strip() == name, f"mapped when unbound: {out}")
    h.gx_ok(G, f"echo {THRESHOLD} > {PARAMETER}")
    data_right(h)


@group.check("guest reboots, data right", 200)
def reboots(h, made):
    with_data(h, made)
    old = h.domid(G)
    h.gx(G, "sync; (sleep 0.3; /sbin/reboot) </dev/null >/dev/null 2>&1 &")
    h.wait_again(G, old)
    h.gx_ok(G, "true", up=150)
    data_right(h)


@group.check("no warning in the guest's kernel log")
def quiet(h, _made):
    log = h.guest_log(G)
    require(not re.search(r"WARNING:|BUG:|Call trace", log),
            "the console has a warning")
