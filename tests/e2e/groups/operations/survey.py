# SPDX-License-Identifier: LGPL-2.1-or-later
"""vrctl survey: what it counts of a disk under different loads, what it
recommends, and whether a pool of the recommended size does."""

import json

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

from ..module import STATS

group = Group("operations/survey", sweep=True)

G, B = "sv", "sv-b1"
MIB = 1 << 20
# Many long requests at a time: what a pool has to be large for.
LONG = "-m read -b 1048576 -q 8 -s 48"
# docs/bench: a dynamic device has at most so much of a static one's rate.
DYNAMIC = 0.41


def start(h, *sizes):
    """The guest, with a static disk for each size of a pool."""
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb"), memory=128))
    text = guest_cfg(G, [device(id=f"disk{i}", target=f"/dev/xvd{'bc'[i]}",
                                size=size, serial=f"serial{i}")
                         for i, size in enumerate(sizes)], **arch.now.module)
    r = h.create(h.put(f"{G}.cfg", text), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, "true", up=150)


@group.on_setup
def setup(h):
    start(h, "24M")
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)


def survey(h, seconds, words=""):
    """Of the only device, what was counted and what is recommended."""
    text = h.ok(f"vrctl survey --json --seconds {seconds} {words} {G} "
                "2> /tmp/survey.err", seconds + 40)
    dev = json.loads(text)["devices"][0]
    require(dev["counted"] and dev["requests"] and dev["advice"], text[:600])
    return dev


def under(h, load, seconds=2, words=""):
    """The same, while the guest does something over and over."""
    h.gx_ok(G, "rm -f /tmp/enough; (while [ ! -e /tmp/enough ]; do "
            f"{load} || exit 1; done; touch /tmp/ended) > /tmp/load 2>&1 "
            "< /dev/null &")
    try:
        return survey(h, seconds, words)
    finally:
        h.gx_ok(G, "touch /tmp/enough; for i in $(seq 600); do "
                "[ -e /tmp/ended ] && rm /tmp/ended && exit 0; sleep 0.1; "
                "done; cat /tmp/load; exit 1", 90)


def of(dev, size):
    """The buffers of at least this size, and less than twice."""
    return next(s for s in dev["sizes"] if s["from"] == size)


def static_is_best(dev):
    """What the tables of docs/bench show at all of their points."""
    a = dev["advice"]
    require(a["mode"] == "static" and not a["aperture"], f"{a}")
    require(a["copied_ns"] < DYNAMIC * a["mapped_ns"], f"{a}")
    return (f"static, {a['size'] >> 10} KiB; mapped "
            f"{a['mapped_ns'] / a['copied_ns']:.0f} times as dear, "
            f"{a['exposed']:.1f} bytes exposed for each")


def mappings(h):
    """What the guest's module has mapped of the disk, so far."""
    return sum(int(l.split()[1]) for l in
               h.gx_ok(G, f"cat {STATS}/*").splitlines()
               if l.startswith("mappings "))


def requests(h):
    """What the backend counts without a survey, too."""
    return h.show(G)["devices"][0]["counters"]["requests"]


@group.check("what is counted is what the guest did, to the unit, and what a "
             "recorder in the guest has seen", 120)
def exact(h, _made):
    h.gx_ok(G, "mount -t tracefs tracing /sys/kernel/tracing")
    h.ok(f"vrctl survey --json --seconds 3600 {G} > /tmp/survey.json "
         "2> /tmp/survey.err < /dev/null & echo $! > /tmp/survey.pid; "
         "for i in $(seq 400); do grep -q counting /tmp/survey.err && exit 0; "
         "sleep 0.1; done; exit 1", 70)
    asked = requests(h)
    before = mappings(h)
    load = json.loads(h.gx_ok(
        G, "d=$(dirname $(readlink -f /sys/block/vda/device)); record -b 16384 "
        "-d ${d##*/} -o /tmp/record ioload -f /dev/vda -m randread -b 4096 -q 4 "
        "-t 1 -s 16 -d", 60))
    mapped = mappings(h) - before
    recorded = int(h.gx_ok(G, "grep -c ,map, /tmp/record"))
    # Both kinds of figures come at the same time.
    h.wait("the backend's figures", lambda:
           requests(h) >= asked + load["ios"], 60)
    h.ok("kill -INT $(cat /tmp/survey.pid); for i in $(seq 400); do "
         "grep -q '^}' /tmp/survey.json && exit 0; sleep 0.1; done; exit 1", 60)
    dev = json.loads(h.ok("cat /tmp/survey.json"))["devices"][0]
    ios = load["ios"]
    require(dev["requests"] == ios, f"{load}, {dev}")
    # The first 4096 buffers are looked at, and some of those behind them.
    looked = dev["looked"]
    require(looked == ios or 4096 / 3 < looked < ios, f"{load}, {dev}")
    # Header, data and status; the module maps the table of these as well.
    require(of(dev, 0)["buffers"] == 2 * looked and
            of(dev, 4096)["buffers"] == looked and
            of(dev, 4096)["whole"] == 4096 * looked, f"{load}, {dev['sizes']}")
    require(mapped == recorded == 4 * ios,
            f"{mapped} mappings, {recorded} recorded, of {ios} requests")
    require(dev["in_bytes"] == 4097 * ios and dev["out_bytes"] == 16 * ios,
            f"{dev}")
    require(1 <= dev["most_requests"] <= 4, f"{dev}")
    require(sum(dev["time"]) == ios, f"{dev['time']}")
    return f"{ios} requests, {recorded} mappings"


@group.check("4 KiB random: static, as the tables say", 120)
def random(h, _made):
    dev = under(h, "ioload -f /dev/vda -m randread -b 4096 -q 16 -t 2 -s 16 -d")
    require(dev["most_pages"] >= 8, f"{dev}")
    return static_is_best(dev)


@group.check("1 MiB sequential: static, as the tables say; mixed or dynamic "
             "where mapping costs next to nothing", 200)
def sequential(h, made):
    dev = under(h, f"ioload -f /dev/vda {LONG} -t 2 -d", 3)
    require(dev["most_bytes"] > 6 * MIB, f"{dev}")
    made["size"] = dev["advice"]["size"]
    said = static_is_best(dev)
    other = under(h, f"ioload -f /dev/vda {LONG} -t 2 -c", 2,
                  "--model 100 1000 10")
    require(other["advice"]["mode"] != "static" and
            other["advice"]["mapped_ns"] < other["advice"]["copied_ns"] and
            other["advice"]["aperture"] >= MIB, f"{other['advice']}")
    return said


@group.check("a file system: static, as the tables say", 240)
def files(h, _made):
    dev = under(h, "datafs write /dev/vda 4 5 16M -b 4096")
    require(len([s for s in dev["sizes"] if s["buffers"]]) > 1, f"{dev}")
    return static_is_best(dev)


@group.check("nobody counts once a survey has ended, and its words are those "
             "of a person", 90)
def ended(h, _made):
    text = h.ok(f"vrctl survey --seconds 1 {G} disk0", 60)
    require("no request was seen" in text, text)
    h.gx_ok(G, "ioload -f /dev/vda -m randread -b 4096 -q 4 -t 1 -s 16", 60)
    r = h.sh(f"vrctl survey {G} disk7", 60)
    require(r.rc == 1 and 'no restricted device "disk7"' in r.err, r.text)
    return text.splitlines()[0]


@group.check("with a pool of the recommended size no buffer waits for room, with "
             "half of it some do", 400)
def pool(h, made):
    if "size" not in made:
        made["size"] = under(h, f"ioload -f /dev/vda {LONG} -t 2 -d",
                             3)["advice"]["size"]
    h.end(G, B)
    sizes = made["size"], made["size"] // 2
    start(h, *(f"{size >> 10}K" for size in sizes))
    failed = {}
    for serial in ("serial0", "serial1"):
        out = h.gx_ok(G, f"d=$(diskof {serial}); ioload -f $d {LONG} -t 3 -d",
                      120)
        require(json.loads(out)["errors"] == 0, out)
    text = h.gx_ok(G, f"cat {STATS}/*")
    size = 0
    for name, value in (l.split() for l in text.splitlines()):
        if name == "size":
            size = int(value)
        elif name == "failed":
            failed[size] = int(value)
    require(failed[sizes[0]] == 0 and failed[sizes[1]] > 0, text)
    return (f"{sizes[0] >> 10} KiB: 0, {sizes[1] >> 10} KiB: "
            f"{failed[sizes[1]]} times")
