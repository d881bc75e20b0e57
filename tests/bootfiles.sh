#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boot files from a guest to dom0, with files in place of the guest's /boot and
# of the disk between the two.
set -eu
cd "$(dirname "$0")/.."
host=$PWD/tools/bootfiles/vr-bootfiles hook=$PWD/tools/bootfiles/vr-bootfiles-hook
dir=$(mktemp -d "${TMPDIR:-/tmp}/vr-bootfiles.XXXXXX")
trap 'rm -rf "$dir"' EXIT
image=$dir/disk folder=$dir/boot
magic="virtio-restricted boot files 1"

fail() {
    echo "bootfiles: $*: $(cat "$dir/said")"
    exit 1
}

# ends STATUS TEXT COMMAND...: TEXT is in what it says
ends() {
    want=$1 text=$2 got=0
    shift 2
    "$@" > "$dir/said" 2>&1 || got=$?
    [ $got = "$want" ] || fail "$* ended with $got"
    [ -z "$text" ] || grep -qF -- "$text" "$dir/said" ||
        fail "$* does not say \"$text\""
}

# The hook reads its disk's name from a file of the guest's: this is that file.
in_guest() {
    sed "s|^\[ ! -r /etc.*|disk=$image boot=$dir/guest|" "$hook" \
        > "$dir/hook"
    sh "$dir/hook" 6.1.0-1 whatever
}

# kernel VERSION BYTES [BYTES]: with an initrd if there is a third word
kernel() {
    head -c "$2" /dev/urandom > "$dir/guest/vmlinuz-$1"
    [ $# -eq 2 ] || head -c "$3" /dev/urandom > "$dir/guest/initrd.img-$1"
}

# has LINK VERSION: that pair, to the byte
has() {
    cmp "$folder/$1/vmlinuz" "$dir/guest/vmlinuz-$2" &&
        cmp "$folder/$1/initrd" "$dir/guest/initrd.img-$2"
}

# damaged TEXT: refused, and what was there stays
damaged() {
    ends 1 "$1" "$host" "$image" "$folder"
    has current 6.1.0-10 || fail "another pair after a bad one"
    [ ! -e "$folder/.new" ] || fail "something unfinished is left"
}

# header LINE...: instead of the guest's
header() {
    printf '%s\n' "$@" | dd of="$image" bs=4096 conv=notrunc,sync 2>/dev/null
}

mkdir "$folder" "$dir/guest"
ends 2 usage "$host"
ends 2 usage "$host" --init "$image" 4X
ends 0 "is missing" in_guest
ends 1 "cannot be read" "$host" "$image" "$folder"
ends 0 "" "$host" --init "$image" 1M
ends 1 "in use already" "$host" --init "$image" 1M
ends 0 "handed out nothing" "$host" "$image" "$folder"
ends 1 "has an initrd" in_guest

# The newest with an initrd, by version and not by name or date.
kernel 6.1.0-10 70001 300000
kernel 6.1.0-9 60000 8192
kernel 6.12.0-1 4096
ends 0 "6.1.0-10 handed to dom0" in_guest
ends 0 "6.1.0-10" "$host" "$image" "$folder"
has current 6.1.0-10 || fail "another pair"
cp "$image" "$dir/before"
ends 0 "" in_guest
cmp "$image" "$dir/before" || fail "written although nothing is new"
ends 0 "" "$host" "$image" "$folder"
[ ! -s "$dir/said" ] || fail "words although nothing is new"

# What a guest can write instead.
sums=$(dd if="$image" bs=4096 count=1 2>/dev/null | tr -d '\0')
v=$(echo "$sums" | grep ^vmlinuz) i=$(echo "$sums" | grep ^initrd)
zero=$(printf '%064d' 0)
header "something else"; damaged "not a disk for boot files"
header "$magic" "vmlinuz 70001 $zero" "$i"; damaged "vmlinuz is not what"
header "$magic" "$v" "initrd 300000 $zero"; damaged "initrd is not what"
header "$magic" "$v"; damaged "no sound line for initrd"
header "$magic" "$v" "$v" "$i"; damaged "no sound line for initrd"
header "$magic" "vmlinuz -1 $zero" "$i"; damaged "no sound line for vmlinuz"
header "$magic" "vmlinuz 0 $zero" "$i"; damaged "no sound line for vmlinuz"
header "$magic" "vmlinuz 99999999999 $zero" "$i"; damaged "no sound line"
header "$magic" "vmlinuz 9999999999 $zero" "$i"; damaged "more than"
header "$magic" "vmlinuz 200000000 $zero" "$i"; damaged "vmlinuz is not what"
header "$magic" "vmlinuz \$(touch $dir/owned) $zero" "$i"; damaged "no sound"
header "$magic" "$v" "$i" "version $(printf '\033[2J\n../../x')"
ends 0 "current: ?[2J" "$host" "$image" "$folder"
[ ! -e "$dir/owned" ] || fail "the header was run"
header "$magic"
ends 0 "is at it" "$host" "$image" "$folder"
has current 6.1.0-10 || fail "another pair"

# Back again, an update, an update that does not fit, and a removed kernel.
ends 0 "6.1.0-10 handed" in_guest
ends 0 "6.1.0-10" "$host" "$image" "$folder"
kernel 6.12.0-1 4096 4096
ends 0 "6.12.0-1 handed" in_guest
ends 0 "6.12.0-1" "$host" "$image" "$folder"
has current 6.12.0-1 && has previous 6.1.0-10 || fail "not both"
kernel 6.13.0-1 4096 2000000
ends 1 "make the disk larger" in_guest
ends 0 "" "$host" "$image" "$folder"
has current 6.12.0-1 || fail "another pair"
rm "$dir"/guest/*6.13* "$dir"/guest/*6.12*
ends 0 "6.1.0-10 handed" in_guest
ends 0 "6.1.0-10" "$host" "$image" "$folder"
has current 6.1.0-10 || fail "another pair"
[ "$(find "$folder" -name 'files-*' | wc -l)" = 2 ] || fail "pairs are left"

# A disk that is not ours is not written to.
head -c 1048576 /dev/urandom > "$image"
cp "$image" "$dir/before"
ends 1 "not a disk for boot files" in_guest
cmp "$image" "$dir/before" || fail "a disk of somebody's was written to"
