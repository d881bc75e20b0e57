# shellcheck shell=dash
# cleanup-signals.sh UUID: vrctl cleanup, with signals that ask for its end as
# soon as it has begun. What it says, and its status.
uuid=$1
vrctl cleanup "$uuid" > /tmp/cleanup 2>&1 &
pid=$!
until grep -q closing "/run/virtio-restricted/$uuid.json"; do
    kill -0 $pid || break
done
for signal in TERM HUP QUIT INT; do
    kill -$signal $pid
done
wait $pid
echo "ended $?"
cat /tmp/cleanup
