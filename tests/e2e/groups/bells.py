# SPDX-License-Identifier: LGPL-2.1-or-later
"""Queues with bells of their own: the guest module's doorbells, in all modes.
Debian's kernel, one boot."""

import re

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg, mixed
from vre2e.report import Group, require

from groups.dynamic import audit
from groups.module import DEVICES, DRIVER, MODULE

G, B = "gb", "gb-b1"
NAMES = ("static", "dynamic", "mixed")
QUEUES = 2
STATS = "/sys/kernel/debug/virtio_restricted_doorbells"
PARAMETER = "/sys/module/virtio_restricted/parameters/doorbells"
# So often is a device process killed, at random times and at random which one.
KILLS = 12
KILL = ("set -- $(grep -sl vr-worker /proc/[0-9]*/comm | cut -d/ -f3); "
        "r=$(od -An -N2 -tu2 /dev/urandom); "
        "if [ $1 ]; then shift $((r % $#)); kill -9 $1; fi; "
        "usleep $((r * 20))")

# By serial number, for all that follows in a guest.
DISKS = ("for d in /sys/block/vd?; do echo $(cat $d/serial)=/dev/${d##*/}; "
         "done > /tmp/disks; . /tmp/disks; ")

group = Group("bells")


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb", "/dev/vdc"),
                               memory=144, kind="pvh"))
    text = guest_cfg(G, [
        device(serial="static", queues=QUEUES),
        dynamic(id="disk1", target="/dev/xvdc", serial="dynamic"),
        mixed(id="disk2", target="/dev/xvdd", serial="mixed")],
        **{**arch.now.module, "ramdisk": arch.now.mixed})
    r = h.create(h.put(f"{G}.cfg", text.replace("vcpus = 1",
                                                f"vcpus = {QUEUES}")), 150)
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")
    h.gx_ok(G, DISKS, up=250)
    return {}


@group.on_teardown
def teardown(h):
    h.sh(f"xl unpause {B}")
    h.end(G, B)
    h.end("gs", "gs-b1")


def bells(h):
    """The guest's own account: of each queue a row of words, by device and
    number."""
    rows = [l.split() for l in h.gx_ok(G, f"cat {STATS}").splitlines()]
    return {(r[0], int(r[2])): dict(zip(r[3::2], map(int, r[4::2])))
            for r in rows}


def devices(h):
    """What vrctl shows, by the device's serial number."""
    return dict(zip(NAMES, h.show(G)["devices"]))


def rings(dev):
    """A device's queues in use."""
    return [r for r in dev["rings"] if r["enabled"]]


def load(h, name, args, limit=60):
    """A load of one disk; how many requests. Nothing may be lost or wrong."""
    out = h.gx_ok(G, f". /tmp/disks; ioload -f ${name} {args}", limit)
    require('"errors":0,' in out and '"mismatches":0' in out, out)
    return int(re.search(r'"ios":(\d+)', out)[1])


def exits(dev):
    """What a device has cost dom0. (It asks every few seconds whether the
    backend is there, which is the rest of kick_events.)"""
    c = dev["counters"]
    return {k: c[k] for k in ("mmio_reads", "mmio_writes", "kicks",
                              "interrupts", "interrupt_events")}


def all_direct(h):
    """Every queue has its own bell, and guest and toolstack mean the same."""
    ports = sorted(b["port"] for b in bells(h).values())
    shown = devices(h)
    seen = sorted(r["event_channel"] for d in shown.values() for r in rings(d))
    require(ports == seen and len(set(ports)) == len(ports),
            f"{ports} in the guest, {seen} in dom0")
    require(all(r["bell"] == "direct" for d in shown.values()
                for r in rings(d)), f"{shown}")
    return shown


@group.check("each queue has its own, and guest and toolstack agree")
def described(h, _made):
    shown = all_direct(h)
    require([len(rings(d)) for d in shown.values()] == [QUEUES, 1, 1],
            f"{[len(rings(d)) for d in shown.values()]} queues")
    log = h.gx_ok(G, "dmesg | grep 'doorbells itself'")
    require(len(log.splitlines()) == len(NAMES) and
            f"domain {h.domid(B)}'s" in log, log)
    text = h.ok(f"vrctl show {G}")
    require(text.count("bell direct") == QUEUES + 2, text)
    audit(h, G)


@group.check("requests in all modes leave dom0 alone", 200)
def no_exits(h, _made):
    lines = []
    for name in NAMES:
        for args in ("-m randread -b 4096 -q 1 -t 1",
                     "-m verify -b 4096 -q 32 -t 1 -s 8"):
            # The IOMMU is dom0's, and so are MAPs of what is mapped.
            before = devices(h)[name]
            ios = load(h, name, args)

            def counted(name=name, before=before, ios=ios):
                now = devices(h)[name]
                n = now["counters"]["requests"] - before["counters"]["requests"]
                return now if n >= ios else None
            after = h.wait("requests are counted", counted)
            b, a = before["counters"], after["counters"]
            require(exits(after) == exits(before),
                    f"{name}: {exits(before)}, then {exits(after)}")
            require(a["backend_kicks"] > b["backend_kicks"] and
                    a["backend_interrupts"] > b["backend_interrupts"], f"{a}")
            # A driver that behaves is always heard.
            require(a["backend_throttles"] == 0, f"{a}")
        lines.append(f"{name}: {ios} deep")
    return "; ".join(lines)


@group.check("each CPU's requests take its own queue, and its own interrupt", 120)
def spread(h, _made):
    cpus = int(h.gx_ok(G, "nproc"))
    require(cpus == QUEUES, f"{cpus} CPUs")
    before = bells(h)
    h.gx_ok(G, ". /tmp/disks; for c in $(seq 0 $(($(nproc) - 1))); do "
            "taskset -c $c ioload -f $static -m randread -b 4096 -q 4 -t 1 & "
            "done; wait", 60)
    after = bells(h)
    static = [k for k in after if sum(k[0] == o[0] for o in after) == QUEUES]
    for k in static:
        require(after[k]["kicks"] > before[k]["kicks"] and
                after[k]["interrupts"] > before[k]["interrupts"],
                f"queue {k[1]}: {before[k]}, then {after[k]}")
        # Linux leaves an event channel at the CPU that the module names.
        on = h.gx_ok(G, f"cat /proc/irq/{after[k]['irq']}/"
                     "effective_affinity_list").strip()
        require(on == str(k[1]), f"queue {k[1]} interrupts CPU {on}")


@group.check("device processes killed under load, again and again", 400)
def killed(h, _made):
    before, ports = devices(h), {k: b["port"] for k, b in bells(h).items()}
    h.gx_ok(G, "dmesg -c > /dev/null; . /tmp/disks; rm -f /tmp/out.*; "
            "for n in static dynamic mixed; do eval d=\\$$n; "
            "ioload -f $d -m verify -b 4096 -q 32 -t 300 -s 2 "
            "> /tmp/out.$n 2>&1 & echo $! >> /tmp/out.pids; done")
    h.gx_ok(B, f"for i in $(seq {KILLS}); do {KILL}; done", 120)
    h.gx_ok(G, "kill $(cat /tmp/out.pids); while [ $(cat /tmp/out.static "
            "/tmp/out.dynamic /tmp/out.mixed | grep -c mismatches) != 3 ]; do "
            "sleep 0.5; done", 120)
    out = h.gx_ok(G, "cat /tmp/out.static /tmp/out.dynamic /tmp/out.mixed")
    require(out.count('"errors":0,') == 3 and
            out.count('"mismatches":0') == 3, out)
    # The guest has not noticed.
    require(h.gx_ok(G, "dmesg").strip() == "", h.gx_ok(G, "dmesg"))
    require({k: b["port"] for k, b in bells(h).items()} == ports,
            f"{ports}, then {bells(h)}")

    def restarted():
        now = devices(h)
        n = sum(now[k]["counters"]["restarts"] -
                before[k]["counters"]["restarts"] for k in NAMES)
        return (now, n) if n >= KILLS // 2 else None
    now, n = h.wait("restarts are counted", restarted)
    require(all(exits(now[k])["mmio_writes"] == exits(before[k])["mmio_writes"]
                for k in NAMES), "the guest has written registers")
    audit(h, G)
    resumed = sum(now[k]["counters"]["resumed"] for k in NAMES)
    return f"{n} restarts, {resumed} requests begun again"


@group.check("drivers unbound and bound again: new event channels, none is left",
             200)
def rebind(h, _made):
    names = sorted({k[0] for k in bells(h)})
    rows = len(bells(h))
    for _ in range(3):
        out = h.gx_ok(G, f"cd {DRIVER}; for d in {' '.join(names)}; do "
                      f"echo $d > unbind || exit 1; done; wc -l < {STATS}; "
                      "grep -c doorbell /proc/interrupts; "
                      f"for d in {' '.join(names)}; do echo $d > bind || "
                      f"exit 2; done; wc -l < {STATS}; " + DISKS, 100)
        require(out.split()[0] == "0" and out.split()[2] == str(rows), out)
    for name in NAMES:
        load(h, name, "-m verify -b 4096 -q 8 -t 1 -s 2")
    all_direct(h)
    audit(h, G)


@group.check("turned off in the guest: trapped; on: direct", 200)
def switched(h, _made):
    names = sorted({k[0] for k in bells(h)})
    again = (f"cd {DRIVER}; for d in {' '.join(names)}; do echo $d > unbind && "
             f"echo $d > bind || exit 1; done; {DISKS}")
    h.gx_ok(G, f"echo N > {PARAMETER}; {again}", 100)
    require(not bells(h), f"{bells(h)}")
    for name, dev in devices(h).items():
        require(all(r["bell"] == "trapped" and not r["event_channel"]
                    for r in rings(dev)), f"{dev['rings']}")
        load(h, name, "-m verify -b 4096 -q 8 -t 1 -s 2")
        require(exits(devices(h)[name])["kicks"] > exits(dev)["kicks"],
                f"{name}: no kicks")
    h.gx_ok(G, f"echo Y > {PARAMETER}; {again}", 100)
    all_direct(h)


@group.check("driver domain paused under load: said, and goes on", 200)
def paused(h, _made):
    h.gx_ok(G, ". /tmp/disks; ioload -f $static -m verify -b 4096 -q 32 -t 60 "
            "-s 2 > /tmp/out 2>&1 & echo $! > /tmp/out.pid")
    h.ok(f"xl pause {B}")
    h.wait("silence is noticed", lambda:
           devices(h)["static"]["failed_text"] != "", 40)
    text = devices(h)["static"]["failed_text"]
    h.ok(f"xl unpause {B}")
    h.wait("silence is over", lambda:
           devices(h)["static"]["failed_text"] == "", 40)
    h.gx_ok(G, "kill $(cat /tmp/out.pid); until grep -q mismatches /tmp/out; "
            "do sleep 0.5; done", 120)
    out = h.gx_ok(G, "cat /tmp/out")
    require('"errors":0,' in out and '"mismatches":0' in out, out)
    return text


@group.check("the module goes and comes again, with no device bound", 200)
def unloaded(h, _made):
    names = " ".join(sorted({k[0] for k in bells(h)}))
    require(h.gx(G, "rmmod virtio_restricted").rc != 0, "it was in use")
    # virtio_mmio stays: Linux 6.12's virtio-iommu driver cannot be taken away
    # from under devices.
    h.gx_ok(G, f"cd {DRIVER}; for d in {names}; do echo $d > unbind || exit 1; "
            "done; rmmod virtio_restricted || exit 2; "
            f"[ ! -e {STATS} ] || exit 3; insmod {MODULE} || exit 4; "
            f"for d in {names}; do echo $d > bind || exit 5; done; {DISKS}", 100)
    for name in NAMES:
        load(h, name, "-m verify -b 4096 -q 8 -t 1 -s 2")
    all_direct(h)
    audit(h, G)


@group.check("no warning in the guest's kernel log")
def quiet(h, _made):
    log = h.guest_log(G)
    require(not re.search(r"WARNING:|BUG:|Call trace", log),
            "the console has a warning")


@group.check("driver domain destroyed under load: the devices fail, all goes",
             200)
def destroyed(h, _made):
    h.gx_ok(G, ". /tmp/disks; ioload -f $static -m randread -b 4096 -q 32 "
            "-t 60 > /tmp/out 2>&1 &")
    h.ok(f"xl destroy {B}", 60)
    h.wait("the loss is known", lambda:
           devices(h)["static"]["failed_text"] != "", 30)
    h.gx_ok(G, "true")
    h.ok(f"xl destroy {G}", 90)
    h.leftovers(30)


@group.check("a kernel with pools of its own, four queues: direct as well", 240,
             arches=("arm64",))
def own_pools(h, _made):
    text = guest_cfg("gs", [device(serial="static", queues=4)])
    r = h.create(h.put("gs.cfg", text.replace("vcpus = 1", "vcpus = 4")), 150)
    require(r.rc == 0, r.text[-400:])
    out = h.gx_ok("gs", "insmod /modules/virtio_restricted.ko.later; "
                  f"cd {DRIVER}; d=$(ls -d {DEVICES}); echo $d > unbind && "
                  "echo $d > bind; dmesg | grep restrict; for c in 0 1 2 3; do "
                  "taskset -c $c ioload -f /dev/vda -m randread -b 4096 -q 4 "
                  "-t 1 & done; wait; ioload -f /dev/vda -m verify -q 32 -t 1 "
                  f"-s 4; cat {STATS}", 120)
    require("the kernel restricts it to its pool itself" in out and
            out.count('"errors":0,') == 5 and '"mismatches":0' in out, out)
    rows = re.findall(r"queue \d domain \d+ port \d+ irq \d+ kicks (\d+) "
                      r"interrupts (\d+)", out)
    require(len(rows) == 4 and all(int(k) and int(i) for k, i in rows), out)
    require([q["bell"] for q in rings(h.show("gs")["devices"][0])] ==
            ["direct"] * 4, "not direct")
    audit(h, "gs")
    h.end("gs", "gs-b1")
    h.leftovers(20)
