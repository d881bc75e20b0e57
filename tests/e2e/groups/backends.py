# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backends that die, keep silent or talk rubbish during xl create."""

import time

from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

group = Group("backends")


def refused(h, mode, timeout=8, bound=60, disk="/dev/vda"):
    """xl create with such a backend: an error in time, nothing left."""
    h.put(f"bb-{mode}.cfg", driver_cfg(f"bb-{mode}", (disk,),
                                       extra=f"vrtest={mode}"))
    cfg = h.put(f"bg-{mode}.cfg", guest_cfg(f"bg-{mode}", [
        device(driver=f"/host/cfg/bb-{mode}.cfg", timeout=timeout)]))
    begin = time.monotonic()
    r = h.create(cfg, bound + 30)
    spent = time.monotonic() - begin
    require(r.rc != 0, "xl create succeeded")
    require(spent < bound, f"took {spent:.0f} s")
    line = next((l for l in r.text.splitlines() if "virtio_restricted" in l),
                "")
    require(line, f"no line says why: {r.text[-400:]}")
    h.leftovers(15)
    return f"{spent:.0f} s: {line.strip()[:160]}"


@group.check("driver domain panics before the backend is ready", 120)
def dies(h):
    return refused(h, "die", timeout=15)


@group.check("backend never answers", 120)
def never(h):
    note = refused(h, "never", timeout=6)
    require("disk0" in note or "[0]" in note or "bb-never" in note, note)
    return note


@group.check("backend says Connected and never touches the control page", 120)
def silent(h):
    return refused(h, "connected", timeout=6)


@group.check("backend writes garbage into xenstore and control page", 120)
def garbage(h):
    note = refused(h, "garbage", timeout=6)
    require(all(0x20 <= ord(c) < 0x7f for c in note), "unprintable text")
    return note


@group.check("target is missing in the driver domain", 120)
def target(h):
    h.put("b1.cfg", driver_cfg("b1"))
    cfg = h.put("mt.cfg", guest_cfg("mt", [
        device(target="/dev/nosuch", timeout=20)]))
    r = h.create(cfg, 100)
    require(r.rc != 0, "xl create succeeded")
    require("/dev/nosuch" in r.text, f"the target is not named: "
            f"{r.text[-400:]}")
    h.leftovers(15)


@group.check("driver domain without a backend program (backend=)", 120)
def nobody(h):
    # a plain guest as a driver domain: nobody there will ever answer
    cfg = h.put("nb.cfg", guest_cfg("nb", None))
    require(h.create(cfg).rc == 0, "the plain domain cannot be created")
    cfg = h.put("ng.cfg", guest_cfg("ng", [
        device(driver=None, backend="nb", timeout=5)]))
    begin = time.monotonic()
    r = h.create(cfg, 100)
    spent = time.monotonic() - begin
    require(r.rc != 0 and "virtio_restricted" in r.text, r.text[-300:])
    h.leftovers(10, ["nb"])
    h.ok("xl destroy nb")
    return f"{spent:.0f} s: {r.line()[:160]}"


@group.check("backends of a static and a dynamic device flood: broker and "
             "operator live", 180)
def flood(h):
    h.put("fb.cfg", driver_cfg("fb", extra="vrtest=flood"))
    cfg = h.put("fg.cfg", guest_cfg("fg", [
        device(driver="/host/cfg/fb.cfg", timeout=8),
        dynamic(id="disk1", driver="/host/cfg/fb.cfg", target="/dev/xvdc",
                timeout=8)]))
    r = h.create(cfg, 100)
    if r.rc == 0:
        # The disk never answers, so a guest that boots may wait for it for
        # ever: such a backend can deny its own service, and nothing else.
        time.sleep(3)
        shown = h.show("fg")
        require(shown["broker"], "the broker is gone")
        begin = time.monotonic()
        h.ok("xl destroy fg", 60)
        require(time.monotonic() - begin < 30, "xl destroy took too long")
    h.leftovers(15)
    return "accepted, then destroyed" if r.rc == 0 else f"refused: {r.line()}"
