# shellcheck shell=dash
# create-each.sh FOLDER NAME...: xl create with each NAME.cfg there. Of each
# prints <<NAME STATUS BEGIN END>>, times in seconds, and what xl has said.
cd "$1" || exit
shift
uptime() {
    cut -d' ' -f1 /proc/uptime
}
for name; do
    begin=$(uptime)
    said=$(timeout 30 xl create "$name.cfg" 2>&1)
    status=$?
    printf '<<%s %s %s %s>>\n%s\n' "$name" $status "$begin" "$(uptime)" "$said"
done
