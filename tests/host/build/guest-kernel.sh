#!/bin/bash
# A kernel that Debian has for guests, to be started: guest-kernel.sh ARCH SERIES,
# as guest-headers.sh has them, whose revision it is.
#   vmlinuz  modules/  kernel-version
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

arch=$1
series=$2
suite=
[ "$series" != 7 ] || suite=testing
headers=$("$HOST_DIR/build/guest-headers.sh" "$arch" "$series")
version=$(cat "$headers/kernel-version")

unpack() {
    local deb
    say "downloading Debian's kernel $version"
    apt_state "$arch" "$suite" deb
    apt_run apt-cache show "linux-image-$version" >known 2>/dev/null ||
        die "Debian has no kernel $version any more: remove $headers"
    quiet log apt_run apt-get -qq download "linux-image-$version"
    # Testing has kernel and modules in packages of their own.
    [ -z "$suite" ] || quiet log apt_run apt-get -qq download \
        "linux-binary-$version" "linux-modules-$version"
    for deb in *.deb; do
        dpkg-deb -x "$deb" root
    done
    cp "$(find root -name 'vmlinuz*' -type f)" out/vmlinuz
    mv "$(find root -type d -path '*/lib/modules')" out/modules
    echo "$version" >out/kernel-version
}

component "guest-kernel-$arch-$series" unpack "$HOST_DIR/build/apt.sh" \
    "$arch" "$version"
