#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is compiled again when flags change, what make install lays down at
# another prefix than the programs were built for, what make uninstall leaves,
# and how programs end that cannot work: install.sh BUILD-FOLDER
set -eu
cd "$(dirname "$0")/.."
build=$1
dest=$(mktemp -d "${TMPDIR:-/tmp}/vr-install.XXXXXX")
trap 'rm -rf "$dest"' EXIT

fail() {
    echo "install: $*"
    exit 1
}

# goal GOAL: of a package that lives in /usr. Flags as the build has them, or
# all of it would be made again.
goal() {
    make --no-print-directory O="$build" WERROR=1 DESTDIR="$dest" PREFIX=/usr \
        "$@"
}

files() {
    (cd "$dest" && find . -type f -printf '%m %P\n' | LC_ALL=C sort)
}

# ends STATUS COMMAND...
ends() {
    want=$1 got=0
    shift
    "$@" > "$dest/said" 2>&1 || got=$?
    [ $got = "$want" ] || fail "$* ended with $got: $(cat "$dest/said")"
    rm "$dest/said"
}

# compiled CFLAGS: whether one object is made for these flags
compiled() {
    make --no-print-directory O="$dest/build" CFLAGS="$1" \
        "$dest/build/tools/libs/proto/link.o" | grep -q CC
}

compiled -O0 || fail "nothing was compiled"
! compiled -O0 || fail "compiled again without need"
compiled -O1 || fail "not compiled again for other flags"
rm -r "$dest/build"

goal install
expected="644 usr/lib/sysusers.d/virtio-restricted.conf
644 usr/lib/virtio-restricted/vr-plugin.so
644 usr/lib/virtio-restricted/xl-virtio-restricted.so
644 usr/share/man/man5/xl-virtio-restricted.cfg.5
644 usr/share/man/man8/vr-backend.8
644 usr/share/man/man8/vr-bootfiles.8
644 usr/share/man/man8/vr-broker.8
644 usr/share/man/man8/vr-mkdriver.8
644 usr/share/man/man8/vrctl.8
644 usr/share/virtio-restricted/examples/disk-driver.cfg
644 usr/share/virtio-restricted/examples/guest.cfg
644 usr/share/virtio-restricted/examples/vr-backend.service
755 usr/lib/virtio-restricted/vr-backend
755 usr/lib/virtio-restricted/vr-broker
755 usr/sbin/vr-bootfiles
755 usr/sbin/vr-mkdriver
755 usr/sbin/vrctl
755 usr/sbin/xl
755 usr/share/virtio-restricted/guest/vr-bootfiles-hook"
[ "$(files)" = "$expected" ] || fail "other files: $(files)"
lib=$dest/usr/lib/virtio-restricted sbin=$dest/usr/sbin

# Nothing looks for another part where it is not.
for f in "$sbin/vrctl" "$lib/vr-broker" "$lib/vr-plugin.so" \
    "$lib/xl-virtio-restricted.so"; do
    ! grep -aqE '/usr/local/(sbin|lib)' "$f" || fail "$f names /usr/local"
    ! readelf -dW "$f" | grep -E 'RPATH|RUNPATH' || fail "$f"
    readelf -dW "$f" | grep -q BIND_NOW || fail "$f: bound lazily"
done
grep -q "^libexec='/usr/lib/virtio-restricted'\$" "$sbin/xl" || fail "launcher"

ends 64 "$sbin/vrctl"
ends 64 "$sbin/vrctl" list --nosuch
ends 0 "$sbin/vrctl" --help
# says NAME PROGRAM: the version that make has
version=$(sed -n 's/^VERSION *:= *//p' Makefile)
says() {
    [ "$("$2" --version)" = "$1 (virtio-restricted) $version" ] ||
        fail "$2 --version: $("$2" --version)"
}
says vrctl "$sbin/vrctl"
says vr-mkdriver "$sbin/vr-mkdriver"
says vr-bootfiles "$sbin/vr-bootfiles"
says vr-broker "$lib/vr-broker"
says vr-backend "$lib/vr-backend"
grep -q "^PACKAGE_VERSION=\"$version\"\$" tools/guest-linux/dkms.conf &&
    grep -q "^MODULE_VERSION(\"$version\")" tools/guest-linux/main.c ||
    fail "the guest module is not of version $version"
grep -q "^virtio-restricted $version" NEWS || fail "NEWS has no $version"
ends 0 "$sbin/vr-mkdriver" -h
ends 0 "$sbin/vr-mkdriver" --help
ends 2 "$sbin/vr-mkdriver"
ends 2 "$sbin/vr-bootfiles"
ends 2 "$lib/vr-backend" -c nosuch
ends 2 "$lib/vr-broker"

# The user is what the broker asks for, and what systemd-sysusers makes of it.
user=$(sed -n 's/^u \([^ ]*\) .*/\1/p' \
    "$dest/usr/lib/sysusers.d/virtio-restricted.conf")
grep -q "define VR_USER \"$user\"" tools/libs/base/vr.h || fail "user: $user"
if command -v systemd-sysusers > /dev/null; then
    mkdir -p "$dest/etc"
    systemd-sysusers --root="$dest" virtio-restricted.conf
    grep -q "^$user:.*:/usr/sbin/nologin\$" "$dest/etc/passwd" || fail "sysusers"
    rm -r "${dest:?}/etc"
fi

# A module that cannot be unpacked is not one that is missing.
modules=$dest/modules
mkdir -p "$modules/6.1/kernel"
echo rubbish > "$modules/6.1/kernel/xen-gntdev.ko.xz"
head -c 64 "$lib/vr-backend" > "$dest/busybox"
ends 1 "$sbin/vr-mkdriver" -o "$dest/image" -B "$dest/busybox" -m "$modules"
[ ! -e "$dest/image" ] || fail "an image without its module"
rm "$modules/6.1/kernel/xen-gntdev.ko.xz"
ends 0 "$sbin/vr-mkdriver" -o "$dest/image" -B "$dest/busybox" -m "$modules"
rm -r "$modules" "$dest/busybox" "$dest/image"

# Waiting for a xenstore that there may never be can be ended.
ends 124 timeout -k 5 1 "$lib/vr-backend" -S

goal uninstall
[ -z "$(files)" ] || fail "left behind: $(files)"
[ ! -e "$dest/usr/share/virtio-restricted" ] || fail "a folder is left behind"
[ ! -e "$lib" ] || fail "a folder is left behind"

# Somebody else's xl is neither replaced nor removed.
echo '#!/bin/sh' > "$sbin/xl"
! goal install || fail "the distribution's xl was replaced"
goal uninstall
[ "$(files)" = "644 usr/sbin/xl" ] || fail "changed: $(files)"
