# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that goes into dom0's share: programs, images, the product."""

import lzma
import os
import shutil
import subprocess

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
OUT = os.path.join(ROOT, "out", "e2e")
GUEST = os.path.join(ROOT, "tests", "e2e", "guest")
HOST = os.path.join(ROOT, "tests", "host", "host")
PROGRAMS = ("agent", "pattern", "ioload", "freed")
# What the tests add to a driver domain: never part of the product's image.
HOSTILE = ("agent", "ioload", "hostile", "fakebackend", "hold")
E2FS_LIBS = ("libext2fs.so.2", "libcom_err.so.2", "libblkid.so.1",
             "libuuid.so.1", "libe2p.so.2", "libc.so.6")


class Arch:
    """What the parts of one kind of host differ in."""

    def __init__(self, name, triplet, loader, cross):
        self.name, self.triplet, self.loader = name, triplet, loader
        self.cross = cross  # the compiler's prefix; "" for this machine's own
        self.out = os.path.join("out", name)  # the product
        # The test programs and what else is made for it.
        self.tests = OUT if cross else os.path.join(OUT, name)

    def bin(self, *names):
        """A test program's path, or their folder."""
        return os.path.join(self.tests, "bin", *names)

    def make(self):
        """make's arguments for a build."""
        if not self.cross:
            return []
        return ["CROSS_COMPILE=" + self.cross,
                "SYSROOT=" + host_path("sysroot", self)]


ARM64 = Arch("arm64", "aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1",
             "aarch64-linux-gnu-")
X86 = Arch("x86", "x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2", "")
ARCHES = {arch.name: arch for arch in (ARM64, X86)}


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


def host_path(part, arch=ARM64):
    """A part of the emulated host, by its name."""
    r = subprocess.run([HOST, "path", "--arch", arch.name, part],
                       stdout=subprocess.PIPE, text=True, check=False)
    if r.returncode:
        raise BuildError(f"tests/host/host path {part} failed")
    return r.stdout.strip()


def programs(arch=ARM64):
    """The static test programs; their folder."""
    run("make", "-s", "-C", GUEST, "O=" + arch.bin(), *(
        arch.make() or ["CROSS_COMPILE="]))
    return arch.bin()


def e2fs(root, arch=ARM64):
    """mke2fs and its libraries from Debian's packages, into root."""
    unpacked = os.path.join(arch.tests, "e2fs")
    if not os.path.isdir(unpacked):
        debs = host_path("debs", arch)
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
    target = os.path.join(root, "lib", arch.triplet)
    os.makedirs(target)
    for name in E2FS_LIBS:
        shutil.copy(libs[name], os.path.join(target, name))
    loader = os.path.join(root, arch.loader)
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
    """The hostile driver of a virtio-iommu, for the small kernel."""
    folder = os.path.join(OUT, "viommu-abuse")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(GUEST, "viommu-abuse"), folder)
    run("make", "-s", "-C", host_path("kernel-small-build"), "M=" + folder,
        "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "modules")
    return os.path.join(folder, "viommu-abuse.ko")


def guest_image(output, modules=(), extra=(), arch=ARM64):
    """A guest's initramfs; modules: files to load in this order; extra: files
    that lie in /modules without being loaded."""
    root = os.path.join(OUT, "root")
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "sbin", "proc", "sys", "dev", "tmp", "mnt", "mnt2",
                   "modules"):
        os.makedirs(os.path.join(root, folder))
    shutil.copy(host_path("busybox", arch),
                os.path.join(root, "bin", "busybox"))
    for name in PROGRAMS:
        shutil.copy(arch.bin(name), os.path.join(root, "bin"))
    shutil.copy(os.path.join(GUEST, "init"), os.path.join(root, "init"))
    for name in ("reboot", "poweroff"):
        shutil.copy(os.path.join(GUEST, "halt"),
                    os.path.join(root, "sbin", name))
    os.symlink("busybox", os.path.join(root, "bin", "sh"))
    e2fs(root, arch)
    for number, path in enumerate(modules):
        data = open(path, "rb").read()
        if path.endswith(".xz"):
            data = lzma.decompress(data)
        name = os.path.basename(path).removesuffix(".xz")
        with open(os.path.join(root, "modules", f"{number:02}-{name}"),
                  "wb") as file:
            file.write(data)
    for path in extra:
        shutil.copy(path, os.path.join(root, "modules",
                                       os.path.basename(path) + ".later"))
    run(os.path.join(ROOT, "tests/host/mkinitramfs"), root, output)


def debian_modules(*names, arch=ARM64):
    """Paths of modules of Debian's kernel in the order given, each behind
    those that it needs."""
    found, order = {}, []
    for folder, _, files in os.walk(host_path("modules-debian", arch)):
        for name in files:
            found[name.split(".ko")[0].replace("-", "_")] = os.path.join(
                folder, name)

    def add(name):
        path = found[name.replace("-", "_")]
        needs = subprocess.run(["modinfo", "-F", "depends", path],
                               stdout=subprocess.PIPE, text=True, check=True)
        for other in needs.stdout.strip().split(","):
            if other:
                add(other)
        if path not in order:
            order.append(path)
    for name in names:
        add(name)
    return order


def product(share, arch=ARM64):
    """Build and install into the share; dom0 copies it to /."""
    args = ["O=" + arch.out, "WERROR=1", *arch.make()]
    run("make", "--no-print-directory", "-j2", *args)
    target = os.path.join(share, "install")
    shutil.rmtree(target, ignore_errors=True)
    run("make", "--no-print-directory", *args, "install",
        "DESTDIR=" + target, "PREFIX=/usr/local")


def driver_image(share, arch=ARM64):
    """The driver domain's image, by the product's own tool, with the tests'
    programs and a hook that starts the agent."""
    extra = os.path.join(arch.tests, "driver-extra")
    shutil.rmtree(extra, ignore_errors=True)
    os.makedirs(os.path.join(extra, "bin"))
    os.makedirs(os.path.join(extra, "etc", "vr-driver.d"))
    for name in HOSTILE:
        shutil.copy(arch.bin(name), os.path.join(extra, "bin"))
    shutil.copy(os.path.join(GUEST, "driver-hook.sh"),
                os.path.join(extra, "etc", "vr-driver.d", "10-test.sh"))
    if arch.cross:
        where = ["-L", host_path("sysroot", arch), "-L", "/usr/" + arch.triplet]
    else:
        where = ["-m", host_path("modules-debian", arch)]
    run(os.path.join(ROOT, "tools/mkdriver/vr-mkdriver"),
        "-o", os.path.join(share, "img", "driver.cpio"),
        "-b", os.path.join(ROOT, arch.out, "vr-backend"),
        "-B", host_path("busybox", arch), *where, "-a", extra)


def arm64_images(img):
    """Kernels and images of guests: the small kernel and Debian's."""
    guest_image(os.path.join(img, "guest.cpio"), extra=(abuse_module(),))
    guest_image(os.path.join(img, "debian.cpio"),
                debian_modules("virtio_mmio", "virtio_blk"))
    guest_image(os.path.join(img, "debian-iommu.cpio"),
                debian_modules("virtio-iommu", "virtio_mmio", "virtio_blk"))
    shutil.copy(host_path("kernel-small"), os.path.join(img, "Image"))
    shutil.copy(host_path("kernel-debian"), os.path.join(img, "vmlinuz"))


def x86_images(img):
    """Kernels and images of guests: Debian's alone. The virtio-iommu's driver
    has to be there before the devices behind it are looked at."""
    disk = ("ext4", "virtio_mmio", "virtio_blk")
    guest_image(os.path.join(img, "debian.cpio"),
                debian_modules(*disk, arch=X86), arch=X86)
    guest_image(os.path.join(img, "debian-iommu.cpio"),
                debian_modules("virtio-iommu", *disk, arch=X86), arch=X86)
    shutil.copy(host_path("kernel-debian", X86), os.path.join(img, "vmlinuz"))
    # The driver domain's: libxl has nothing to unpack.
    shutil.copy(host_path("kernel-debian-elf", X86),
                os.path.join(img, "Image"))


def everything(share, say, arch=ARM64):
    """All parts, into the share."""
    os.makedirs(arch.tests, exist_ok=True)
    open(os.path.join(OUT, "build.log"), "wb").close()
    for folder in ("bin", "img", "cfg", "tmp"):
        os.makedirs(os.path.join(share, folder), exist_ok=True)
    say(f"building the test programs for {arch.name}")
    for name in os.listdir(programs(arch)):
        target = os.path.join(share, "bin", name)
        if os.path.exists(target):
            os.unlink(target)  # perhaps running in dom0
        shutil.copy(arch.bin(name), target)
    for name in os.listdir(os.path.join(ROOT, "tests/e2e/dom0")):
        shutil.copy(os.path.join(ROOT, "tests/e2e/dom0", name),
                    os.path.join(share, "bin"))
    say("building the guest images")
    images = x86_images if arch is X86 else arm64_images
    images(os.path.join(share, "img"))
    say(f"building and installing the product for {arch.name}")
    product(share, arch)
    say("building the driver domain's image")
    driver_image(share, arch)
