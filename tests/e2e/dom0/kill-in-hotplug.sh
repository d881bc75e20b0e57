# shellcheck shell=dash
# kill-in-hotplug.sh CONFIG SCRIPT: xl create, killed while it runs this hotplug
# script to add a disk. The script goes on.
xl create "$1" > /tmp/kill.log 2>&1 &
pid=$!
# shellcheck disable=SC2009 # pgrep shows no arguments here
until ps -o args | grep -q "$2 [a]dd"; do
    kill -0 $pid || exit 1
done
kill -9 $pid
