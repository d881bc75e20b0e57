#!/bin/bash
# The small arm64 kernel, cross-built from Debian's source package.
#   Image    the kernel, for dom0, driver domains and guests alike
#   config   its full configuration
#   build/   what `make -C build M=...` needs to build a module for it
. "$(dirname "$0")/lib.sh"

package=linux-source-6.12
fragment=$HOST_DIR/config/linux-small.config

# Options of the fragment that Kconfig did not take over.
missing_options() {
    local line option
    while read -r line; do
        case $line in
        CONFIG_*=*)
            grep -qxF "$line" "$1" || echo "$line"
            ;;
        "# CONFIG_"*" is not set")
            option=${line#\# }
            option=${option% is not set}
            grep -q "^$option=" "$1" && echo "$line"
            ;;
        esac
    done <"$fragment"
    return 0
}

# The subset of source and object tree that builds modules.
module_build_tree() {
    local src=$1 obj=$2 dst=$3
    mkdir -p "$dst"
    (
        cd "$src"
        echo Makefile
        echo Kconfig
        echo arch/arm64/Makefile
        find include scripts arch/arm64/include tools/include -type f
    ) >files
    tar -C "$src" -c -T files | tar -C "$dst" -x
    (
        cd "$obj"
        find include scripts arch/arm64/include -type f \
            ! -name '*.o' ! -name '*.cmd'
        echo .config
        echo Module.symvers
    ) >files
    tar -C "$obj" -c -T files | tar -C "$dst" -x
}

build() {
    local src=$PWD/linux obj=$PWD/obj log=$PWD/log deb missing
    local kmake=(make -C "$src" O="$obj" ARCH=arm64
        CROSS_COMPILE=aarch64-linux-gnu- -j"$VR_JOBS"
        KBUILD_BUILD_USER=host KBUILD_BUILD_HOST=virtio-restricted)

    # Only now: a kernel in the cache does not need its source.
    deb=$(ls "$("$HOST_DIR/build/linux-source.sh" "$package")"/*.deb)
    say "unpacking the kernel source"
    mkdir -p "$src" "$obj"
    dpkg-deb --fsys-tarfile "$deb" |
        tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
        tar -C "$src" -xJ --strip-components=1

    quiet "$log" "${kmake[@]}" tinyconfig
    (cd "$obj" && quiet "$log" \
        "$src/scripts/kconfig/merge_config.sh" -m -O . .config "$fragment")
    quiet "$log" "${kmake[@]}" olddefconfig
    missing=$(missing_options "$obj/.config")
    [ -z "$missing" ] || die "the kernel did not take these options:" $missing

    say "building the small kernel (about 10 minutes, once)"
    quiet "$log" "${kmake[@]}" Image modules
    cp "$obj/arch/arm64/boot/Image" out/Image
    cp "$obj/.config" out/config
    basename "$deb" .deb >out/version
    module_build_tree "$src" "$obj" "$PWD/out/build"
    say "kernel ready: $(basename "$deb" .deb)"
}

component linux-small build "$fragment" "$package"
