# shellcheck shell=dash
# create-times.sh CONFIG TIMES XL...: creates the guest, paused, with each xl in
# turns. Prints <xl's folder> <begin> <end>, in seconds, of each. Status 2: there
# was a broker.
config=$1 times=$2
shift 2
for _ in $(seq "$times"); do
    for xl; do
        begin=$(cut -d' ' -f1 /proc/uptime)
        "$xl" create -p "$config" > /dev/null 2> /tmp/err || {
            cat /tmp/err
            exit 1
        }
        end=$(cut -d' ' -f1 /proc/uptime)
        cat /proc/[0-9]*/comm | grep -q '^vr-broker' && exit 2
        xl destroy plain
        echo "$(basename "$(dirname "$xl")") $begin $end"
    done
done
