# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes into dom0's share, besides what the end-to-end tests have too."""

import os
import shutil

from vre2e import arch, build

HERE = os.path.join(build.ROOT, "tests", "bench")


def tool(name, libraries=()):
    """One of the small C programs of the benchmark, static."""
    cross = build.cross()[1].removeprefix("SYSROOT=")
    flags = [f"-I{build.ROOT}/tools"]
    if cross:
        triplet = arch.now.triplet
        flags += ["-isystem", f"{cross}/usr/include", "-isystem",
                  f"{cross}/usr/include/{triplet}",
                  f"-L{cross}/usr/lib/{triplet}"]
    build.run(arch.now.cross + "gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra",
              "-Werror", "-D_GNU_SOURCE", "-static", *flags,
              "-o", os.path.join(build.OUT, "bin", name),
              os.path.join(HERE, name + ".c"),
              *(os.path.join(build.ROOT, arch.now.out, library)
                for library in libraries),
              "-Wl,--start-group", "-lxenctrl", "-lxendevicemodel",
              "-lxenforeignmemory", "-lxengnttab", "-lxencall",
              "-lxentoolcore", "-lxentoollog",
              "-Wl,--end-group", "-lpthread")


def driver_image(share):
    """The driver domain's image: with null_blk, and an agent for us."""
    build.driver_image(share, ("agent", "mapwindow"),
                       os.path.join(HERE, "driver-hook.sh"),
                       () if arch.now.driver_modules is None else
                       ("null_blk",))


def network_image(share):
    """That of a driver domain for network devices, and of netback."""
    options = build.network_parts()
    if arch.now.driver_modules is None:
        options += ["-m", build.host_path("modules-debian")]
    build.driver_image(share, ("agent", "netload"),
                       os.path.join(build.GUEST, "network-hook.sh"), (),
                       "network.cpio", options + ["-M", "xen-netback"])


def everything(share, kernels, say):
    """All of it."""
    os.makedirs(build.OUT, exist_ok=True)
    open(os.path.join(build.OUT, "build.log"), "wb").close()
    for name in ("bin", "img", "cfg", "tmp"):
        os.makedirs(os.path.join(share, name), exist_ok=True)
    say(f"building the product for {arch.now.name}")
    build.product(share)
    say("building test programs and images")
    build.programs()
    tool("seedtime", ("libvrxen.a", "libvr.a"))
    tool("mapwindow")
    tool("domclock")
    for name in os.listdir(os.path.join(build.OUT, "bin")):
        target = os.path.join(share, "bin", name)
        if os.path.exists(target):
            os.unlink(target)  # perhaps running in dom0
        shutil.copy(os.path.join(build.OUT, "bin", name), target)
    build.scripts(os.path.join(share, "bin"))
    img = os.path.join(share, "img")
    for kernel in kernels:
        build.guest_image(os.path.join(img, kernel.ramdisk),
                          build.debian_modules(*kernel.modules)
                          if kernel.modules else ())
    for name, part in arch.now.kernels.items():
        shutil.copy(build.host_path(part), os.path.join(img, name))
    driver_image(share)
