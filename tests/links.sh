#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Fails when a relative link in a *.md names a file or a heading that is not there.
set -u
cd "$(dirname "$0")/.." || exit 1

# links FILE: the targets of its links, one a line; code is left out
links() {
    grep -v '^    ' "$1" | grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//'
}

# anchors FILE: its headings, as the part of a link behind the #
anchors() {
    grep '^##* ' "$1" | tr 'A-Z ' 'a-z-' | sed 's/^#*-//; s/[^a-z0-9_-]//g'
}

# check FILE: says what is wrong with its links
check() {
    links "$1" | while read -r link; do
        case $link in
        *://* | mailto:*) continue ;;
        '#'*) to=$1 ;;
        *) to=$(dirname "$1")/${link%%#*} ;;
        esac
        if [ ! -e "$to" ]; then
            echo "$1: no file $link"
        elif [ "$link" != "${link#*#}" ] &&
            ! anchors "$to" | grep -qxF -e "${link#*#}"; then
            echo "$1: no heading $link"
        fi
    done
}

wrong=$(git ls-files '*.md' | while read -r file; do check "$file"; done)
[ -z "$wrong" ] || { echo "$wrong"; exit 1; }
