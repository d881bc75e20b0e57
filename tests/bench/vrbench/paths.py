# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways from a guest to a disk that are compared, and their guests."""

import dataclasses

from vre2e import arch, host as vhost

from .workloads import HUGE_PAGES

DRIVER, GUEST = "bb", "bg"
# Each path has a null_blk device of its own in the driver domain, by its
# place in this list; QEMU's is in dom0.
PATHS = ("blkfront", "static", "trapped", "copied", "mapped", "mixed", "pci",
         "pci-trapped", "qemu")
OURS = ("static", "trapped", "copied", "mapped", "mixed", "pci", "pci-trapped")
POOLS = ("static", "trapped", "pci", "pci-trapped")  # all is in the pool
# The same, but for the transport.
BY_PCI = {"pci": "static", "pci-trapped": "trapped"}
TRAPPED = ("trapped", "pci-trapped")
NULL_BLK = "gb=1 bs=512"  # 1 GiB, sectors of 512 bytes; the rest is default
MAPPED = {"mapped": "always", "copied": "never"}  # mixed: the product's default
# Windows and grant table of a guest with all paths take more grants than Xen
# allows by default.
XEN_ARGS = "gnttab_max_frames=160"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A guest kernel of the benchmark. Ratios are within one of them."""

    name: str
    title: str
    kernel: str   # files in the share
    ramdisk: str
    modules: tuple
    paths: tuple
    extra: str = ""
    huge: bool = True  # has it huge pages?


DRIVERS = (arch.OURS, "virtio-iommu", "virtio_mmio", "virtio_blk",
           "xen-blkfront")
KERNELS = {
    "arm64": (
        Kernel("small", "the tests' small kernel, which restricts static "
               "devices itself", "Image", "guest.cpio", (),
               ("blkfront", "static", "copied", "mapped"),
               huge=False),
        Kernel("debian", "Debian's kernel with the module virtio_restricted",
               "vmlinuz", "debian-bench.cpio", DRIVERS,
               ("blkfront", "static", "trapped", "copied", "mapped",
                "mixed"))),
    "x86": (
        # Xen's protocol by which a guest removes emulated disks would remove
        # QEMU's virtio disk, too; the guest is told that there are none.
        Kernel("debian", "Debian's kernel with the module virtio_restricted",
               "vmlinuz", "debian-bench.cpio", DRIVERS,
               ("blkfront", "static", "trapped", "copied", "mapped", "mixed",
                "qemu"), "xen_emul_unplug=unnecessary"),),
}
# Of --pci.
PCI_KERNELS = {
    "arm64": (
        Kernel("small", "the tests' small kernel: interrupts by message",
               "Image", "guest.cpio", (), ("blkfront", "static", "pci"),
               huge=False),
        Kernel("intx", "the same, told pci=nomsi: by INTA",
               "Image", "guest.cpio", (), ("blkfront", "static", "pci"),
               "pci=nomsi", huge=False),
        Kernel("debian", "Debian's kernel with the module virtio_restricted",
               "vmlinuz", "debian-bench.cpio", DRIVERS,
               ("blkfront", "static", "pci", "trapped", "pci-trapped"))),
    "x86": (),
}


def kernels(names=None, pci=False):
    """The guest kernels of this architecture, or those named."""
    every = (PCI_KERNELS if pci else KERNELS)[arch.now.name]
    if not names:
        return every
    found = tuple(k for k in every if k.name in names)
    if len(found) != len(names):
        raise ValueError(f"{arch.now.name} has guest kernels "
                         f"{', '.join(k.name for k in every)}")
    return found


def processors(text, count):
    """The configuration of a domain with so many."""
    return text.replace("vcpus = 1\n", f"vcpus = {count}\n")


def driver_cfg(opt):
    """The driver domain: null_blk devices, which keep no data. PVH on x86, too:
    a PV kernel takes many times longer to find the pages of a window."""
    disks = len(PATHS) - 1
    options = " ".join("null_blk." + o for o in
                       (f"nr_devices={disks} {NULL_BLK}").split())
    return processors(vhost.driver_cfg(DRIVER, (), options, memory=224,
                                       kind="pvh"), opt.queues)


def device(path, opt):
    """The string of one of our disks."""
    keys = {"id": path, "serial": path, "driver": None,
            "backend": DRIVER, "target": f"/dev/nullb{PATHS.index(path)}",
            "poll": None if opt.poll is None else str(opt.poll),
            "queues": None if opt.queues == 1 else str(opt.queues),
            "transport": "pci" if path in BY_PCI else "mmio"}
    if path in POOLS:
        keys["size"] = opt.window
    elif path == "mixed":
        keys.update(mode="mixed", size=opt.window, aperture=opt.window)
    else:
        keys.update(mode="dynamic", size=None, aperture=opt.window,
                    map_threshold=MAPPED[path])
    return vhost.device(opt.keys, **keys)


def guest_cfg(kernel, paths, opt):
    """A guest with a disk on each of the paths."""
    lines = ""
    if "blkfront" in paths:
        lines += (f"disk = ['format=raw, vdev=xvda, access=rw, "
                  f"backend={DRIVER}, target=/dev/nullb0']\n")
    if "qemu" in paths:
        # As libxl describes disks to QEMU: direct I/O is refused for memory
        # of a guest, and Debian's QEMU has neither libaio nor io_uring.
        args = ("-drive", "if=none,id=q,format=raw,file=/dev/nullb0,"
                "cache=writeback,aio=threads", "-device",
                "virtio-blk-pci,drive=q,serial=qemu,disable-legacy=on")
        lines += ("device_model_args_hvm = [ " +
                  ", ".join(f'"{a}"' for a in args) + " ]\n")
    return processors(vhost.guest_cfg(
        GUEST, [device(p, opt) for p in paths if p in OURS] or None,
        memory=512, kernel=kernel.kernel, ramdisk=kernel.ramdisk, lines=lines,
        extra=f"iommu.strict={opt.strict} {kernel.extra} {opt.guest_args} " +
        (f"hugepages={HUGE_PAGES}" if kernel.huge else "")), opt.queues)
