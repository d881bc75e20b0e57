# SPDX-License-Identifier: LGPL-2.1-or-later
"""What shares a page with a small buffer, and who can read it: a hostile
driver domain holds a request of 512 bytes and looks for the rest of its page in
all that it can reach."""

import json
import re
import secrets

from vre2e import arch
from vre2e.report import require

OFFSET = (1 << 20) + 3 * 512  # on the disk: no page's start
# Processes of the backend that serve devices.
WORKERS = "$(ps | awk '/vr-worker/ && !/awk/ {print $1}')"


def reachable(h, guest, frame):
    """Is the frame granted to a driver domain, by the guest's table?"""
    r = h.sh(f"vrctl audit --json --pause {guest}")
    require(r.rc == 0, f"audit: [{r.rc}] {r.text[-400:]}")
    return any(area["first_gfn"] <= frame <= area["last_gfn"]
               for domain in json.loads(r.out)["domains"] if domain["driver"]
               for area in domain["ranges"])


def search(h, guest, dev, memory, begin):
    """A request is held while driver domain and dom0 look at what they can
    have. dev: the device, as vrctl shows it; memory: the guest's, in MiB;
    begin(SECRET, PAYLOAD): the guest's command. What they found, whether the
    audit lists the page, and the two."""
    driver, secret, payload = (dev["driver"], secrets.token_hex(32),
                               secrets.token_hex(32))
    refs = h.show(guest)["grant_frames"] * 512
    # 32 random bytes each: they were nowhere before.
    args = (f"-g {h.domid(guest)} -s {secret} -p {payload} -r {refs} "
            f"-m {arch.now.ram}:{memory * 256}")
    windows = " ".join(f"-w {w['gref_base']}:{w['gref_count']}"
                       for w in dev["windows"])
    # No answer comes before the backend goes on, however long the look takes.
    h.gx_ok(driver, f"kill -STOP {WORKERS}")
    try:
        h.gx_ok(guest, begin(secret, payload) +
                " >/tmp/neighbour 2>&1 </dev/null &")
        backend = json.loads(h.gx_ok(
            driver, f"seek -t 20 {args} {windows} 2>/tmp/seek.err", 90))
        dom0 = json.loads(h.ok(f"seek {args} 2>/tmp/seek.err", 90))
        frame = int(re.search(r"frame (\w+)", h.gx_ok(
            guest, "cat /tmp/neighbour")).group(1), 16)
        listed = reachable(h, guest, frame)
    finally:
        h.gx_ok(driver, f"kill -CONT {WORKERS}")
    out = h.gx_ok(guest, "while pidof neighbour >/dev/null; do sleep 0.1; "
                  "done; cat /tmp/neighbour", 40)
    require("written, page unchanged" in out, out)
    return {"backend": backend, "dom0": dom0, "listed": listed,
            "refs": refs, "frames": memory * 256}, secret, payload


def look(h, guest, serial, memory):
    """search() by a request of the disk with this serial number."""
    dev = next(d for d in h.show(guest)["devices"] if d.get("serial") == serial)
    disk = h.gx_ok(guest, f"grep -lx {serial} /sys/block/vd*/serial"
                   ).split("/")[3]
    found, secret, payload = search(
        h, guest, dev, memory, lambda secret, payload:
        f"neighbour /dev/{disk} {OFFSET} {secret} {payload}")
    disk = h.gx_ok(dev["driver"], f"dd if={dev['target']} bs=512 count=3 "
                   f"skip={OFFSET // 512 - 1} 2>/dev/null | "
                   "od -An -v -tx1 | tr -d ' \\n'").strip()
    require(disk[1024:2048] == payload * 16, f"on the disk: {disk[1024:]}")
    require(secret not in disk, "the secret is on the disk")
    return found


def judge(found, exposed):
    """Fail unless the secret was found just where it can be. exposed: whether
    the device maps whole pages."""
    refs, frames = found["backend"]["refs"], found["backend"]["frames"]
    control = found["dom0"]["frames"]
    require(refs["tried"] == found["refs"] and
            frames["tried"] == control["tried"] == found["frames"],
            f"not all was tried: {found}")
    # The page is there, and whoever may map it sees both.
    require(control["both"] >= 1 and control["read"] > 1000,
            f"dom0 does not find the page: {found}")
    require(frames["read"] == 0, f"Xen let a frame be mapped: {found}")
    require(refs["payload"] >= 1, f"the request is not there: {found}")
    if exposed:
        require(refs["both"] == 1 and found["listed"],
                f"the page of a mapped buffer cannot be seen: {found}")
    else:
        require(refs["secret"] == refs["both"] == 0 and not found["listed"],
                f"the secret can be seen: {found}")
    return (f"{refs['read']} of {refs['tried']} references could be read, "
            f"{frames['read']} of {frames['tried']} frames mapped: the payload "
            f"was on {refs['payload']} of these pages, the secret on "
            f"{refs['secret']} (dom0: on {control['secret']})")
