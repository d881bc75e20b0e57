# shellcheck shell=dash
# kill-create.sh CONFIG DELAY SEEN [STOP]: xl create, killed DELAY seconds after
# the command SEEN has succeeded, and nothing else with it. STOP: xl is held from
# when that one succeeds until then, where it would be done before we look again.
# Prints "killed" if it was. Nothing in here may take long: xl goes on.
config=$1 delay=$2 seen=$3 stop=${4-}
# SEEN may look at it.
# shellcheck disable=SC2034
log=/var/log/xen/vr-broker-kg.log
until_seen() {
    until eval "$1" > /dev/null 2>&1; do
        kill -0 $pid 2> /dev/null && [ "$(date +%s)" -lt $end ] || return
    done
}
rm -f $log
xl -vvv create "$config" > /tmp/kill.log 2>&1 &
pid=$!
end=$(($(date +%s) + 60))
if [ -n "$stop" ]; then
    until_seen "$stop"
    kill -STOP $pid
fi
until_seen "$seen"
[ "$delay" = 0 ] || sleep "$delay"
if kill -9 $pid 2> /dev/null; then
    wait $pid 2> /dev/null
    [ $? = 137 ] && echo killed
fi
exit 0
