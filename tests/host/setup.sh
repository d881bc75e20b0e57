#!/bin/sh
# Install what building and testing need, on Debian 12, amd64.
# Does nothing, and asks for no network, when all of it is there.
set -eu

# compilers for both architectures, checkers, fuzzers and a model checker
packages="gcc ccache make libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    clang clang-format clang-tidy libclang-rt-14-dev valgrind spin sparse
    pkg-config shellcheck pylint pmccabe"
# libraries of the project and of its unit tests
packages="$packages libxen-dev libyajl-dev libfdt-dev liburing-dev
    libseccomp-dev libcmocka-dev uuid-dev"
# what judges device trees
packages="$packages device-tree-compiler dt-schema"
# the survey: plots, and headers for the guest's screen
packages="$packages gnuplot-nox libdrm-dev"
# the emulated hosts: kernel, hypervisor, packages
packages="$packages qemu-system-arm qemu-system-x86 flex bison bc libssl-dev
    libelf-dev cpio rsync xz-utils zstd dpkg-dev python3 acpica-tools
    debian-archive-keyring ca-certificates util-linux"

missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
# The package lists name the mirrors that the cache is filled from.
lists=$(apt-get indextargets --format '$(ORIGIN)' | grep -cx Debian) || :
if [ -z "$missing" ] && [ "$lists" -gt 0 ]; then
    echo "[host] all packages are installed" >&2
    exit 0
fi

sudo=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "[host] error: not root and no sudo; run apt-get update and" \
            "install:$missing" >&2
        exit 1
    }
    sudo=sudo
fi
$sudo apt-get -qq update
[ -n "$missing" ] || exit 0
echo "[host] installing:$missing" >&2
$sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends \
    $missing >/dev/null
