#!/bin/bash
# An arm64 kernel, cross-built from Debian's source package: linux.sh KIND
#   small    one for dom0, driver domains and guests alike
#   debug    for guests: the same with the kernel's checks of its drivers
# What there is of each:
#   Image    the kernel
#   modules/ its modules
#   config   its full configuration
#   build/   what `make -C build M=...` needs to build a module for it
. "$(dirname "$0")/lib.sh"

package=linux-source-6.12
kind=${1:-}
# The later ones change what the earlier ones say.
fragments=("$HOST_DIR/config/linux-small.config")
case $kind in
small) ;;
debug) fragments+=("$HOST_DIR/config/linux-debug.config") ;;
*) die "usage: $(basename "$0") small|debug" ;;
esac

# What the fragments say in the end, a line per option.
wanted_options() {
    awk '/^CONFIG_[A-Z0-9_]+=/ { option = $1; sub(/=.*/, "", option) }
         /^# CONFIG_[A-Z0-9_]+ is not set$/ { option = $2 }
         option { line[option] = $0; option = "" }
         END { for (option in line) print line[option] }' "${fragments[@]}"
}

# Options that Kconfig did not take over.
missing_options() {
    local line option
    while read -r line; do
        case $line in
        CONFIG_*=*)
            grep -qxF "$line" "$1" || echo "$line"
            ;;
        *)
            option=${line#\# }
            option=${option% is not set}
            ! grep -q "^$option=" "$1" || echo "$line"
            ;;
        esac
    done < <(wanted_options)
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
        "$src/scripts/kconfig/merge_config.sh" -m -O . .config "${fragments[@]}")
    quiet "$log" "${kmake[@]}" olddefconfig
    missing=$(missing_options "$obj/.config")
    [ -z "$missing" ] || die "the kernel did not take these options:" $missing

    say "building the $kind kernel (about 10 minutes, once)"
    quiet "$log" "${kmake[@]}" Image modules
    cp "$obj/arch/arm64/boot/Image" out/Image
    mkdir out/modules
    find "$obj" -name '*.ko' -exec cp -t out/modules {} +
    cp "$obj/.config" out/config
    basename "$deb" .deb >out/version
    module_build_tree "$src" "$obj" "$PWD/out/build"
    say "kernel ready: $(basename "$deb" .deb)"
}

component "linux-$kind" build "${fragments[@]}" "$package"
