#!/bin/bash
# What Debian ships, unchanged, for dom0 and for comparison:
#   xen       hypervisor          vmlinuz  distribution kernel
#   modules/  its modules         busybox  static shell and tools
. "$(dirname "$0")/lib.sh"

unpack() {
    local package
    say "unpacking Debian's hypervisor, kernel and busybox"
    for package in xen-hypervisor-4.17-arm64 linux-image busybox-static; do
        dpkg-deb -x "$debs/$package"[-_]*.deb root
    done
    cp root/boot/xen-4.17-arm64 out/xen
    cp root/boot/vmlinuz-* out/vmlinuz
    cp root/bin/busybox out/busybox
    mv root/lib/modules out/modules
    ls out/modules >out/kernel-version
}

debs=$("$HOST_DIR/build/debs-arm64.sh")
component debian-arm64 unpack "$(basename "$debs")"
