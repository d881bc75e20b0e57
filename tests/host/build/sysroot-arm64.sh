#!/bin/bash
# Headers and libraries of arm64 Debian for cross-compiling:
#   aarch64-linux-gnu-gcc -I$S/usr/include -L$S/usr/lib/aarch64-linux-gnu
# The C library itself comes with the cross compiler.
. "$(dirname "$0")/lib.sh"

unpack() {
    local deb link target dir
    say "unpacking the arm64 sysroot"
    for deb in "$debs"/lib*.deb "$debs"/uuid-dev_*.deb "$debs"/zlib1g_*.deb; do
        case $(basename "$deb") in
        libc6_* | libgcc-s1_*) continue ;;
        esac
        dpkg-deb -x "$deb" out
    done
    # Libraries in /lib move to /usr/lib, as on a merged system.
    dir=usr/lib/aarch64-linux-gnu
    cd out
    if [ -d lib/aarch64-linux-gnu ]; then
        cp -a lib/aarch64-linux-gnu/. $dir/
        rm -rf lib
    fi
    rm -rf usr/share usr/lib/xen-* etc
    # Links that are absolute or that led from /usr/lib to /lib.
    find $dir -type l | while read -r link; do
        target=$(readlink "$link")
        if [ ! -e "$link" ] || [ "${target#/}" != "$target" ]; then
            ln -sf "$(basename "$target")" "$link"
        fi
    done
    link=$(find $dir -xtype l)
    [ -z "$link" ] || die "links that lead nowhere in the sysroot:" $link
}

debs=$("$HOST_DIR/build/debs.sh" arm64)
component sysroot-arm64 unpack "$(basename "$debs")"
