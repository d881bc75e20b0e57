# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the two emulated hosts differ in, for those who build and who test.

The groups of checks are the same for both; where they have to know on which
host they are, they ask this table."""

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
    later: dict            # initramfs: modules it has without loading them
    driver_modules: tuple  # of the driver domain; None: all built in
    guest: dict            # what guest_cfg() puts in unless told otherwise
    driver: dict           # driver_cfg(), the same
    vhost: dict            # driver_cfg(), where vhost-net is to be there
    # Guests: arguments of guest_cfg().
    usual: dict            # knows pools and has a driver of the virtio-iommu
    mixes: bool            # and uses both at once
    mappers: dict          # kernels with that driver, without the guest module
    bare: dict             # Debian's kernel, which knows nothing of pools
    module: dict           # Debian's kernel with the guest module
    mixed: str             # initramfs for it that has the virtio-iommu, too
    # What is seen on this host.
    pool_says: str         # usual guest's log: where a pool is (group 1)
    node: str              # a device's firmware node, below its folder
    told: tuple            # properties there: of a pool, of an IOMMU
    ram: int               # first page of a guest's memory
    hole: tuple            # pages in it, first and end, that are not RAM
    raw_map: bool          # a driver domain can map by the bare hypercall
    panicked: str          # state of a device whose driver domain panicked
    samples: int           # audits of a guest under load
    # What is run.
    patience: float        # limits are multiples of arm64's
    named: tuple           # groups, or families of them, that are run when they
                           # are named
    brief: dict            # groups of which only some checks are run unless
                           # they are named: how those checks' names begin
    slot: int              # of the first PCI function
    devmem: str            # a guest's: root may have all of /dev/mem
    transports: tuple = ("mmio",)  # that there are; the default first
    transport: str = ""    # of devices that name none; "": the default

    def by(self, transport):
        """The same, with this transport for devices that name none. Who is
        behind the IOMMU is said of PCI functions at their bridge."""
        return dataclasses.replace(
            self, transport=transport,
            told=self.told[:1] if transport == "pci" else self.told)

    @property
    def bound(self):
        """By the usual transport: a guest's folder of the driver that devices
        are bound to, and how their names there look (in a device tree)."""
        return BOUND[self.transport or self.transports[0]]

    @property
    def out(self):
        """Folder of the product, for make."""
        return "out/" + self.name

    def memory(self, mib):
        """MiB of a guest for which guest_cfg() is asked for so many."""
        return max(mib, self.guest["least"])

    def frames(self, mib):
        """First and last page of each piece of such a guest's RAM."""
        end = self.ram + self.memory(mib) * 256 - 1
        if not self.hole:
            return [(self.ram, end)]
        return [(self.ram, self.hole[0] - 1), (self.hole[1], end)]


BOUND = {"mmio": ("/sys/bus/platform/drivers/virtio-mmio", "*.virtio"),
         "pci": ("/sys/bus/pci/drivers/virtio-pci", "0000:*")}
OURS = "virtio_restricted"  # the guest module, not Debian's
DISK = ("virtio_mmio", "virtio_blk")
# Loaded when they are wanted, in this order.
NET = ("failover", "net_failover", "virtio_net", "llc", "stp", "garp", "mrp",
       "8021q")

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
    later={"guest": ("viommu-abuse", "small:" + OURS),
           "debian-module": ("dma-check",),
           "debian-mixed": ("dma-check", "virtio-rng") + NET},
    driver_modules=None,
    guest={"type": "pvh", "kernel": "Image", "ramdisk": "guest.cpio",
           "least": 0, "extra": "", "lines": ""},
    driver={"type": "pvh", "kernel": "Image", "least": 0, "extra": ""},
    vhost={"kernel": "vmlinuz", "ramdisk": "vhost.cpio", "memory": 224},
    usual={"memory": 112}, mixes=False,
    mappers={
        "small": {"kernel": "Image", "ramdisk": "guest.cpio", "memory": 112},
        "Debian's": {"kernel": "vmlinuz", "ramdisk": "debian-iommu.cpio",
                     "memory": 224}},
    bare={"kernel": "vmlinuz", "ramdisk": "debian.cpio", "memory": 192},
    module={"kernel": "vmlinuz", "ramdisk": "debian-module.cpio",
            "memory": 256},
    mixed="debian-mixed.cpio",
    pool_says=r"created restricted DMA pool at (0x[0-9a-f]+)",
    node="of_node", told=("memory-region", "iommus"),
    ram=0x40000, hole=(), raw_map=True,
    # Xen hears nothing of it: the domain just stands still.
    panicked="waiting",
    samples=200, patience=1.0,
    named=("hostile-guest", "operations/badnet", "operations/debian",
           "operations/ends", "operations/granter", "operations/net",
           "operations/newer", "operations/zombies"),
    # The rest of it is shown by main, dynamic and mixed.
    brief={"together": ("static, dynamic and mixed",)},
    slot=1, devmem="",
    transports=("mmio", "pci"))

# Debian's kernel everywhere, told not to do what takes long when emulated.
# A kernel that libxl itself starts (PV, PVH) is an ELF file, so that it need
# not be unpacked; for HVM dom0's hvmload sees to that.
QUICK = ("mitigations=off nokaslr init_on_alloc=0 cryptomgr.notests=1 "
         "initcall_blacklist=i8042_init,jent_mod_init")
EXT4 = ("crc32c_generic", "ext4")
PV_DISK = ("xen-blkfront",)

X86 = Arch(
    name="x86", hosts=(("stock", "dummy"),),
    cross="", sysroot="",
    triplet="x86_64-linux-gnu", loader="lib64/ld-linux-x86-64.so.2",
    kernel_arch="x86", module_build="kernel-debian-build",
    guest_module="debian-x86",
    kernels={"vmlinuz": "kernel-debian", "vmlinux": "kernel-debian-elf"},
    images={"guest": (OURS, "virtio-iommu") + DISK + EXT4 + PV_DISK,
            "bare": ("virtio-iommu",) + DISK + EXT4},
    later={"guest": ("viommu-abuse", "dma-check", "virtio-rng") + NET},
    driver_modules=("loop", "null_blk", "xen-gntalloc"),
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
    vhost={},
    usual={}, mixes=True, mappers={"Debian's": {"ramdisk": "bare.cpio"}},
    bare={"ramdisk": "bare.cpio"}, module={"memory": 256},
    mixed="guest.cpio",
    pool_says=r"restricted to its pool: \d+ KiB at (0x[0-9a-f]+)",
    # The driver reads the pool by itself, VIOT says who is behind the IOMMU.
    node="firmware_node", told=(),
    ram=0, hole=(0xa0, 0x100),
    # A PV domain maps by way of its page tables, which the bare call does not
    # know: there, copies show that calls arrive.
    raw_map=False,
    panicked="failed",
    samples=12, patience=3.0,
    named=("main", "pairs", "module", "failure", "backends", "life",
           "dynamic", "mixed", "mixed-module", "probe", "bells", "rng",
           "net", "vhost", "hostile-guest", "operations"),
    brief={"preflight": ("vrctl", "launcher", "xl create -n"),
           "together": ("static", "mixed", "the guest", "audit", "hostile",
                        "what", "destroyed"),
           "revoke": ("a backend that keeps",),
           "pci": ("PCI functions", "each function", "the guest module's",
                   "rings", "interrupts", "one exit", "the dynamic one",
                   "driver domain destroyed"),
           # Its other two are steps of what together does.
           "x86": ("vrctl",)},
    slot=0x1b, devmem="iomem=relaxed",
    transports=("mmio", "pci"))

ALL = {arch.name: arch for arch in (ARM64, X86)}

# The one that this process builds for and tests; build.choose() sets it.
now = ARM64
