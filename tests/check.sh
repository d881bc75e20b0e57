#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the tests and counts them: check.sh all|quick|unit|module|model|fuzz|e2e
#
# HOST=arm64 or HOST=x86 limits the end-to-end tests to one emulated host.
# Each step prints a line and keeps its full output in out/log/; the last lines
# are what failed, once more, and "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
what=${1:-all}
jobs=$(nproc)
log=out/log
mkdir -p $log

# The same file is compiled for each flavour, clone and day: once is enough.
# The folder has Debian's links, named as the compilers are.
export PATH=/usr/lib/ccache:$PATH
export CCACHE_DIR=${VR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtio-restricted}/ccache
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=1G

start=$(date +%s)
passed=0 failed=0 skipped=0

# What failed, or was begun once more on another emulated host, from steps
# beside each other as well.
failures=$log/failures
: > $failures

say() {
    printf '[check] %4d s  %s\n' $(($(date +%s) - start)) "$*"
}

# fail TEXT: a line for a step that failed, now and at the end
fail() {
    say "FAIL $*"
    echo "  failed: $*" >> $failures
}

# one NAME COMMAND...: a step that counts as one test
one() {
    local name=$1 file begin=$SECONDS
    shift
    file=$log/${name//[^A-Za-z0-9._-]/_}.log
    if "$@" > "$file" 2>&1; then
        passed=$((passed + 1))
        say "PASS $name ($((SECONDS - begin)) s)"
    else
        failed=$((failed + 1))
        fail "$name (its output: $file)"
        tail -n 30 "$file" | sed 's/^/    /'
        return 1
    fi
}

# cmocka NAME COMMAND...: a cmocka program; its own tests are what counts
cmocka() {
    local name=$1 file ok bad none r begin=$SECONDS
    shift
    file=$log/${name//[^A-Za-z0-9._-]/_}.log
    CMOCKA_MESSAGE_OUTPUT=stdout "$@" > "$file" 2>&1
    r=$?
    ok=$(grep -c '^\[       OK \]' "$file")
    bad=$(grep -c '^\[  FAILED  \] [^0-9]' "$file")
    none=$(grep -c '^skipped: ' "$file") # a test that says why it does nothing
    # a crash, a leak or a run without tests is a failure of its own
    [ $r -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    [ $((ok + none)) -eq 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ok))
    failed=$((failed + bad))
    skipped=$((skipped + none))
    if [ "$bad" -eq 0 ] && [ "$ok" -eq 0 ]; then
        say "SKIP $name: $(grep '^skipped: ' "$file")"
    elif [ "$bad" -eq 0 ]; then
        say "PASS $name: $ok tests ($((SECONDS - begin)) s)"
    else
        fail "$name: $ok passed, $bad failed (exit $r, output: $file)"
        tail -n 30 "$file" | sed 's/^/    /'
    fi
}

# together COMMAND...: one or cmocka, beside others, as many at a time as there
# are processors. finish() waits for all of them and adds up what they counted.
tally=$log/tally
spawned=()
: > $tally

together() {
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
        wait -n
    done
    tallied "$tally" "$@" &
    spawned+=($!)
}

# tallied FILE COMMAND...: what the command counts goes to the file
tallied() {
    local file=$1
    shift
    passed=0 failed=0 skipped=0
    "$@"
    echo "$passed $failed $skipped" >> "$file"
}

# add FILE N: what N steps have counted
add() {
    local ok bad left n=0
    while read -r ok bad left; do
        passed=$((passed + ok))
        failed=$((failed + bad))
        skipped=$((skipped + left))
        n=$((n + 1))
    done < "$1"
    if [ $n -ne "$2" ]; then
        failed=$((failed + $2 - n))
        fail "$(($2 - n)) steps ended without a result"
    fi
    : > "$1"
}

finish() {
    wait "${spawned[@]}"
    add "$tally" ${#spawned[@]}
    spawned=()
}

# lane FUNCTION: what it runs together has a tally of its own
lane() {
    tally=$tally-$1
    : > "$tally"
    "$1"
}

# beside FUNCTION...: all of them at the same time; each may run things together
beside() {
    local name
    : > "$log/tally-lanes"
    for name in "$@"; do
        tallied "$log/tally-lanes" lane "$name" &
    done
    wait
    add "$log/tally-lanes" $#
}

build() {
    make --no-print-directory -j"$jobs" WERROR=1 "$@"
}

san='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer'

sanitized() {
    one "build with sanitizers" build CC=gcc O=out/asan CFLAGS="$san" \
        HARDEN=-fPIE unit-build
}

fuzz_targets() {
    one "build fuzz targets" build CC=clang O=out/fuzz HARDEN=-fPIE \
        CFLAGS="$san -fsanitize=fuzzer-no-link" fuzz-build
}

# around: all but the programs' own tests
around() {
    one "includes go one way" tests/includes.sh
    one "heads of files, size of functions" tests/shape.sh
    one "links in documents" tests/links.sh
    one "format" make --no-print-directory format-check
    one "benchmark's arithmetic" python3 tests/bench/test_arithmetic.py
    one "survey's arithmetic" python3 tests/survey/test_arithmetic.py
    one "install and uninstall" tests/install.sh out/native
    one "boot files of a guest" tests/bootfiles.sh
    one "launcher" tests/launcher.sh out/native
    one "runner of the end-to-end tests" tests/e2e/runner/test.py
}

# unit_tests: their names, with those first that take longest, so that none of
# them is waited for at the end
unit_tests() {
    local first=(test_storm test_backend_loop)
    printf '%s\n' "${first[@]}"
    basename -s .c tests/unit/test_*.c | grep -vxF "$(printf '%s\n' "${first[@]}")"
}

# For those who are at work: under a minute if little has changed.
quick() {
    local t n
    one "build with gcc" build CC=gcc O=out/native all unit-build &&
        sanitized && fuzz_targets || return
    one "lint" build CC=gcc O=out/native lint
    around
    for n in $(unit_tests); do
        together cmocka "unit $n" "out/native/tests/unit/$n"
        together cmocka "unit $n (ASan, UBSan)" "out/asan/tests/unit/$n"
    done
    for t in tests/fuzz/corpus/*; do
        n=$(basename "$t")
        together one "inputs of fuzz $n" "out/fuzz/tests/fuzz/fuzz_$n" \
            -runs=0 -timeout=10 -artifact_prefix=out/fuzz/ $t
    done
    finish
}

unit() {
    local n
    one "build with gcc" build CC=gcc O=out/native all unit-build || return
    around
    one "device-tree bindings" tests/bindings/check out/native
    one "build with clang" build CC=clang O=out/clang all unit-build
    sanitized
    # The one thing without locks that several processors share.
    one "build with the thread sanitizer" build CC=clang O=out/tsan \
        HARDEN=-fPIE CFLAGS="-O1 -g -fsanitize=thread" \
        out/tsan/tests/unit/test_guestpool &&
        cmocka "unit test_guestpool (TSan)" out/tsan/tests/unit/test_guestpool
    one "compile against Xen 4.20" build CC=gcc O=out/xen-4.20 \
        XEN_INCLUDE="$(tests/host/host path xen-4.20-dev)/usr/include" objects
    for n in $(unit_tests); do
        together cmocka "unit $n" "out/native/tests/unit/$n"
        together cmocka "unit $n (ASan, UBSan)" "out/asan/tests/unit/$n"
        together one "unit $n (valgrind)" valgrind -q --error-exitcode=9 \
            --leak-check=full --errors-for-leak-kinds=definite \
            "out/native/tests/unit/$n"
    done
    finish
}

fuzz() {
    local t n seeds dict seconds=${FUZZ_SECONDS:-3}
    fuzz_targets || return
    for t in tests/fuzz/fuzz_*.c; do
        n=$(basename "$t" .c)
        mkdir -p "out/fuzz/corpus/$n"
        seeds=tests/fuzz/corpus/${n#fuzz_}
        [ -d "$seeds" ] || seeds=
        dict=tests/fuzz/dict/${n#fuzz_}.dict
        [ -f "$dict" ] && dict=-dict=$dict || dict=
        together one "fuzz ${n#fuzz_} for $seconds s" "out/fuzz/tests/fuzz/$n" -seed=1 \
            -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
            -artifact_prefix="out/fuzz/" $dict "out/fuzz/corpus/$n" $seeds
    done
    finish
}

# counts NAME COMMAND...: a program that counts by itself; its last line says
# "N passed, N failed[, N skipped]"
counts() {
    local name=$1 file line begin=$SECONDS
    shift
    file=$log/$name.log
    "$@" 2>&1 | tee "$file"
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$file" | tail -n 1)
    if ! [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
        failed=$((failed + 1))
        fail "$name ended without a result (its output: $file)"
        return
    fi
    grep -E '^  (failed|once more): ' "$file" >> $failures
    say "$name: $line ($((SECONDS - begin)) s)"
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
}

module() {
    local kernel
    for kernel in small debian {arm64,amd64}-{6.1,6.12,7}; do
        one "guest module, W=1 and sparse: $kernel" \
            tests/guest-module/build $kernel
    done
    for kernel in 6.1 7 host-6.12; do
        together one "guest module, dkms: $kernel" tests/guest-module/dkms \
            $kernel
    done
    finish
}

model() {
    counts model tests/model/run
}

# e2e_on NAME HOST ARGUMENT...: logs in out/NAME, or in out/NAME-x86
e2e_on() {
    counts "e2e-$1-$2" tests/e2e/run --name "$1" --host "${@:2}"
}

# A host with a clock that counts instructions is not disturbed by what runs
# beside it. The x86 host always has it, since with the other it is late now and
# then. What takes many times longer with it has the arm64 host with the usual
# clock, whose checks wait for events and so stand something beside it, too.
refusals=(preflight input silo stock kernels debug probe)
networks=(net vhost)
operations=(operations/{bells,bootfiles,grants,late,many,order,signals,storage,survey,words})

x86() {
    e2e_on e2e x86 --steady
}

# What `all` runs beside each other: an emulated host takes one processor at the
# most, and leaves some of it. All three take about as long.
lane_x86() {
    x86
    e2e_on networks arm64 "${networks[@]}"
    module
    model
}

lane_devices() {
    local elsewhere=("${refusals[@]}" "${networks[@]}" operations)
    e2e_on others arm64 --except "$(IFS=, && echo "${elsewhere[*]}")"
}

lane_operations() {
    unit
    fuzz
    e2e_on refusals arm64 "${refusals[@]}"
    e2e_on operations arm64 "${operations[@]}"
}

arm64() {
    e2e_on e2e arm64
}

e2e() {
    local host
    for host in ${HOST:-x86 arm64}; do
        $host
    done
}

case $what in
all)
    case ${HOST:-} in
    '') beside lane_x86 lane_devices lane_operations ;;
    *)
        unit
        module
        model
        fuzz
        e2e
        ;;
    esac
    ;;
quick | unit | module | model | fuzz | e2e) $what ;;
*)
    echo "usage: check.sh all|quick|unit|module|model|fuzz|e2e" >&2
    exit 2
    ;;
esac
say "done; full outputs are in $log/"
cat $failures
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
