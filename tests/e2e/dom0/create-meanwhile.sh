# shellcheck shell=dash
# create-meanwhile.sh WAITS GUEST PLAIN: while xl creates GUEST from the
# configuration WAITS, and waits for its driver domain, another one creates the
# guest of PLAIN. xl's lock is taken only when xl may have to make room: it is told
# to. Says how each ended, and that the first still waited.
waits=$1 guest=$2 plain=$3
conf=/etc/xen/xl.conf
cp $conf /tmp/xl.conf
echo 'autoballoon="on"' >> $conf
xl create -p "$waits" > /tmp/xl.waits 2>&1 &
pid=$!
until vrctl list | grep "^$guest .*waiting for it to connect"; do
    kill -0 $pid || break
done
xl create -p "$plain" > /tmp/xl.plain 2>&1
echo "plain $?"
kill -0 $pid && echo "$guest waits"
wait $pid
echo "$guest $?"
cat /tmp/xl.conf > $conf
cat /tmp/xl.waits /tmp/xl.plain
