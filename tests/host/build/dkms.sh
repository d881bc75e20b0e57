#!/bin/bash
# Debian's dkms and the programs that it calls, unpacked beside the system:
# usr/sbin/dkms, bin/kmod with its links in sbin/, and its library beside them.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

unpack() {
    local deb link
    say "downloading dkms"
    apt_state amd64 "" deb
    quiet log apt_run apt-get -qq download dkms kmod libkmod2
    for deb in *.deb; do
        dpkg-deb -x "$deb" out
    done
    rm -rf out/usr/share out/etc
    for link in out/sbin/*; do
        ln -sf ../bin/kmod "$link"
    done
}

component dkms unpack "$HOST_DIR/build/apt.sh"
