# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host itself, and a configuration without the key."""

import json
import os
import re

from vre2e.build import ROOT
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

group = Group("preflight")


@group.check("vrctl check finds this host fit")
def fit(h):
    r = h.sh("vrctl check")
    require(r.rc == 0, f"vrctl check ended with {r.rc}: {r.text[-400:]}")
    require("FAIL" not in r.out, r.out)
    data = json.loads(h.ok("vrctl check --json"))
    require(data, "empty JSON")


@group.check("vrctl check knows Xen's own advisories")
def advisories(h):
    found = json.loads(h.ok("vrctl check --json"))["findings"]
    said = {f["what"]: f for f in found if "XSA" in f["what"] or
            "advisories" in f["what"]}
    version = h.ok("xl info xen_version").strip()
    if int(re.match(r"4\.17\.(\d+)", version).group(1)) >= 7:
        require(all(f["level"] == "ok" for f in said.values()), f"{said}")
        return version
    require("XSA-500" in said and "XSA-506" in said, f"{version}: {said}")
    require(all(f["level"] == "warn" and "4.17.7" in f["value"] and
                "changelog" in f["remedy"] for f in said.values()), f"{said}")
    return f"{version}: {', '.join(sorted(said))}"


@group.check("docs/verbs.md has every verb of this xl")
def verbs(h):
    with open(os.path.join(ROOT, "docs", "verbs.md"), encoding="utf-8") as f:
        rows = [l.split("|")[1] for l in f if l.startswith("| `")]
    known = set(re.findall(r"`([a-z0-9-]+)`", " ".join(rows)))
    said = set(re.findall(r"^ ([a-z][a-z0-9-]+) ", h.ok("xl help"), re.M))
    require(len(said) > 60, f"xl help has changed: {sorted(said)}")
    require(said <= known, f"not in the table: {sorted(said - known)}")
    return f"{len(said)} of {len(known)}"


@group.check("without the brokers' user: refused before a domain exists")
def no_user(h):
    h.put("b1.cfg", driver_cfg("b1"))
    cfg = h.put("nouser.cfg", guest_cfg("nouser", [device()]))
    h.ok("sed -i.kept /^virtio-restricted:/d /etc/passwd")
    try:
        r = h.create(cfg)
        domains = h.domains()
        check = h.sh("vrctl check")
    finally:
        h.ok("mv /etc/passwd.kept /etc/passwd")
    for found in (r, check):
        require(found.rc != 0 and
                re.search("user virtio-restricted.*adduser --system",
                          found.text), f"[{found.rc}] {found.text[-400:]}")
    require(not domains, f"there is {domains}")
    return r.line()


@group.check("vrctl list and show without any guest")
def empty(h):
    h.ok("vrctl list")
    json.loads(h.ok("vrctl list --json"))
    r = h.sh("vrctl show nosuchguest")
    require(r.rc != 0 and "nosuchguest" in r.text,
            f"[{r.rc}] {r.line()}")


@group.check("launcher found by sudo-like calls with a clean environment")
def clean_env(h):
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    cfg = h.put("clean.cfg", guest_cfg("clean", ["id=d"]))
    r = h.sh(f"env -i PATH={path} xl create {cfg}")
    require(r.rc != 0 and "virtio_restricted[0]" in r.text, r.text[-300:])
    r = h.sh(f"env -i PATH={path} sh -c 'xl info'")
    require(r.rc == 0 and "xen_version" in r.out, r.text[-300:])


@group.check("a configuration without the key: same guest, no cost", 150)
def without_key(h):
    h.put("plain.cfg", guest_cfg("plain", None))
    stock = "/usr/lib/xen-4.17/bin/xl"
    out = h.ok(f"sh /host/bin/create-times.sh /host/cfg/plain.cfg 4 xl {stock}",
               140)
    times = {"bin": [], ".": []}
    for name, begin, end in re.findall(r"(\S+) ([\d.]+) ([\d.]+)", out):
        times[name].append(float(end) - float(begin))
    with_launcher, without = (sorted(times[k])[len(times[k]) // 2 - 1]
                              for k in (".", "bin"))
    return (f"xl create takes {with_launcher:.2f} s with the launcher, "
            f"{without:.2f} s without")


@group.check("xl create -n of a restricted guest makes nothing")
def dry_run(h):
    h.put("b1.cfg", driver_cfg("b1"))
    cfg = h.put("dry.cfg", guest_cfg("dry", [device()]))
    r = h.sh(f"xl create -n {cfg}")
    require(r.rc == 0, r.text[-300:])
    require(not h.domains(), "a domain exists")
    cfg = h.put("dry.cfg", guest_cfg("dry", [device(size="9M1")]))
    r = h.sh(f"xl create -n {cfg}")
    require(r.rc != 0 and "virtio_restricted[0]" in r.text,
            "a wrong device string passes -n")
