#!/bin/bash
# dom0's root file system, an initramfs: Debian's Xen tools in the places
# where Debian has them, a shell, and the agent behind `host run`.
. "$(dirname "$0")/lib.sh"

# Copied as a whole, apart from what needs Python or OCaml.
whole="xen-utils-common xen-utils-4.17 xenstore-utils dash bash"
# Single files out of larger packages.
programs="sbin/losetup sbin/mke2fs sbin/e2fsck sbin/blockdev usr/bin/flock"
# Libraries that our own programs, which arrive later, link to; libgcc_s is
# opened by the C library when a thread ends.
libraries="libgcc_s.so.1 libyajl.so.2 libfdt.so.1 libseccomp.so.2
    liburing.so.2 libxenlight.so.4.17 libxlutil.so.4.17 libxenguest.so.4.17
    libxenctrl.so.4.17 libxencall.so.1 libxendevicemodel.so.1
    libxenevtchn.so.1 libxenforeignmemory.so.1 libxengnttab.so.1
    libxenhypfs.so.1 libxenstore.so.4 libxentoolcore.so.1
    libxentoollog.so.1 libuuid.so.1"

multiarch=usr/lib/aarch64-linux-gnu

# A folder with the links of a merged Debian root.
merged_root() {
    mkdir -p "$1"/usr/{bin,sbin,lib}
    ln -s usr/bin "$1/bin"
    ln -s usr/sbin "$1/sbin"
    ln -s usr/lib "$1/lib"
}

unpack_into() {
    dpkg-deb --fsys-tarfile "$2" | tar -C "$1" -x --keep-directory-symlink
}

needed_by() {
    aarch64-linux-gnu-readelf -d "$@" 2>/dev/null |
        sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u
}

# Copy a library from the full tree, and the libraries it needs.
add_library() {
    local needed
    [ -e "root/$multiarch/$1" ] && return
    [ -e "full/$multiarch/$1" ] || die "dom0 needs $1, which no package has"
    cp -L "full/$multiarch/$1" "root/$multiarch/$1"
    for needed in $(needed_by "root/$multiarch/$1"); do
        add_library "$needed"
    done
}

build() {
    local deb name
    say "building dom0's file system"
    merged_root full
    for deb in "$debs"/*.deb; do
        case $(basename "$deb") in
        linux-* | xen-hypervisor-* | *-dev_*) ;;
        *) unpack_into full "$deb" ;;
        esac
    done

    merged_root root
    mkdir -p root/{proc,sys,run,tmp,host,root,$multiarch} \
        root/var/{lib/xen,log} root/usr/local/{bin,sbin}
    ln -s /run root/var/run
    ln -s /run/lock root/var/lock
    for name in $whole; do
        unpack_into root "$debs/${name}"_*.deb
    done
    rm -rf root/usr/share root/etc/init.d root/usr/lib/xen-4.17/lib \
        root/usr/lib/xen-4.17/bin/oxenstored root/usr/bin/pygrub
    for name in $programs; do
        cp -L "full/$name" "root/$name"
    done
    cp "$debian/busybox" root/bin/busybox
    cp -P full/lib/ld-linux-aarch64.so.1 root/lib/
    for name in $libraries ld-linux-aarch64.so.1 $(needed_by root/bin/* \
        root/sbin/* root/usr/lib/xen-4.17/bin/*); do
        add_library "$name"
    done

    cp "$HOST_DIR"/dom0/{passwd,group,profile} root/etc/
    install -m 755 "$HOST_DIR/dom0/init" root/init
    install -m 755 -D "$HOST_DIR/dom0/agent" root/usr/lib/host/agent
    "$HOST_DIR/mkinitramfs" root out/initramfs
}

debs=$("$HOST_DIR/build/debs-arm64.sh")
debian=$("$HOST_DIR/build/debian-arm64.sh")
component dom0-image build "$(basename "$debs")" "$HOST_DIR/mkinitramfs" \
    "$HOST_DIR"/dom0/{init,agent,passwd,group,profile}
