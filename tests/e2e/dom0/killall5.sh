# shellcheck shell=dash
# killall5 -15 -o ..., which is no part of busybox: to every process that is not
# of this session, does not run the host and is no kernel thread. The xl that
# watches the guest is among those left out: it would end. Prints whom it reached.
own=$(cut -d' ' -f6 /proc/$$/stat)
for process in /proc/[0-9]*; do
    readlink "$process/exe" > /dev/null || continue
    read -r comm < "$process/comm" || continue
    case $comm in
    init | agent | bash | sh | xl | xenstored | xenconsoled | *qemu* | sleep)
        continue
        ;;
    esac
    [ "$(cut -d' ' -f6 "$process/stat")" = "$own" ] && continue
    set -- "$@" "${process#/proc/}"
done
for signal in STOP TERM CONT; do
    for pid; do
        kill -$signal "$pid"
    done
done
echo "$@"
