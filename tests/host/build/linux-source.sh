#!/bin/bash
# The kernel source as Debian packages it: linux-source.sh linux-source-6.12
# Any revision of the series will do; the one found first is kept.
. "$(dirname "$0")/lib.sh"

package=$1

download() {
    say "downloading $package (about 150 MB)"
    cd out
    quiet ../log apt-get -qq -o APT::Sandbox::User=root download "$package"
}

component linux-source download "$package"
