# shellcheck shell=bash
# Shared by the scripts in this folder; sourced, not run.  bash.
#
# A component is a folder in the cache that one script produces from known
# inputs.  Its name carries a hash of those inputs, so a changed script or
# configuration makes a new folder and an unchanged one costs nothing.
# Every script prints the component's path on stdout and talks on stderr.

set -euo pipefail
umask 022
export LC_ALL=C

HOST_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export HOST_DIR
VR_CACHE=${VR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtio-restricted}
case $VR_CACHE in /*) ;; *) VR_CACHE=$PWD/$VR_CACHE ;; esac
export VR_CACHE
export VR_JOBS=${VR_JOBS:-$(nproc)}

# Progress lines count from the start of the outermost command.
: "${VR_T0:=$(date +%s.%N)}"
export VR_T0

say() {
    awk -v t0="$VR_T0" -v t1="$(date +%s.%N)" -v text="$*" \
        'BEGIN { printf "[host] %6.1f s  %s\n", t1 - t0, text }' >&2
}

die() {
    say "error: $*"
    exit 1
}

# Run a noisy command with its output in a file; show the end on failure.
# quiet LOGFILE COMMAND...
quiet() {
    local log=$1
    shift
    "$@" >>"$log" 2>&1 && return
    say "failed: $*"
    tail -n 25 "$log" >&2
    exit 1
}

# input_hash FILE-OR-STRING...: an argument that names a file stands for its
# content, any other for itself.
input_hash() {
    local arg
    for arg in "$@"; do
        if [ -f "$arg" ]; then
            echo "$(basename "$arg") $(sha256sum <"$arg")"
        else
            echo "$arg"
        fi
    done | sha256sum | cut -c1-12
}

clean_up() {
    if [ ! -d "$2" ] && [ -f "$1/log" ]; then
        mv "$1/log" "$2.log"
        say "the whole log is $2.log"
    fi
    cd /
    rm -rf "$1"
}

# component NAME FUNCTION INPUT...
# Prints the path of NAME's folder.  When it is not cached yet, FUNCTION is
# called in an empty scratch folder and leaves the result in ./out, which is
# then renamed into place: a folder in the cache is always complete.  Output
# of its commands goes to ./log, which outlives a failure.
component() {
    local name=$1 produce=$2 dir scratch
    shift 2
    dir=$VR_CACHE/$name-$(input_hash "$0" "$@")
    if [ ! -d "$dir" ]; then
        mkdir -p "$VR_CACHE"
        # Two commands that want the same component build it once.
        exec 9>"$dir.lock"
        flock 9
        if [ ! -d "$dir" ]; then
            scratch=$(mktemp -d "$VR_CACHE/.$name.XXXXXX")
            (
                trap 'clean_up "$scratch" "$dir"' EXIT
                cd "$scratch"
                mkdir out
                ("$produce") >&2
                mv -T out "$dir"
            ) 9>&-
        fi
        rm -f "$dir.lock"
        exec 9>&-
    fi
    echo "$dir"
}
