#!/bin/bash
# An arm64 hypervisor with ioreq servers, cross-built from Debian's source
# package of Xen 4.17.
#   xen      the hypervisor
#   config   its full configuration
#   version  the source package's version
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

fragment=$HOST_DIR/config/xen-ioreq.config

# Not every version that the lists name can still be downloaded: take the
# newest one that can.
download_source() {
    local version
    apt_state amd64 "" deb-src
    for version in $(apt_run apt-cache showsrc --only-source xen |
        sed -n 's/^Version: //p' | sort -Vr | uniq); do
        case $version in 4.17.*) ;; *) continue ;; esac
        say "downloading the source of Xen $version"
        if apt_run apt-get -qq --download-only source "xen=$version" \
            >>log 2>&1; then
            echo "$version" >out/version
            return
        fi
        say "this version is not available any more"
    done
    tail -n 5 log >&2
    die "no source package of Xen 4.17 can be downloaded"
}

build() {
    local log=$PWD/log missing
    local xmake=(make -C "$PWD/source/xen" XEN_TARGET_ARCH=arm64
        CROSS_COMPILE=aarch64-linux-gnu- -j"$VR_JOBS"
        XEN_WHOAMI=host XEN_DOMAIN=virtio-restricted)

    download_source
    quiet "$log" dpkg-source --no-check -x xen_*.dsc source
    say "building the hypervisor (about 1 minute, once)"
    cat source/xen/arch/arm/configs/arm64_defconfig "$fragment" \
        >source/xen/.config
    quiet "$log" "${xmake[@]}" olddefconfig
    missing=$(grep CONFIG_ "$fragment" | grep -vxF -f source/xen/.config) ||
        true
    [ -z "$missing" ] || die "Xen did not take these options:" $missing
    quiet "$log" "${xmake[@]}" build
    cp source/xen/xen out/xen
    cp source/xen/.config out/config
    say "hypervisor ready: Xen $(cat out/version)"
}

component xen-ioreq build "$HOST_DIR/build/apt.sh" "$fragment"
