#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Fails when a relative link in a *.md names a file or a heading that is not there.
set -u
cd "$(dirname "$0")/.." || exit 1

# anchors FILE: its headings, as the part of a link behind the #
anchors() {
    grep '^##* ' "$1" | tr 'A-Z ' 'a-z-' | sed 's/^#*-//; s/[^a-z0-9_-]//g'
}

bad=0
for file in $(git ls-files '*.md'); do
    for link in $(grep -v '^    ' "$file" |
        grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//'); do
        case $link in
        *://* | mailto:*) continue ;;
        '#'*) to=$file ;;
        *) to=$(dirname "$file")/${link%%#*} ;;
        esac
        if [ ! -e "$to" ]; then
            echo "$file: no file $link"
            bad=1
        elif [ "$link" != "${link#*#}" ] &&
            ! anchors "$to" | grep -qxF -e "${link#*#}"; then
            echo "$file: no heading $link"
            bad=1
        fi
    done
done
exit $bad
