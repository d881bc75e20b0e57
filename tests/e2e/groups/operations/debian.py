# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian 12 guest with its root on a restricted disk: systemd, udev and an
initramfs as Debian makes it, that names the drivers as the documents say. First
the root is a dynamic disk, which Debian's kernel can use by itself, then a
static one, with the guest module; the file system is the same."""

import os
import subprocess

from vre2e import build
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

G, B = "deb12", "deb12-b1"
ROOT = "/host/img/debian-root.raw"
UUID = "5f0c1d6e-3a52-4d0e-9a55-0d3b8a1c7e12"  # tests/host/build/guest-debian.sh
SEED = 83
MORE = 64  # MiB by which the disk grows
UP = 400  # seconds to its agent, at the most


def add_programs(image):
    """The agent, which a service there starts, and what writes the data."""
    commands = os.path.join(build.OUT, "debian-root.cmd")
    with open(commands, "w", encoding="utf-8") as file:
        for source, folder in ((f"{build.OUT}/bin/agent", "sbin"),
                               (f"{build.OUT}/bin/pattern", "bin"),
                               (f"{build.GUEST}/sh/write-root", "bin")):
            target = f"/usr/local/{folder}/{os.path.basename(source)}"
            file.write(f"write {source} {target}\n"
                       f"set_inode_field {target} mode 0100755\n")
    build.run("debugfs", "-w", "-f", commands, image)


def with_module(source, target):
    """The initramfs with the guest module and its modprobe.conf, as Debian
    makes it when the module is installed."""
    root = os.path.join(build.OUT, "initrd")
    build.run("sh", "-ec", 'rm -rf "$1"; mkdir "$1"; cd "$1"; '
              'gzip -dc "$2" | cpio -idm --no-absolute-filenames', "sh", root,
              source)
    kernel, = os.listdir(os.path.join(root, "usr/lib/modules"))
    build.run("install", "-D", "-m", "644", build.guest_module(),
              f"{root}/usr/lib/modules/{kernel}/updates/virtio_restricted.ko")
    build.run("install", "-D", "-m", "644",
              os.path.join(build.ROOT, "tools/guest-linux/modprobe.conf"),
              f"{root}/etc/modprobe.d/virtio_restricted.conf")
    kmod = subprocess.run([os.path.join(build.ROOT, "tests/host/build/dkms.sh")],
                          stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()
    build.run(os.path.join(kmod, "sbin/depmod"), "-b", os.path.join(root, "usr"),
              kernel, env={**os.environ, "LD_LIBRARY_PATH":
                           os.path.join(kmod, "lib/x86_64-linux-gnu")})
    build.run(os.path.join(build.ROOT, "tests/host/mkinitramfs"), root, target)


def image(share):
    """A fresh copy of the guest's disk, and its two initramfs."""
    img = os.path.join(share, "img")
    root = os.path.join(img, "debian-root.raw")
    initrd = build.host_path("guest-debian-initrd")
    build.run("cp", "--sparse=always", build.host_path("guest-debian-root"),
              root)
    add_programs(root)
    build.run("cp", initrd, os.path.join(img, "debian-dynamic.initrd"))
    with_module(initrd, os.path.join(img, "debian-static.initrd"))


group = Group("operations/debian", build=image)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1", ("/dev/loop7",)))
    for mode, dev in (("dynamic", dynamic(serial="root")),
                      ("static", device(serial="root"))):
        h.put(f"deb12-{mode}.cfg", guest_cfg(
            G, [dev], kernel="vmlinuz", ramdisk=f"debian-{mode}.initrd",
            memory=384, extra=f"root=UUID={UUID} ro"))
    h.ok(f"losetup /dev/loop7 {ROOT}")
    return {}


@group.on_teardown
def teardown(h):
    h.end(G, B)
    h.sh("losetup -d /dev/loop7")


def up(h, mode):
    """It is there, with its root on the disk of this mode, and its data."""
    out = h.gx_ok(G, "cat /sys/block/vda/serial; echo; "
                  "findmnt -n -o SOURCE,FSTYPE /; . /etc/os-release; echo $ID "
                  "$VERSION_ID; [ ! -e /srv/data ] || "
                  f"pattern check /srv/data 8 {SEED} || exit 1; "
                  "systemctl is-system-running --wait", 200, up=UP)
    for word in ("root", "/dev/vda ext4", "debian 12", "running"):
        require(word in out, f"{word}: {out}")
    group, = h.show(G)["devices"]
    require(group["mode"] == mode, f"mode {group['mode']}")


def create(h, mode):
    r = h.create(f"/host/cfg/deb12-{mode}.cfg")
    require(r.rc == 0, f"xl create: {r.text[-400:]}")
    up(h, mode)


def busy(h, command):
    """The root is written to until the guest has ended by this command."""
    h.gx_ok(G, "write-root")
    if command.startswith(("xl", "/")):
        h.ok(command, 350)
    else:
        h.gx(G, f"(sleep 1; {command}) </dev/null >/dev/null 2>&1 &")


def again(h, mode, command):
    old = h.domid(G)
    busy(h, command)
    h.wait_again(G, old, 180)
    up(h, mode)


@group.check("root on a dynamic disk", 600)
def dynamic_root(h, _made):
    create(h, "dynamic")
    h.gx_ok(G, f"pattern write /srv/data 8 {SEED} && sync", 60)


@group.check("dynamic: reboot -f while it writes", 600)
def reboots_at_once(h, _made):
    again(h, "dynamic", "reboot -f")


@group.check("dynamic: systemctl reboot while it writes", 600,
             arches=("arm64",))
def reboots(h, _made):
    again(h, "dynamic", "systemctl reboot")


@group.check("xl save is refused, and the guest works on", 120,
             arches=("x86",))  # xl on Arm has no such command
def saved(h, _made):
    r = h.sh(f"xl save {G} /tmp/deb12.save", 60)
    require(r.rc != 0 and "cannot be saved" in r.text, r.text[-400:])
    up(h, "dynamic")


@group.check("its disk grows, and the mounted file system with it", 200)
def grows(h, _made):
    def size():
        return int(h.gx_ok(G, "cat /sys/block/vda/size"))
    before = size()
    h.ok(f"truncate -s $(($(stat -c %s {ROOT}) + {MORE << 20})) {ROOT} && "
         "losetup -c /dev/loop7")
    h.wait("the guest sees it", lambda: size() == before + MORE * 2048, 60, 2)
    df = "df -k --output=size / | tail -n 1"
    small = int(h.gx_ok(G, df))
    h.gx_ok(G, "resize2fs /dev/vda", 100)
    large = int(h.gx_ok(G, df))
    require(large > small + MORE * 1024 * 0.8, f"{small}, then {large} KiB")
    up(h, "dynamic")


def clean(h):
    """The guest has unmounted its root, and the storage has all of it."""
    h.wait_gone(G, B, seconds=180)
    r = h.sh("blockdev --flushbufs /dev/loop7; e2fsck -fn /dev/loop7", 100)
    require(r.rc == 0, f"[{r.rc}] {r.text[-400:]}")


@group.check("dynamic: xl shutdown while it writes, the file system is clean",
             300)
def shuts_down(h, _made):
    busy(h, f"xl shutdown {G}")
    clean(h)


@group.check("root on a static disk, with the guest module", 600)
def static_root(h, _made):
    create(h, "static")
    out = h.gx_ok(G, "lsmod")
    require("virtio_restricted" in out, out)


@group.check("static: xl reboot while it writes", 600)
def static_reboots(h, _made):
    again(h, "static", f"xl reboot {G}")


@group.check("static: the host goes down while it writes, the file system is "
             "clean", 400)
def host_goes_down(h, _made):
    busy(h, "/etc/init.d/xendomains stop 2>&1")
    clean(h)
