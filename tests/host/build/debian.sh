#!/bin/bash
# What Debian ships, unchanged, for dom0 and guests: debian.sh arm64|amd64
#   xen       hypervisor          vmlinuz  distribution kernel
#   modules/  its modules         busybox  static shell and tools
#   vmlinux   amd64: the kernel as it stands packed in vmlinuz, an ELF file;
#             whoever starts it need not unpack it, which takes long when the
#             processor is emulated
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/arch.sh"

# number FILE OFFSET BYTES: little-endian
number() {
    od -An -j"$2" -N"$3" -t"u$3" "$1" | tr -d ' '
}

# The ELF file within a bzImage: the boot protocol's header tells where.
unpack_kernel() {
    local sectors offset size
    sectors=$(number "$1" 497 1)
    offset=$(((sectors + 1) * 512 + $(number "$1" 584 4)))
    # The last four bytes are the unpacked size, not zstd's.
    size=$(($(number "$1" 588 4) - 4))
    dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip="$offset" \
        count="$size" status=none | zstd -dcq >"$2"
}

unpack() {
    local package
    say "unpacking Debian's hypervisor, kernel and busybox"
    for package in "xen-hypervisor-4.17-$arch" linux-image busybox-static; do
        dpkg-deb -x "$debs/$package"[-_]*.deb root
    done
    case $arch in
    arm64) cp root/boot/xen-4.17-arm64 out/xen ;;
    amd64) gzip -dc root/boot/xen-4.17-amd64.gz >out/xen ;;
    esac
    cp root/boot/vmlinuz-* out/vmlinuz
    [ "$arch" != amd64 ] || unpack_kernel out/vmlinuz out/vmlinux
    cp root/bin/busybox out/busybox
    mv root/lib/modules out/modules
    ls out/modules >out/kernel-version
}

debs=$("$HOST_DIR/build/debs.sh" "$arch")
component "debian-$arch" unpack "$(basename "$debs")"
