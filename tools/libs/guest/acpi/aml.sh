#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# aml.sh IASL OUTPUT.h SOURCE.asl...
#
# Compiles each source and writes its Device or Scope term (what stands behind the
# table header and a possible External) as an array, with the offsets of the
# placeholders in it. How many of each there are is what the source's line
# "aml.sh: NAME=COUNT..." says, or the build fails: a compiler that writes
# something else than expected is noticed here.
set -eu

iasl=$1 output=$2
shift 2
command -v "$iasl" >/dev/null || {
    echo "aml.sh: $iasl: not found: install acpica-tools or set IASL=" >&2
    exit 1
}
tmp=$output.tmp
mkdir -p "$tmp.d"
trap 'rm -rf "$tmp" "$tmp.d"' EXIT

echo "/* Made by tools/libs/guest/acpi/aml.sh: see acpi.c. */" > "$tmp"
for source; do
    name=$(basename "$source" .asl)
    "$iasl" -ve -p "$tmp.d/$name" "$source" > "$tmp.d/log" 2>&1 || {
        cat "$tmp.d/log" >&2
        exit 1
    }
    od -An -v -tx1 "$tmp.d/$name.aml" | awk -v source="$source" \
        -v want="$(sed -n 's|^// aml.sh: ||p' "$source")" -v name="$name" '
        function die(text) {
            print "aml.sh: " source ": " text > "/dev/stderr"
            failed = 1
            exit 1
        }
        # The first place of pattern at or behind byte from; -1: none.
        function find(pattern, from,    at) {
            for (;;) {
                at = index(substr(hex, 2 * from + 1), pattern)
                if (!at)
                    return -1
                at += 2 * from - 1
                if (at % 2 == 0)
                    return at / 2
                from = (at + 1) / 2
            }
        }
        function byte(at) {
            return 16 * (index(digits, substr(hex, 2 * at + 1, 1)) - 1) + \
                index(digits, substr(hex, 2 * at + 2, 1)) - 1
        }
        # A PkgLength (ACPI 6.4, 20.2.4) at byte at.
        function pkg_length(at,    more, n, i) {
            more = int(byte(at) / 64)
            n = byte(at) % 64
            for (i = 1; i <= more; i++)
                n = (i == 1 ? n % 16 : n) + byte(at + i) * 2 ^ (8 * i - 4)
            return n
        }
        function offsets(field,    at, n, list) {
            for (at = find(pattern[field], 0); at >= 0; n++) {
                list = list at ", "
                at = find(pattern[field], at + 1)
            }
            if (n + 0 != count[field] + 0)
                die(n + 0 " of " field ", not " count[field] + 0)
            printf "    .%s = {%s0},\n", field, list
        }
        BEGIN {
            digits = "0123456789abcdef"
            pattern["device"] = "56523030"       # VR00
            pattern["pool"] = "56503030"         # VP00
            pattern["slot"] = "5332375f"         # S27_
            pattern["base"] = "d3b0a751"
            pattern["irq"] = "159a3c7e"
            pattern["min"] = "000000504d3c2b1a"
            pattern["max"] = "ffbfc6a19f7d2b1a"
            pattern["length"] = "00c0c65152410000"
            for (i = split(want, part, " "); i > 0; i--) {
                split(part[i], pair, "=")
                if (!(pair[1] in pattern))
                    die("no placeholder " pair[1])
                count[pair[1]] = pair[2]
            }
        }
        { gsub(" ", ""); hex = hex $0 }
        END {
            if (failed)
                exit 1
            size = length(hex) / 2
            start = find("5b82", 36)
            if (start < 0 || start + 2 + pkg_length(start + 2) != size) {
                start = find("10", 36)
                while (start >= 0 && start + 1 + pkg_length(start + 1) != size)
                    start = find("10", start + 1)
            }
            if (start < 0)
                die("not one Device or Scope up to the end of the table")
            hex = substr(hex, 2 * start + 1)
            size -= start
            printf "\nstatic const uint8_t %s_aml[] = {", name
            for (i = 0; i < size; i++)
                printf "%s0x%s,", i % 12 ? " " : "\n    ", \
                    substr(hex, 2 * i + 1, 2)
            printf "\n};\nstatic const struct aml %s_term = {\n", name
            printf "    .code = %s_aml,\n    .size = sizeof(%s_aml),\n", \
                name, name
            split("device pool slot base irq min max length", fields, " ")
            for (i = 1; i <= 8; i++)
                offsets(fields[i])
            print "};"
        }' >> "$tmp"
done
mv "$tmp" "$output"
