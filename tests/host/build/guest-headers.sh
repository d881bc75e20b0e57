#!/bin/bash
# What builds modules for a kernel that Debian has for guests:
#   guest-headers.sh arm64|amd64 6.1|6.12|7, then `make -C <component>/build M=...`
# 6.1 and 6.12 are those of the machine's own Debian, 7 is of its testing branch,
# for whose programs its libraries are here as well, and its sparse (<component>/bin).
# Any revision of the series will do; the one found first is kept.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

arch=$1
series=$2
flavour=$arch
suite=
[ "$arch" = amd64 ] || flavour=cloud-$arch # the one that the host has
# 6.1.0-56-amd64, 6.12.117+deb12-cloud-arm64, 7.2.12+deb14-amd64
case $series in
6.1) pattern='linux-headers-6\.1\.0-[0-9]*-'$flavour ;;
7)
    pattern="linux-headers-7\\.[0-9.]*+deb[0-9]*-$flavour"
    suite=testing
    ;;
*) pattern="linux-headers-${series//./\\.}\\.[0-9.]*+deb12-$flavour" ;;
esac

unpack() {
    local newest version common deb headers
    say "downloading the headers of Debian's $series kernel for $arch"
    apt_state "$arch" "$suite" deb
    newest=$(apt_run apt-cache pkgnames "linux-headers-$series" |
        grep -x "$pattern" | sort -V | tail -n 1)
    [ -n "$newest" ] || die "no package matches $pattern"
    version=${newest#linux-headers-}
    common=${version%-"$flavour"}-common
    quiet log apt_run apt-get -qq download "$newest"
    # The other halves: for every architecture, and programs for this machine.
    # 6.1 names its programs by the series, 6.12 by the version.
    apt_state amd64 "$suite" deb
    quiet log apt_run apt-get -qq download "linux-headers-$common"
    apt_run apt-get -qq download "linux-kbuild-${common%-common}" \
        >>log 2>&1 ||
        quiet log apt_run apt-get -qq download "linux-kbuild-$series"
    for deb in *.deb; do
        dpkg-deb -x "$deb" out
    done
    rm -rf out/usr/share
    # Debian's makefile expects to be installed in /usr/src.
    headers=usr/src/linux-headers-$version
    printf 'include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))%s\n' \
        "../linux-headers-$common/Makefile" >"out/$headers/Makefile"
    # Its vmlinux holds type information that only pahole could use.
    rm -f "out/$headers/vmlinux"
    [ -z "$suite" ] || newer "out/$headers"
    echo "$version" >out/kernel-version
    ln -s "$headers" out/build
}

# Programs of a newer Debian, and a configuration made with its compiler, FOLDER.
newer() {
    local deb file
    quiet log apt_run apt-get -qq download libc6 libelf1t64 libzstd1 zlib1g \
        sparse
    mkdir -p newer
    for deb in libc6_* libelf1t64_* libzstd1_* zlib1g_* sparse_*; do
        dpkg-deb -x "$deb" newer
    done
    mkdir -p out/lib out/bin
    cp -a newer/usr/lib/x86_64-linux-gnu/*.so* out/lib
    cp newer/usr/bin/sparse out/bin
    # Each program is run by the loader that knows where the libraries are.
    find out/usr/lib out/usr/src out/bin -type f -perm -u+x | while read -r file; do
        [ "$(head -c 4 "$file")" = $'\177ELF' ] || continue
        mv "$file" "$file.elf"
        cat >"$file" <<'END'
#!/bin/sh
file=$(realpath "$0")
lib=${file%@WHERE@*}/lib
exec "$lib/ld-linux-x86-64.so.2" --argv0 "$0" --library-path "$lib" "$file.elf" "$@"
END
        sed -i "s|@WHERE@|${file#out}|" "$file"
        chmod +x "$file"
    done
    # Since 7 the makefile has to be told where the configuration is.
    sed -i '1i KBUILD_OUTPUT := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))' \
        "$1/Makefile"
    # So is the compiler's name, and there are options that an older one lacks.
    sed -i 's/gcc-[0-9]*$/gcc/' "$1/.kernelvariables"
    sed -Ei '/CC_HAS_(MIN_FUNCTION_ALIGNMENT|COUNTED_BY|COUNTED_BY_PTR)\b/d' \
        "$1/include/config/auto.conf" "$1/include/generated/autoconf.h"
    # What decides whether sparse will do is not in the package; this one does.
    file=$(echo out/usr/lib/linux-kbuild-*/scripts)/checker-valid.sh
    [ -e "$file" ] || printf '#!/bin/sh\necho 1\n' >"$file"
    chmod +x "$file"
}

component "guest-headers-$arch-$series" unpack "$HOST_DIR/build/apt.sh" \
    "$arch" "$series"
