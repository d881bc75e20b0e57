#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The launcher in front of a program that parses its options as xl does: what
# it starts has the plug-in loaded, or does nothing. launcher.sh BUILD-FOLDER
set -eu
cd "$(dirname "$0")/.."
build=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/vr-launcher.XXXXXX")
trap 'rm -rf "$dir"' EXIT
lib=$dir/lib so=$dir/lib/xl-virtio-restricted.so

fail() {
    echo "launcher: $*"
    exit 1
}

cat > "$dir/xl.c" <<'C'
#include <stdio.h>
#include <unistd.h>
#include <libxlutil.h>
int main(int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "+vftTN")) >= 0) {
        if (c == '?') {
            fprintf(stderr, "unknown global option\n");
            return 1;
        }
        printf("-%c ", c);
    }
    for (; optind < argc; optind++)
        printf("%s ", argv[optind]);
    printf("LD_PRELOAD=%s\n", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "");
    return xlu_cfg_init(stderr, "xl") == NULL;
}
C
mkdir -p "$dir/sbin" "$dir/real" "$dir/bin" "$lib"
# The libraries of an xl, for what the plug-in finds there.
# shellcheck disable=SC2086
${CC:-cc} -D_GNU_SOURCE -include stdlib.h -o "$dir/bin/xl" "$dir/xl.c" \
    -Wl,--no-as-needed -lxlutil -lxenlight -lxenguest -lxenctrl
# launcher LIBEXECDIR: made as by make install, but with a folder of its own for
# the system's, which may have an xl
launcher() {
    sed "s|@LIBEXECDIR@|$1|g; s|^folders=.*|folders=$dir/system|" \
        xl-plugin/xl.in > "$dir/sbin/xl"
    chmod +x "$dir/sbin/xl"
}

launcher "$lib"
PATH=$dir/sbin:$dir/real:$PATH

# whole: the plug-in as it is installed, before a program of the same name
whole() {
    cp "$build/xl-virtio-restricted.so" "$build/vr-plugin.so" "$lib"
    cp "$dir/bin/xl" "$dir/real/xl"
}

# runs WHAT ARGUMENTS...: xl is started, and sees these
runs() {
    what=$1
    shift
    said=$(xl "$@" 2>&1) || fail "$what: xl was not started: $said"
    [ "$said" = "$* LD_PRELOAD=" ] || fail "$what: xl saw: $said"
}

# refuses TEXT WHAT: xl does nothing, and somebody says why
refuses() {
    ! said=$(xl list 2>&1) || fail "$2: xl was started: $said"
    case $said in
    *"$1"*) ;;
    *) fail "$2: says: $said" ;;
    esac
}

whole
runs "the plug-in" list
runs "global options" -v -v create -n x.cfg
said=$(xl 2>&1)
[ "$said" = "LD_PRELOAD=" ] || fail "no arguments: $said"

# Of both halves, if they are of one version.
said=$(xl --version 2>&1)
[ "$said" = "virtio-restricted $(sed -n 's/^VERSION *:= *//p' Makefile)" ] ||
    fail "its version: $said"
cp "$build/xl-virtio-restricted.so" "$lib/vr-plugin.so"
! said=$(xl --version 2>&1) || fail "half of it has a version: $said"
case $said in
*"cannot load"*) ;;
*) fail "half of it says: $said" ;;
esac
whole

# The system's folder first, whatever the caller's PATH has: under sudo that may
# be anybody's.
mkdir "$dir/system"
cp "$dir/bin/xl" "$dir/system/xl"
printf '#!/bin/sh\necho taken from PATH\n' > "$dir/real/xl"
chmod +x "$dir/real/xl"
runs "an xl in PATH as well" list
rm "$dir/system/xl"
said=$(xl list)
[ "$said" = "taken from PATH" ] || fail "an xl in PATH alone: $said"
# Of PATH absolute names alone, not the folder where somebody stands.
mkdir "$dir/here"
mv "$dir/real/xl" "$dir/here/xl"
! said=$(cd "$dir/here" && PATH=$dir/sbin:.:./:/usr/bin:/bin "$dir/sbin/xl" list \
    2>&1) || fail "an xl of the present folder: $said"
case $said in
*"no other xl in"*) ;;
*) fail "without an xl: says: $said" ;;
esac
whole

# Debian's xl is a script that looks for the version's program.
cat > "$dir/real/xl" <<E2
#!/bin/sh
COMMAND="\${0##*/}"
exec "$dir/bin/\$COMMAND" "\$@"
E2
chmod +x "$dir/real/xl"
runs "a script on the way" list
mv "$dir/real/xl" "$dir/real/xl.distrib"
runs "a diverted script" list
rm "$dir/real/xl.distrib"

# Another's preload object stays.
cp "$dir/bin/xl" "$dir/real/xl"
echo 'int other;' > "$dir/other.c"
${CC:-cc} -shared -fPIC -o "$dir/other.so" "$dir/other.c"
said=$(LD_PRELOAD=$dir/other.so xl list)
[ "$said" = "list LD_PRELOAD=$dir/other.so" ] || fail "two objects: $said"

: > "$so"
refuses "is missing or empty" "an empty object"
head -c 60 "$build/xl-virtio-restricted.so" > "$so"
refuses "unknown global option" "the beginning of an object"
cp "$build/xl-virtio-restricted.so" "$so"
# e_machine of an ELF file: this is no architecture.
printf '\377\377' | dd of="$so" bs=1 seek=18 conv=notrunc 2> "$dir/dd"
refuses "unknown global option" "an object for another architecture"
rm "$so"
refuses "is missing or empty" "no object"
whole
: > "$lib/vr-plugin.so"
refuses "is missing or empty" "an empty plug-in"
whole

# What makes the linker ignore, or never see, LD_PRELOAD.
cat > "$dir/real/xl" <<E2
#!/bin/sh
unset LD_PRELOAD
exec "$dir/bin/xl" "\$@"
E2
refuses "unknown global option" "a script that drops LD_PRELOAD"
printf '#include <unistd.h>\n%s' \
    'int main(int c, char **v) { return getopt(c, v, "+v") == 63; }' \
    > "$dir/static.c"
${CC:-cc} -static -o "$dir/real/xl" "$dir/static.c"
refuses "invalid option" "a static program"
if [ "$(id -u)" = 0 ]; then
    whole
    chmod 755 "$dir" "$dir/real"
    chown nobody "$dir/real/xl"
    chmod 4755 "$dir/real/xl"
    refuses "unknown global option" "secure execution"
fi

# A name that the dynamic linker would take apart.
for bad in "$dir/a b" "$dir/a:b"; do
    whole
    mkdir -p "$bad"
    cp "$lib"/*.so "$bad"
    launcher "$bad"
    refuses "another PREFIX" "$bad"
    ! make -n PREFIX="$bad" help > "$dir/make" 2>&1 ||
        fail "make takes PREFIX=$bad"
done
