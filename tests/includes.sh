#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Dependencies go one way: fails when a file includes from a folder that does
# not come before its own in docs/architecture.md, "Where a thing stands", or
# from another program.
set -eu
cd "$(dirname "$0")/.."

# The folders in their order.
# shellcheck disable=SC2016 # no command: the document's own quotes
order=$(sed -n '/^| folder | what is there |/,/^$/s/^| `\([^`]*\)` |.*/\1/p' \
    docs/architecture.md)
sources="tools/libs tools/backend tools/broker tools/vrctl xl-plugin"

# shellcheck disable=SC2086
grep -rE '^ *# *include "' --include='*.[ch]' $sources |
    awk -F '"' -v order="$order" '
    # The row that a file belongs to.
    function row(path, part) {
        return split(path, part, "/") > 2 ? part[1] "/" part[2] : part[1]
    }
    function place(path) {
        return path ~ "/(main|units)[.]c$" ? n + 1 : rank[row(path)]
    }
    function program(path) {
        sub("/.*", "", path)
        return path
    }
    function bad(why) {
        printf "%s includes \"%s\": %s\n", from, $2, why
        wrong = 1
    }
    BEGIN {
        n = split(order, folder, "\n")
        for (i = 1; i <= n; i++)
            rank[folder[i]] = i
    }
    {
        from = $1
        sub(":.*", "", from)
        file = from
        sub("^tools/", "", file)
        if (!(row(file) in rank)) {
            bad("its folder is not in docs/architecture.md")
            next
        }
        # of its own folder
        if ($2 !~ "/")
            next
        if (!(row($2) in rank))
            bad("name it from tools/ down")
        else if (program($2) != "libs" && program($2) != program(file))
            bad("another program")
        else if (place($2) > place(file))
            bad(row($2) " comes after " row(file))
    }
    END { exit wrong }'
