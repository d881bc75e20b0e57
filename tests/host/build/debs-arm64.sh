#!/bin/bash
# The arm64 packages everything else is made of: <component>/*.deb.
# Nothing of this is installed on the build machine.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

# Xen: the hypervisor, xl and the daemons, and all that they link to.
xen="xen-hypervisor-4.17-arm64 xen-utils-4.17 xen-utils-common xenstore-utils
    libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1
    libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4
    libxentoolcore1 libxentoollog1 libyajl2 libfdt1 liburing2 libseccomp2
    libc6 libgcc-s1 libuuid1 zlib1g liblzma5 liblzo2-2 libzstd1 libbz2-1.0
    libtinfo6 libncurses6 libnl-3-200 libnl-route-3-200"
# What hotplug scripts, tests and people call in dom0.
tools="busybox-static dash bash e2fsprogs libext2fs2 libcom-err2 libss2 libblkid1
    mount libmount1 libsmartcols1 libselinux1 libpcre2-8-0 util-linux"
# Headers and static libraries for cross-building.
headers="libxen-dev libyajl-dev libfdt-dev liburing-dev libseccomp-dev
    uuid-dev"
# A distribution kernel, to compare with.
kernel='linux-image-6\.12\.[0-9.]*+deb12-cloud-arm64'

download() {
    local newest
    say "reading the arm64 package lists"
    apt_state arm64 "" deb
    newest=$(apt_run apt-cache pkgnames linux-image-6.12 |
        grep -x "$kernel" | sort -V | tail -n 1)
    [ -n "$newest" ] || die "no package matches $kernel"
    say "downloading the arm64 packages (about 100 MB)"
    cd out
    quiet ../log apt_run apt-get -qq download $xen $tools $headers "$newest"
}

component debs-arm64 download "$HOST_DIR/build/apt.sh"
