# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulated host as the checks see it: dom0's shell, guests, configs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time

from . import arch, build
from .build import HOST, ROOT
from .report import Fail, require, say

RELATIVE = "/host/cfg"
LOOK = 5  # seconds to see whether QEMU does anything
TIMED_OUT = 124
HOST_GONE = 125


class HostGone(Exception):
    """The emulated host ended or does not answer any more."""


class HostFault(BaseException):
    """The emulator is at fault, no check, and the machine is not to be used any
    longer. Two such faults are known, each seen a few times in a day of runs:
    all processors wait, and no timer ends that, since an interrupt was lost; and
    a guest's processor is reset by a triple fault (x86, where the emulator has
    delivered an interrupt to a guest that had them off)."""


class Result:
    """What a command in dom0 left."""

    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err

    @property
    def text(self):
        """Output and errors together."""
        return self.out + self.err

    def line(self):
        """The last line that says something, for messages."""
        lines = [l for l in self.text.splitlines() if l.strip()]
        return lines[-1].strip()[:300] if lines else "(no output)"


class Host:
    """One instance of tests/host/host."""

    def __init__(self, name, share, attached=False):
        self.name, self.share, self.attached = name, share, attached
        self.deadline = None  # of the check that runs

    # -- life --

    def up(self, *args):
        """Boot; HostGone with the console's end when that fails."""
        r = subprocess.run([HOST, "up", "--arch", arch.now.name, "--name",
                            self.name, "--share", self.share, *args],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, check=False)
        if r.returncode:
            raise HostGone(f"the host did not boot:\n{r.stdout[-4000:]}")

    def down(self):
        """End it; keep its logs."""
        subprocess.run([HOST, "down", "--name", self.name],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False)

    def instance(self):
        """Where the instance's files are."""
        return os.path.join(ROOT, "out", "host", self.name)

    def keep_logs(self, label):
        """Copy consoles and logs to out/e2e/LABEL."""
        target = os.path.join(build.OUT, "log", label)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(os.path.join(self.instance(), "control", "log"),
                        target, ignore_dangling_symlinks=True)
        for name in ("console.log", "qemu.log"):
            path = os.path.join(self.instance(), name)
            if os.path.exists(path):
                shutil.copy(path, target)

    def install(self):
        """The product into dom0, as `make install` laid it out."""
        self.ok("cp -a /host/install/. / && ldconfig 2>/dev/null; "
                "mkdir -p /run/virtio-restricted; "
                "cp /host/bin/gx /host/bin/plant /host/bin/evtcount "
                "/host/bin/hostile /host/bin/seek /usr/local/bin/ && hash -r; "
                "command -v xl vrctl")

    # -- commands --

    def sh(self, command, limit=60):
        """Run a shell command in dom0, for so many seconds at the most."""
        limit *= arch.now.patience
        if self.deadline is not None:
            limit = max(1, min(limit, self.deadline - time.monotonic()))
        begin = time.monotonic()
        try:
            r = subprocess.run([HOST, "run", "--name", self.name, "-t",
                                f"{limit:.0f}", command],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               timeout=limit + 30, check=False)
        except subprocess.TimeoutExpired as error:
            raise self.gone(f"dom0 did not answer: {command[:100]}") from error
        result = Result(r.returncode, r.stdout.decode("utf-8", "replace"),
                        r.stderr.decode("utf-8", "replace"))
        with open(os.path.join(build.OUT, "commands.log"), "a",
                  encoding="utf-8") as log:
            log.write(f"$ {command}\n{result.text}[{result.rc}, "
                      f"{time.monotonic() - begin:.1f} s]\n")
        if result.rc == HOST_GONE and "host ended" in result.err:
            raise HostGone(result.line())
        if result.rc == TIMED_OUT and not self.answers():
            raise self.gone(f"dom0 hangs since: {command[:100]}")
        return result

    def gone(self, why):
        """What to raise when dom0 does not answer."""
        if self.stands_still():
            return HostFault(f"the emulated machine stands still: {why}")
        return HostGone(why)

    def used(self):
        """Seconds of a processor that QEMU has taken since it began; None when
        it has ended."""
        try:
            with open(os.path.join(self.instance(), "state.json"),
                      encoding="utf-8") as file:
                pid = json.load(file)["pid"]
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
        except (OSError, ValueError, KeyError):
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stands_still(self):
        """Whether QEMU does nothing, though it is there."""
        begin = self.used()
        time.sleep(LOOK)
        end = self.used()
        return None not in (begin, end) and end - begin < LOOK / 20

    def answers(self):
        """Whether dom0 still runs commands, and has a timer: an emulated
        machine can lose that for good and still be woken by a command."""
        r = subprocess.run([HOST, "run", "--name", self.name, "-t",
                            f"{20 * arch.now.patience:.0f}", "sleep 0.1"],
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
        return r.returncode == 0

    def ok(self, command, limit=60):
        """A command that has to succeed; its output."""
        r = self.sh(command, limit)
        require(r.rc == 0, f"`{command[:120]}` ended with {r.rc}: {r.line()}")
        return r.out

    def beside(self, commands, limit=60):
        """Commands in dom0 beside each other; all have to succeed."""
        self.ok("sh /host/bin/beside.sh " +
                " ".join(shlex.quote(c) for c in commands), limit)

    def put(self, name, text):
        """A file below /host/cfg; its path in dom0."""
        with open(os.path.join(self.share, "cfg", name), "w",
                  encoding="utf-8") as file:
            file.write(text)
        return f"{RELATIVE}/{name}"

    def gx(self, guest, command, limit=30, up=60):
        """A command in a guest, by its agent."""
        longer = arch.now.patience
        return self.sh(f"gx -t {limit * longer:.0f} -u {up * longer:.0f} "
                       f"{guest} {shlex.quote(command)}", limit + up + 25)

    def gx_ok(self, guest, command, limit=30, up=60):
        """A command in a guest that has to succeed; its output."""
        r = self.gx(guest, command, limit, up)
        require(r.rc == 0, f"in {guest}: `{command[:120]}` ended with {r.rc}: "
                f"{r.line()}")
        return r.out

    def consoles(self):
        """The logs of all consoles, by name: the host's own and each guest's."""
        folder = os.path.join(self.instance(), "log", "xen", "console")
        found = {"host": os.path.join(self.instance(), "console.log")}
        if os.path.isdir(folder):
            found.update((name, os.path.join(folder, name))
                         for name in sorted(os.listdir(folder)))
        return {name: path for name, path in found.items()
                if os.path.isfile(path)}

    def mark(self):
        """How long each console's log is, for said_since()."""
        return {name: os.path.getsize(path)
                for name, path in self.consoles().items()}

    def said_since(self, mark):
        """What each console has said since, by its name."""
        said = {}
        for name, path in self.consoles().items():
            with open(path, "rb") as file:
                # A log that is shorter now is another one.
                at = mark.get(name, 0)
                file.seek(at if at <= os.path.getsize(path) else 0)
                said[name] = file.read().decode("utf-8", "replace")
        return said

    def guest_log(self, name):
        """All that a guest's console said."""
        path = os.path.join(self.instance(), "log", "xen", "console",
                            f"guest-{name}.log")
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    # -- domains --

    def domains(self):
        """Names of all domains but dom0."""
        lines = self.ok("xl list").splitlines()[1:]
        return {l.split()[0]: int(l.split()[1]) for l in lines
                if l.split() and l.split()[0] != "Domain-0"}

    def domid(self, name):
        """The number of a domain; Fail when there is none."""
        r = self.sh(f"xl domid {name}")
        require(r.rc == 0, f"there is no domain {name}")
        return int(r.out)

    def create(self, cfg, limit=120, args=""):
        """xl create with its whole log kept; the result."""
        log = f"/host/tmp/xl-{os.path.basename(cfg)}.log"
        return self.sh(f"xl -vvv create {args} {cfg} > {log} 2>&1; rc=$?; "
                       f"grep -vE '^libxl: (debug|detail)|^xc: (detail|debug)"
                       f"|domainbuilder: detail|^xencall:|^Parsing config' {log}; exit $rc",
                       limit)

    def show(self, guest):
        """vrctl show --json, parsed."""
        text = self.ok(f"vrctl show --json {guest}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise Fail(f"vrctl show --json is not JSON: {error}") from error

    def counted(self, guest, number=0):
        """A device of a guest that has made requests, as vrctl shows it: when
        its backend has told its counters, which it does now and then."""
        def look():
            dev = self.show(guest)["devices"][number]
            return dev if dev["counters"]["requests"] else None
        return self.wait("requests are counted", look)

    def wait(self, what, condition, seconds=20, step=0.3):
        """Poll until the condition returns something true; that."""
        end = time.monotonic() + seconds * arch.now.patience
        while True:
            value = condition()
            if value:
                return value
            require(time.monotonic() < end, f"{what}: not within {seconds} s")
            # Each look takes dom0's processor from what is waited for.
            time.sleep(step * arch.now.patience)

    def end(self, guest, *drivers):
        """A guest, if there still is one, and its driver domains."""
        if self.sh(f"xl domid {guest}").rc == 0:
            self.sh(f"xl destroy {guest}", 90)
        self.wait_gone(guest, *drivers, seconds=20)

    def wait_gone(self, *names, seconds=30):
        """Wait until no domain of these names is left, zombies included."""
        left = " ".join(names)
        seconds = int(seconds * arch.now.patience)
        r = self.sh(f"for i in $(seq {seconds * 4}); do l=; for n in {left}; "
                    "do xl domid $n >/dev/null 2>&1 && l=1; done; "
                    "[ $l ] || exit 0; sleep 0.25; done; xl list; exit 1",
                    seconds + 30)
        require(r.rc == 0, f"still there after {seconds} s: {r.line()}")

    def wait_again(self, name, old, seconds=90):
        """Wait until a guest that reboots is another domain than OLD."""
        seconds = int(seconds * arch.now.patience)
        step = 0.5 * arch.now.patience
        r = self.sh(f"for i in $(seq {seconds / step:.0f}); do "
                    f"n=$(xl domid {name} 2>/dev/null) && [ $n != {old} ] && "
                    f"exit 0; sleep {step}; done; exit 1", 2 * seconds)
        require(r.rc == 0, f"{name} did not come again within {seconds} s")

    def leftovers(self, seconds=10, keep=()):
        """Fail when anything of ours is left in dom0, xenstore or Xen."""
        seconds = int(seconds * arch.now.patience)
        r = self.sh(f"sh /host/bin/leftovers.sh {seconds} {' '.join(keep)}",
                    seconds + 60)
        require(r.rc == 0, "left behind: " +
                "; ".join(r.text.strip().splitlines()[:6]))

    def sweep(self):
        """Destroy whatever a failed check left, so that others can go on."""
        self.sh("for d in $(xl list | awk 'NR>2{print $1}'); do "
                "timeout 40 xl destroy $d; done; sleep 0.5; "
                "timeout 60 vrctl cleanup --stale; "
                "for d in $(xl list | awk 'NR>2{print $2}'); do "
                "timeout 20 xl destroy $d; done; true", 150)


# -- configurations --

def device(text="", **keys):
    """A device string: keys over the usual ones; None leaves a key out."""
    values = {"id": "disk0", "type": "block", "size": "8M",
              "driver": f"{RELATIVE}/b1.cfg", "target": "/dev/xvdb"}
    if arch.now.patience > 1:
        values["timeout"] = f"{60 * arch.now.patience:.0f}"
    if arch.now.transport:
        values["transport"] = arch.now.transport
    values.update(keys)
    return ", ".join([f"{k}={v}" for k, v in values.items()
                      if v is not None] + ([text] if text else []))


def dynamic(**keys):
    """The string of a dynamic device."""
    return device(**{"mode": "dynamic", "aperture": "16M", "size": None,
                     **keys})


def mixed(**keys):
    """The string of a mixed device."""
    return device(**{"mode": "mixed", "size": "8M", "aperture": "16M", **keys})


def guest_cfg(name, devices=(), memory=96, extra="", kernel=None,
              ramdisk=None, lines=""):
    """An xl.cfg for a guest. devices: None leaves the key out. memory: MiB,
    more where the architecture's kernel needs more."""
    usual = arch.now.guest
    text = (f'name = "{name}"\ntype = "{usual["type"]}"\n'
            f'memory = {max(memory, usual["least"])}\nvcpus = 1\n'
            f'kernel = "/host/img/{kernel or usual["kernel"]}"\n'
            f'ramdisk = "/host/img/{ramdisk or usual["ramdisk"]}"\n'
            f'extra = "console=hvc0 loglevel=6 {usual["extra"]} {extra}"\n'
            + usual["lines"] +
            'on_poweroff = "destroy"\non_reboot = "restart"\n'
            'on_crash = "destroy"\n')
    if devices is not None:
        text += "virtio_restricted = [\n" + "".join(
            f'  "{d}",\n' for d in devices) + "]\n"
    return text + lines + "\n"


def driver_cfg(name, disks=("/dev/vda",), extra="", memory=96, lines="",
               kind=None, ramdisk="driver.cpio", kernel=None):
    """An xl.cfg for a driver domain; disks become xvdb, xvdc, ..."""
    usual = arch.now.driver
    items = ", ".join(f"'{d},raw,xvd{chr(ord('b') + i)},rw'"
                      for i, d in enumerate(disks))
    return (f'name = "{name}"\ntype = "{kind or usual["type"]}"\n'
            f'memory = {max(memory, usual["least"])}\nvcpus = 1\n'
            f'kernel = "/host/img/{kernel or usual["kernel"]}"\n'
            f'ramdisk = "/host/img/{ramdisk}"\n'
            f'extra = "console=hvc0 loglevel=6 {usual["extra"]} '
            f'xen_privcmd.unrestricted=1 {extra}"\n'
            'on_poweroff = "destroy"\non_reboot = "destroy"\n'
            'on_crash = "destroy"\n'
            f"disk = [ {items} ]\n{lines}\n")


def hexint(value):
    """A number from JSON that may be a string in hexadecimal."""
    return int(value, 0) if isinstance(value, str) else int(value)


def one_line(text, pattern):
    """The line that matches, or None."""
    for line in text.splitlines():
        if re.search(pattern, line):
            return line.strip()
    return None


__all__ = ["Host", "HostGone", "HostFault", "Result", "device", "guest_cfg",
           "driver_cfg",
           "hexint", "one_line", "say"]
