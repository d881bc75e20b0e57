# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the two emulated hosts differ in, for those who build and who test."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Arch:
    """One architecture. A part is a name that tests/host/host path knows."""

    name: str              # as tests/host/host and HOST= of make call it
    hosts: tuple           # (hypervisor, xsm) of hosts; the usual one first
    cross: str             # prefix of the compiler
    sysroot: str           # part: root of a cross build, "" for a native one
    triplet: str           # folder of shared libraries
    loader: str            # path of the dynamic linker in an image
    kernel_arch: str       # ARCH= when building a module
    module_build: str      # part: what the usual guest kernel's modules need
    guest_module: str      # tests/guest-module/build's name of Debian's kernel
    kernels: dict          # file in the share: part
    images: dict           # guest's initramfs: modules it loads, in order
    driver_modules: tuple  # of the driver domain; None: all built in
    guest: dict            # what guest_cfg() puts in unless told otherwise
    driver: dict           # driver_cfg(), the same
    ram: int               # first page of a guest's memory
    patience: float        # limits are multiples of arm64's
    named: tuple           # groups that are run when they are named

    @property
    def out(self):
        """Folder of the product, for make."""
        return "out/" + self.name


OURS = "virtio_restricted"  # the guest module, not Debian's
DISK = ("virtio_mmio", "virtio_blk")

ARM64 = Arch(
    name="arm64",
    hosts=(("ioreq", "dummy"), ("ioreq", "silo"), ("stock", "dummy")),
    cross="aarch64-linux-gnu-", sysroot="sysroot",
    triplet="aarch64-linux-gnu", loader="lib/ld-linux-aarch64.so.1",
    kernel_arch="arm64", module_build="kernel-small-build",
    guest_module="debian",
    kernels={"Image": "kernel-small", "vmlinuz": "kernel-debian"},
    images={"guest": (), "debian": DISK,
            "debian-iommu": ("virtio-iommu",) + DISK,
            "debian-module": (OURS,) + DISK,
            "debian-mixed": (OURS, "virtio-iommu") + DISK},
    driver_modules=None,
    guest={"type": "pvh", "kernel": "Image", "ramdisk": "guest.cpio",
           "least": 0, "extra": "", "lines": ""},
    driver={"type": "pvh", "kernel": "Image", "least": 0, "extra": ""},
    ram=0x40000, patience=1.0, named=("hostile-guest",))

# Debian's kernel everywhere, told not to do what takes long when emulated.
# A kernel that libxl itself starts (PV, PVH) is an ELF file, so that it need
# not be unpacked; for HVM dom0's hvmload sees to that.
QUICK = ("mitigations=off nokaslr init_on_alloc=0 cryptomgr.notests=1 "
         "initcall_blacklist=i8042_init,jent_mod_init")
EXT4 = ("crc32c_generic", "ext4")

X86 = Arch(
    name="x86", hosts=(("stock", "dummy"),),
    cross="", sysroot="",
    triplet="x86_64-linux-gnu", loader="lib64/ld-linux-x86-64.so.2",
    kernel_arch="x86", module_build="kernel-debian-build",
    guest_module="debian-x86",
    kernels={"vmlinuz": "kernel-debian", "vmlinux": "kernel-debian-elf"},
    # Without the guest module, and with it.
    images={"guest": ("virtio-iommu",) + DISK + EXT4,
            "static": (OURS, "virtio-iommu") + DISK + EXT4},
    driver_modules=("loop",),
    guest={"type": "hvm", "kernel": "vmlinuz", "ramdisk": "guest.cpio",
           "least": 256, "extra": QUICK,
           # No display, keyboard and USB: less to emulate and to probe. Xen's
           # usual way to deliver every tick that a slow guest has missed
           # leaves a very slow one no time for anything else.
           "lines": 'vga = "none"\nvnc = 0\nsdl = 0\nusb = 0\n'
                    'vkb_device = 0\n'
                    'timer_mode = "one_missed_tick_pending"\n'},
    # PV: it is up after half the time that PVH takes.
    driver={"type": "pv", "kernel": "vmlinux", "least": 256,
            "extra": QUICK},
    ram=0, patience=3.0, named=("dynamic",))

ALL = {arch.name: arch for arch in (ARM64, X86)}

# The one that this process builds for and tests; build.choose() sets it.
now = ARM64
