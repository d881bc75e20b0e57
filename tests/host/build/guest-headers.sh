#!/bin/bash
# What builds modules for a kernel that Debian has for guests:
#   guest-headers.sh arm64|amd64 6.1|6.12, then `make -C <component>/build M=...`
# Any revision of the series will do; the one found first is kept.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

arch=$1
series=$2
flavour=$arch
[ "$arch" = amd64 ] || flavour=cloud-$arch # the one that the host has
# 6.1.0-56-amd64, 6.12.117+deb12-cloud-arm64
case $series in
6.1) pattern='linux-headers-6\.1\.0-[0-9]*-'$flavour ;;
*) pattern="linux-headers-${series//./\\.}\\.[0-9.]*+deb12-$flavour" ;;
esac

unpack() {
    local newest version common deb headers
    say "downloading the headers of Debian's $series kernel for $arch"
    apt_state "$arch" "" deb
    newest=$(apt_run apt-cache pkgnames "linux-headers-$series" |
        grep -x "$pattern" | sort -V | tail -n 1)
    [ -n "$newest" ] || die "no package matches $pattern"
    version=${newest#linux-headers-}
    common=${version%-"$flavour"}-common
    quiet log apt_run apt-get -qq download "$newest"
    # The other halves: for every architecture, and programs for this machine.
    # 6.1 names its programs by the series, 6.12 by the version.
    apt_state amd64 "" deb
    quiet log apt_run apt-get -qq download "linux-headers-$common"
    apt_run apt-get -qq download "linux-kbuild-${common%-common}" \
        >>log 2>&1 ||
        quiet log apt_run apt-get -qq download "linux-kbuild-$series"
    for deb in *.deb; do
        dpkg-deb -x "$deb" out
    done
    rm -rf out/usr/share
    # Debian's makefile expects to be installed in /usr/src.
    headers=usr/src/linux-headers-$version
    printf 'include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))%s\n' \
        "../linux-headers-$common/Makefile" >"out/$headers/Makefile"
    # Its vmlinux holds type information that only pahole could use.
    rm -f "out/$headers/vmlinux"
    echo "$version" >out/kernel-version
    ln -s "$headers" out/build
}

component "guest-headers-$arch-$series" unpack "$HOST_DIR/build/apt.sh" \
    "$arch" "$series"
