#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is shipped in C: each file says at its head what it is for, no function
# is longer than 60 lines or more complex than 20 (pmccabe).
set -eu
cd "$(dirname "$0")/.."

files=$(git ls-files 'tools/*.c' 'xl-plugin/*.c')
wrong=0
for f in $files; do
    sed -n 2p "$f" | grep -q '^/\*' && continue
    echo "$f: no comment at its head"
    wrong=1
done
# shellcheck disable=SC2086
pmccabe $files | awk '
    $1 > 20 || $5 > 60 {
        printf "%s %s: complexity %d, %d lines\n", $6, $NF, $1, $5
        wrong = 1
    }
    END { exit wrong }' || wrong=1
exit $wrong
