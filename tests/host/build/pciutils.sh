#!/bin/bash
# lspci and setpci for a guest: pciutils.sh arm64|amd64. Debian's, and the
# libraries that they are linked to, unpacked.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/arch.sh"
. "$(dirname "$0")/apt.sh"

unpack() {
    local deb
    say "downloading pciutils for $arch"
    apt_state "$arch" "" deb
    quiet log apt_run apt-get -qq download pciutils libpci3 libkmod2 libudev1 \
        zlib1g liblzma5 libzstd1 libssl3 libc6
    for deb in *.deb; do
        dpkg-deb -x "$deb" out
    done
    rm -rf out/usr/share/doc out/usr/share/man
}

component "pciutils-$arch" unpack "$HOST_DIR"/build/{apt,arch}.sh
