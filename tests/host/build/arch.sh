# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this use them
# What the two architectures differ in; sourced after lib.sh by scripts whose
# first argument is Debian's name of one.

arch=${1:-}
case $arch in
arm64)
    triplet=aarch64-linux-gnu
    loader=lib/ld-linux-aarch64.so.1
    flavour=cloud-arm64
    ;;
amd64)
    triplet=x86_64-linux-gnu
    loader=lib64/ld-linux-x86-64.so.2
    # The cloud kernel can be no dom0 here.
    flavour=amd64
    ;;
*)
    die "usage: $(basename "$0") arm64|amd64"
    ;;
esac
