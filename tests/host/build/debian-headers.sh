#!/bin/bash
# What builds modules for Debian's kernel, the one in debian-arm64 or
# debian-amd64, on this machine: `make -C <component>/build M=...`.
# debian-headers.sh arm64|amd64
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/arch.sh"
. "$(dirname "$0")/apt.sh"

unpack() {
    local deb headers
    say "downloading the headers of Linux $version (about 17 MB)"
    apt_state "$arch" "" deb
    quiet log apt_run apt-get -qq download "linux-headers-$version"
    # The other halves: for every architecture, and programs for this one.
    apt_state amd64 "" deb
    quiet log apt_run apt-get -qq download \
        "linux-headers-$common" "linux-kbuild-${common%-common}"
    for deb in *.deb; do
        dpkg-deb -x "$deb" out
    done
    rm -rf out/usr/share
    # Debian's makefile expects to be installed in /usr/src.
    headers=usr/src/linux-headers-$version
    printf 'include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))%s\n' \
        "../linux-headers-$common/Makefile" >"out/$headers/Makefile"
    # Its vmlinux holds type information that only pahole could use.
    rm "out/$headers/vmlinux"
    ln -s "$headers" out/build
}

version=$(cat "$("$HOST_DIR/build/debian.sh" "$arch")/kernel-version")
common=${version%-"$flavour"}-common
component "debian-headers-$arch" unpack "$HOST_DIR"/build/{apt,arch}.sh \
    "$version"
