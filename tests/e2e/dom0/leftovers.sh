# shellcheck shell=dash
# leftovers.sh SECONDS [NAME...]: prints what is left of restricted guests,
# after waiting at most SECONDS for it to go. NAMEs are domains that may stay.
# Status 1 when something is left.
seconds=$1
shift
keep=" Domain-0 $* "
base=/run/vr-e2e.evtchn

look() {
    xl list | awk 'NR > 1 { print $1, $2 }' | while read -r name id; do
        case $keep in
        *" $name "*) ;;
        *) echo "domain $name ($id)" ;;
        esac
    done
    # no name, or "(null)": a domain that died but is still held
    # shellcheck disable=SC2009 # pgrep shows no arguments here
    ps -o pid,args | grep -E '[v]r-broker|[v]rctl|[x]l (-[-a-z]+ )*create' |
        while read -r pid args; do
            [ "$keep" = " Domain-0  " ] && echo "process $pid $args"
        done
    if [ "$keep" = " Domain-0  " ]; then
        xenstore-ls -f > /tmp/vr-nodes
        # Of us, and of any domain: there is none.
        grep -E -e virtio_restricted -e '^/local/domain/[1-9][0-9]*( |/)' \
            -e '^/libxl/[1-9][0-9]*( |/)' \
            -e '^/local/domain/0/backend/[^/]+/[1-9][0-9]*( |/)' \
            /tmp/vr-nodes | head -n 3 | sed 's/^/xenstore node /'
        for file in /run/virtio-restricted/*.json /run/virtio-restricted/*.stats; do
            [ -e "$file" ] && echo "record $file"
        done
        now=$(evtcount)
        [ -e $base ] || echo "$now" > $base
        [ "$(cat $base)" = "$now" ] ||
            echo "event channels of dom0: $now, at first $(cat $base)"
        for file in /var/lib/xen/userdata-*virtio*; do
            [ -e "$file" ] && echo "userdata $file"
        done
    fi
}

end=$(($(date +%s) + seconds))
while :; do
    found=$(look)
    [ -z "$found" ] && break
    [ "$(date +%s)" -ge $end ] && break
    sleep 0.5
done
if [ -z "$found" ] && [ "$keep" = " Domain-0  " ]; then
    # Grants that any domain but dom0 still has mapped, as Xen prints them.
    xl dmesg -c > /dev/null
    xl debug-keys g
    sleep 0.3
    xl dmesg | grep -E 'grant-table for remote d[1-9]|DOM[1-9][0-9]*' |
        head -n 3 | sed 's/^/grant table: /' > /tmp/vr-grants
    found=$(cat /tmp/vr-grants)
fi
[ -z "$found" ] && exit 0
echo "$found"
exit 1
