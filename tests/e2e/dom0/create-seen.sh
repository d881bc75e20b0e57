# shellcheck shell=dash
# create-seen.sh CONFIG GUEST: xl create of a guest that is refused; what its
# operator sees until then is in /tmp/seen. What xl says, and its status.
xl create "$1" > /tmp/xl 2>&1 &
pid=$!
while kill -0 $pid 2> /dev/null; do
    vrctl list
    vrctl show "$2"
    vrctl list --json
    vrctl show --json "$2"
    vrctl audit "$2"
    sleep 0.2
done > /tmp/seen 2>&1
wait $pid
echo "rc $?"
cat /tmp/xl
