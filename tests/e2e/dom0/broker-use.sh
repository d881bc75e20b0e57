# shellcheck shell=dash
# broker-use.sh GUEST: memory and time of its broker's processes; its log's size.
ps -o pid,args | awk -v guest="$1" \
    '$2 ~ /^vr-(broker|worker)$/ && $3 == guest { print $1 }' |
    while read -r pid; do
        grep -E 'VmHWM|VmPeak' "/proc/$pid/status"
        grep 'Max address space' "/proc/$pid/limits"
        echo "ticks $(cut -d' ' -f14,15 "/proc/$pid/stat")"
    done
echo "log $(wc -c < "/var/log/xen/vr-broker-$1.log")"
