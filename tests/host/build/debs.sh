#!/bin/bash
# The packages everything else is made of: debs.sh arm64|amd64,
# <component>/*.deb.  Nothing of this is installed on the build machine.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/arch.sh"
. "$(dirname "$0")/apt.sh"

# Xen: the hypervisor, xl and the daemons, and all that they link to.
xen="xen-hypervisor-4.17-$arch xen-utils-4.17 xen-utils-common xenstore-utils
    libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1
    libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4
    libxentoolcore1 libxentoollog1 libyajl2 libfdt1 liburing2 libseccomp2
    libc6 libgcc-s1 libuuid1 zlib1g liblzma5 liblzo2-2 libzstd1 libbz2-1.0
    libtinfo6 libncurses6 libnl-3-200 libnl-route-3-200"
# What hotplug scripts, tests and people call in dom0.
tools="busybox-static dash bash e2fsprogs libext2fs2 libcom-err2 libss2 libblkid1
    mount libmount1 libsmartcols1 libselinux1 libpcre2-8-0 util-linux"
# Debian's kernel: dom0's and the guests' on amd64, on arm64 to compare with.
kernel="linux-image-6\\.12\\.[0-9.]*+deb12-$flavour"
case $arch in
arm64)
    # Headers and static libraries for cross-building.
    more="libxen-dev libyajl-dev libfdt-dev liburing-dev libseccomp-dev
        uuid-dev"
    ;;
amd64)
    # The device model of HVM guests, its firmware and its libraries.
    more="qemu-system-xen qemu-system-data seabios libdw1 libelf1 libffi8
        libglib2.0-0 libgstreamer-plugins-base1.0-0 libgstreamer1.0-0
        libjpeg62-turbo liblz4-1 libopus0 liborc-0.4-0 libpixman-1-0
        libsasl2-2 libspice-server1 libssl3 libstdc++6 libudev1 libunwind8
        libusb-1.0-0"
    ;;
esac

download() {
    local newest
    say "reading the $arch package lists"
    apt_state "$arch" "" deb
    newest=$(apt_run apt-cache pkgnames linux-image-6.12 |
        grep -x "$kernel" | sort -V | tail -n 1)
    [ -n "$newest" ] || die "no package matches $kernel"
    say "downloading the $arch packages (100 to 150 MB)"
    cd out
    quiet ../log apt_run apt-get -qq download $xen $tools $more "$newest"
}

component "debs-$arch" download "$HOST_DIR"/build/{apt,arch}.sh
