#!/bin/bash
# dom0's root file system, an initramfs: Debian's Xen tools in the places
# where Debian has them, a shell, and the agent behind `host run`.
# dom0-image.sh arm64|amd64
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/arch.sh"

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
# Modules of Debian's kernel that dom0 loads when it starts, and one for those
# who want it; the small kernel of the arm64 host has all of this built in.
modules="xen-evtchn xen-privcmd xenfs xen-gntdev xen-gntalloc xen-blkback
    virtio_blk 9p 9pnet_virtio loop"
more_modules="null_blk"

multiarch=usr/lib/$triplet
qemu=usr/libexec/xen-qemu-system-i386

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
    readelf -d "$@" 2>/dev/null |
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

# Copy a module, unpacked, and those it needs; load them in this order.
# add_module NAME LIST
add_module() {
    local name=${1//-/_} file needed
    [ ! -e "root/lib/modules/$name.ko" ] || return 0
    file=$(find "$debian/modules" -name "${1//[-_]/[-_]}.ko.xz")
    [ -n "$file" ] || die "dom0 needs the module $1, which the kernel lacks"
    xz -dc "$file" >"root/lib/modules/$name.ko"
    for needed in $(tr '\0' '\n' <"root/lib/modules/$name.ko" |
        sed -n 's/^depends=//p' | tr , ' '); do
        add_module "$needed" "$2"
    done
    echo "$name" >>"$2"
}

# What only an x86 dom0 has: the kernel's modules, and QEMU for HVM guests,
# behind a program that loads their kernels.
add_x86() {
    local name
    mkdir -p root/lib/modules root/usr/{libexec,share/qemu}
    for name in $modules; do
        add_module "$name" root/lib/modules/load
    done
    for name in $more_modules; do
        add_module "$name" root/lib/modules/more
    done
    cp "full/$qemu" "root/$qemu.real"
    gcc -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -o "root/$qemu" \
        "$HOST_DIR"/hvmload/{hvmload.c,stub.S} -lxenforeignmemory
    cp -r full/usr/share/seabios root/usr/share/
    cp -rL full/usr/share/qemu/{keymaps,{linuxboot,kvmvapic}*.bin} \
        root/usr/share/qemu/
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
    mkdir -p "root/$(dirname "$loader")"
    mkdir -p root/{proc,sys,run,tmp,host,root,$multiarch} \
        root/var/{lib/xen,log} root/usr/local/{bin,sbin}
    ln -s /run root/var/run
    ln -s /run/lock root/var/lock
    for name in $whole; do
        unpack_into root "$debs/${name}"_*.deb
    done
    rm -rf root/usr/share root/etc/init.d/xen root/usr/lib/xen-4.17/lib \
        root/usr/lib/xen-4.17/bin/oxenstored root/usr/bin/pygrub
    for name in $programs; do
        cp -L "full/$name" "root/$name"
    done
    cp "$debian/busybox" root/bin/busybox
    [ "$arch" != amd64 ] || add_x86
    cp -P "full/$loader" "root/$loader"
    for name in $libraries "$(basename "$loader")" $(needed_by root/bin/* \
        root/sbin/* root/usr/lib/xen-4.17/bin/* root/usr/libexec/*); do
        add_library "$name"
    done

    cp "$HOST_DIR"/dom0/{passwd,group,profile} root/etc/
    # xendomains is Debian's; what it calls is in Python or in other packages.
    install -m 755 "$HOST_DIR"/dom0/xen-init-{list,name} \
        root/usr/lib/xen-common/bin/
    install -m 644 -D "$HOST_DIR/dom0/init-functions" \
        root/usr/lib/lsb/init-functions
    install -m 644 -D /dev/null root/usr/lib/init/vars.sh
    install -m 755 "$HOST_DIR/dom0/init" root/init
    install -m 755 -D "$HOST_DIR/dom0/agent" root/usr/lib/host/agent
    "$HOST_DIR/mkinitramfs" root out/initramfs
}

debs=$("$HOST_DIR/build/debs.sh" "$arch")
debian=$("$HOST_DIR/build/debian.sh" "$arch")
component "dom0-image-$arch" build "$(basename "$debs")" \
    "$(basename "$debian")" "$HOST_DIR"/{mkinitramfs,build/arch.sh} \
    "$HOST_DIR"/dom0/{init,agent,passwd,group,profile} \
    "$HOST_DIR"/dom0/{init-functions,xen-init-list,xen-init-name} \
    "$HOST_DIR"/hvmload/{hvmload.c,stub.S,stub.h}
