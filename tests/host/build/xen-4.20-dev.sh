#!/bin/bash
# Headers and libraries of Xen 4.20 (Debian 13, amd64), unpacked beside the
# system, to see that the project compiles against a newer Xen as well:
#   gcc -I$P/usr/include -L$P/usr/lib/x86_64-linux-gnu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

packages="libxen-dev libxenmisc4.20 libxencall1 libxendevicemodel1
    libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenhypfs1
    libxenstore4 libxentoolcore1 libxentoollog1"

unpack() {
    local deb
    say "downloading the headers of Xen 4.20"
    apt_state amd64 trixie deb
    quiet log apt_run apt-get -qq download $packages
    for deb in *.deb; do
        dpkg-deb -x "$deb" out
    done
    rm -rf out/usr/share
    [ -z "$(find out -xtype l)" ] || die "links that lead nowhere"
}

component xen-4.20-dev unpack "$HOST_DIR/build/apt.sh"
