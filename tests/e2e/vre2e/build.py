# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that goes into dom0's share: programs, images, the product."""

import contextlib
import fcntl
import functools
import lzma
import os
import shutil
import subprocess

from . import arch

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
OUT = os.path.join(ROOT, "out", "e2e")
GUEST = os.path.join(ROOT, "tests", "e2e", "guest")
HOST = os.path.join(ROOT, "tests", "host", "host")
PROGRAMS = ("agent", "pattern", "ioload", "freed", "exittime",
            "neighbour", "badguest", "badpci", "record", "badnet", "netio",
            "netload")
# What the tests add to a driver domain: never part of the product's image.
HOSTILE = ("agent", "ioload", "hostile", "fakebackend", "hold", "seek",
           "badworker", "badbells")
# ... to one for network devices.
NETWORK = ("agent", "netio", "seek")
E2FS_LIBS = ("libext2fs.so.2", "libcom_err.so.2", "libblkid.so.1",
             "libuuid.so.1", "libe2p.so.2", "libc.so.6")
PCI_LIBS = ("libpci.so.3", "libkmod.so.2", "libudev.so.1", "libz.so.1",
            "libzstd.so.1", "liblzma.so.5", "libcrypto.so.3")


def choose(name, what):
    """Build for this architecture and test on its host, from now on. What is
    made, and the logs, are in out/WHAT, or in out/WHAT-ARCHITECTURE."""
    global OUT  # pylint: disable=global-statement
    arch.now = arch.ALL[name]
    OUT = os.path.join(ROOT, "out", what if arch.now is arch.ARM64
                       else f"{what}-{name}")


class BuildError(Exception):
    """A part could not be made; the text says which and why."""


def run(*command, log=None, **kwargs):
    """Run a command with its output in a log file; BuildError on failure."""
    log = log or os.path.join(OUT, "build.log")
    with open(log, "ab") as file:
        file.write(("+ " + " ".join(command) + "\n").encode())
        file.flush()
        r = subprocess.run(command, stdout=file, stderr=file, cwd=ROOT,
                           check=False, **kwargs)
    if r.returncode:
        with open(log, encoding="utf-8", errors="replace") as file:
            tail = "".join(file.readlines()[-15:])
        raise BuildError(f"{' '.join(command)} failed ({log}):\n{tail}")


def host_path(part):
    """A part of the emulated host, by its name."""
    r = subprocess.run([HOST, "path", "--arch", arch.now.name, part],
                       stdout=subprocess.PIPE, text=True, check=False)
    if r.returncode:
        raise BuildError(f"tests/host/host path {part} failed")
    return r.stdout.strip()


def cross():
    """What tells the makefiles the architecture."""
    sysroot = host_path(arch.now.sysroot) if arch.now.sysroot else ""
    return ["CROSS_COMPILE=" + arch.now.cross, "SYSROOT=" + sysroot]


def programs():
    """The test programs, in OUT/bin."""
    run("make", "-s", "-C", GUEST, "O=" + os.path.join(OUT, "bin"),
        "TRIPLET=" + arch.now.triplet, *cross())
    return os.path.join(OUT, "bin")


def scripts(folder):
    """What guests and driver domains run of guest/sh, into a folder bin."""
    source = os.path.join(GUEST, "sh")
    for name in os.listdir(source):
        shutil.copy(os.path.join(source, name), folder)


def e2fs(root):
    """mke2fs and its libraries from Debian's packages, into root."""
    unpacked = os.path.join(OUT, "e2fs")
    if not os.path.isdir(unpacked):
        debs = host_path("debs")
        scratch = unpacked + ".new"
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch)
        for name in sorted(os.listdir(debs)):
            if name.startswith(("e2fsprogs_", "libext2fs2_", "libcom-err2_",
                                "libblkid1_", "libuuid1_", "libc6_")):
                run("dpkg-deb", "-x", os.path.join(debs, name), scratch)
        os.rename(scratch, unpacked)
    libs = {}
    for folder, _, files in os.walk(unpacked):
        for name in files:
            libs.setdefault(name, os.path.join(folder, name))
    target = os.path.join(root, "lib", arch.now.triplet)
    os.makedirs(target)
    for name in E2FS_LIBS:
        shutil.copy(libs[name], os.path.join(target, name))
    loader = os.path.join(root, arch.now.loader)
    os.makedirs(os.path.dirname(loader), exist_ok=True)
    shutil.copy(libs[os.path.basename(loader)], loader)
    os.makedirs(os.path.join(root, "etc"), exist_ok=True)
    shutil.copy(libs["mke2fs.conf"], os.path.join(root, "etc"))
    sbin = os.path.join(root, "sbin")
    os.makedirs(sbin, exist_ok=True)
    for name in ("mke2fs", "mkfs.ext4"):
        shutil.copy(libs["mke2fs"], os.path.join(sbin, name))
    shutil.copy(libs["e2fsck"], os.path.join(sbin, "e2fsck"))


def abuse_module():
    """The hostile driver of a virtio-iommu, for the usual guest kernel."""
    folder = os.path.join(OUT, "viommu-abuse")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(GUEST, "viommu-abuse"), folder)
    run("make", "-s", "-C", host_path(arch.now.module_build), "M=" + folder,
        "ARCH=" + arch.now.kernel_arch, "CROSS_COMPILE=" + arch.now.cross,
        "modules")
    return os.path.join(folder, "viommu-abuse.ko")


def later_module(name):
    """A module that a guest's image has without loading it at its start."""
    if name == "viommu-abuse":
        return abuse_module()
    if name == "dma-check":
        return guest_module("tests/guest-module/dma-check")
    kernel, _, name = name.rpartition(":")
    if name == arch.OURS:
        return guest_module(kernel=kernel or None)
    return debian_modules(name)[-1]


@functools.lru_cache(maxsize=None)
def guest_module(source="tools/guest-linux", kernel=None):
    """The module that gives a kernel restricted pools, or another one, built
    without a warning."""
    log = os.path.join(OUT, "build.log")
    with open(log, "ab") as file:
        r = subprocess.run([os.path.join(ROOT, "tests/guest-module/build"),
                            kernel or arch.now.guest_module, source],
                           stdout=subprocess.PIPE, stderr=file, text=True,
                           check=False)
    if r.returncode:
        raise BuildError(f"{source} does not build ({kernel or ''}): {log}")
    return r.stdout.strip()


def pciutils(root):
    """lspci and setpci and their libraries from Debian's packages, into root."""
    part = host_path("pciutils")
    for name in ("lspci", "setpci"):
        shutil.copy(os.path.join(part, "usr", "bin", name),
                    os.path.join(root, "bin"))
    target = os.path.join(root, "lib", arch.now.triplet)
    for folder in ("lib", "usr/lib"):
        source = os.path.join(part, folder, arch.now.triplet)
        for name in os.listdir(source):
            if name.startswith(PCI_LIBS):
                shutil.copy(os.path.join(source, name), target)


def guest_image(output, modules=(), extra=(), more=()):
    """A guest's initramfs; modules: files to load in this order; extra: files
    that lie in /modules without being loaded; more: what adds other files."""
    root = os.path.join(OUT, "root")
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "sbin", "proc", "sys", "dev", "tmp", "mnt", "mnt2",
                   "modules"):
        os.makedirs(os.path.join(root, folder))
    shutil.copy(host_path("busybox"), os.path.join(root, "bin", "busybox"))
    for name in PROGRAMS:
        shutil.copy(os.path.join(OUT, "bin", name), os.path.join(root, "bin"))
    scripts(os.path.join(root, "bin"))
    shutil.copy(os.path.join(GUEST, "init"), os.path.join(root, "init"))
    for name in ("reboot", "poweroff"):
        shutil.copy(os.path.join(GUEST, "halt"),
                    os.path.join(root, "sbin", name))
    os.symlink("busybox", os.path.join(root, "bin", "sh"))
    e2fs(root)
    for add in more:
        add(root)
    for number, path in enumerate(modules):
        name = os.path.basename(path).removesuffix(".xz").replace("-", "_")
        with open(os.path.join(root, "modules", f"{number:02}-{name}"),
                  "wb") as file:
            file.write(module_data(path))
    for path in extra:
        name = os.path.basename(path).removesuffix(".xz") + ".later"
        with open(os.path.join(root, "modules", name), "wb") as file:
            file.write(module_data(path))
    run(os.path.join(ROOT, "tests/host/mkinitramfs"), root, output)


def module_data(path):
    """A module, unpacked."""
    with open(path, "rb") as file:
        data = file.read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def debian_modules(*names, part="modules-debian", kernel=None):
    """Paths of modules of Debian's kernel, in the order given, each behind
    those that it needs. part, kernel: of another, by its name there and for
    guest_module()."""
    found = {}
    for folder, _, files in os.walk(host_path(part)):
        for name in files:
            found[name.split(".ko")[0].replace("-", "_")] = \
                os.path.join(folder, name)
    paths = []
    if arch.OURS in names:
        found[arch.OURS] = guest_module(kernel=kernel)

    def add(name):
        path = found[name.replace("-", "_")]
        if path not in paths:
            for line in module_data(path).split(b"\0"):
                if line.startswith(b"depends=") and line != b"depends=":
                    for needed in line[8:].decode().split(","):
                        add(needed)
            paths.append(path)

    for name in names:
        add(name)
    return paths


def product(share):
    """Build and install into the share; dom0 copies it to /."""
    args = ["O=" + arch.now.out, "WERROR=1", *cross()]
    run("make", "--no-print-directory", "-j2", *args)
    target = os.path.join(share, "install")
    shutil.rmtree(target, ignore_errors=True)
    run("make", "--no-print-directory", *args, "install",
        "DESTDIR=" + target, "PREFIX=/usr/local")


def from_debs(*names):
    """A folder with the content of Debian's packages of these names."""
    unpacked = os.path.join(OUT, "debs-" + names[0])
    if not os.path.isdir(unpacked):
        debs = host_path("debs")
        scratch = unpacked + ".new"
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch)
        for file in sorted(os.listdir(debs)):
            if file.startswith(tuple(name + "_" for name in names)):
                run("dpkg-deb", "-x", os.path.join(debs, file), scratch)
        os.rename(scratch, unpacked)
    return unpacked


def network_parts():
    """vr-mkdriver's options for network devices."""
    root = from_debs("bash", "xen-utils-common")
    return ["-n", "-p", os.path.join(root, "bin", "bash"),
            "-s", os.path.join(root, "etc", "xen", "scripts")]


def driver_image(share, names=HOSTILE,
                 hook=os.path.join(GUEST, "driver-hook.sh"), modules=(),
                 image="driver.cpio", parts=()):
    """The driver domain's image, by the product's own tool, with test programs,
    a hook that starts the agent, and perhaps more modules or options."""
    extra = os.path.join(OUT, "driver-extra")
    shutil.rmtree(extra, ignore_errors=True)
    os.makedirs(os.path.join(extra, "bin"))
    os.makedirs(os.path.join(extra, "etc", "vr-driver.d"))
    for name in names:
        shutil.copy(os.path.join(OUT, "bin", name), os.path.join(extra, "bin"))
    scripts(os.path.join(extra, "bin"))
    shutil.copy(hook, os.path.join(extra, "etc", "vr-driver.d", "10-test.sh"))
    run(os.path.join(ROOT, "tools/mkdriver/vr-mkdriver"),
        "-o", os.path.join(share, "img", image),
        "-b", os.path.join(ROOT, arch.now.out, "vr-backend"),
        "-B", host_path("busybox"), "-a", extra, *driver_parts(modules), *parts)


def driver_parts(modules=()):
    """vr-mkdriver's options for the libraries and the kernel's modules."""
    options = []
    if arch.now.sysroot:
        options += ["-L", host_path(arch.now.sysroot),
                    "-L", "/usr/" + arch.now.triplet]
    if arch.now.driver_modules is not None:
        options += ["-m", host_path("modules-debian")]
        for name in arch.now.driver_modules + modules:
            options += ["-M", name]
    return options


@contextlib.contextmanager
def alone():
    """The product and its modules are built in the same place by all runs of an
    architecture: one at a time."""
    with open(os.path.join(ROOT, "out", f"{arch.now.name}.lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def everything(share, say):
    """All parts, into the share."""
    os.makedirs(OUT, exist_ok=True)
    open(os.path.join(OUT, "build.log"), "wb").close()
    for folder in ("bin", "img", "cfg", "tmp"):
        os.makedirs(os.path.join(share, folder), exist_ok=True)
    say("building the test programs")
    for name in os.listdir(programs()):
        target = os.path.join(share, "bin", name)
        if os.path.exists(target):
            os.unlink(target)  # perhaps running in dom0
        shutil.copy(os.path.join(OUT, "bin", name), target)
    for name in os.listdir(os.path.join(ROOT, "tests/e2e/dom0")):
        shutil.copy(os.path.join(ROOT, "tests/e2e/dom0", name),
                    os.path.join(share, "bin"))
    say("building the guest images")
    img = os.path.join(share, "img")
    for name, modules in arch.now.images.items():
        guest_image(os.path.join(img, name + ".cpio"),
                    debian_modules(*modules),
                    [later_module(m) for m in arch.now.later.get(name, ())])
    for name, part in arch.now.kernels.items():
        shutil.copy(host_path(part), os.path.join(img, name))
    say(f"building and installing the product for {arch.now.name}")
    product(share)
    say("building the driver domains' images")
    driver_image(share)
    driver_image(share, NETWORK, hook=os.path.join(GUEST, "network-hook.sh"),
                 image="network.cpio", parts=network_parts())
    if arch.now.vhost:
        driver_image(share, NETWORK,
                     hook=os.path.join(GUEST, "network-hook.sh"),
                     image="vhost.cpio",
                     parts=network_parts() + ["-m", host_path("modules-debian")])


def debug_guest(share):
    """The kernel that checks its drivers, and a guest's image for it."""
    img = os.path.join(share, "img")
    guest_image(os.path.join(img, "debug.cpio"),
                debian_modules(arch.OURS, "virtio-iommu", *arch.DISK,
                               part="modules-debug", kernel="debug"),
                [guest_module("tests/guest-module/" + name, "debug")
                 for name in ("dma-check", "misuse")])
    shutil.copy(host_path("kernel-debug"), os.path.join(img, "Image-debug"))
