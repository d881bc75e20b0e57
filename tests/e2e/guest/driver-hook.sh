#!/bin/sh
# In the driver domain, before the backend: the tests' agent, and for
# `vrtest=MODE` on the kernel's command line a backend that misbehaves.
echo 1 > /proc/sys/kernel/sysrq
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
(while :; do agent; sleep 1; done) &
read -r cmdline < /proc/cmdline
for word in $cmdline; do
    case $word in
    vrtest=die) sleep 1; echo c > /proc/sysrq-trigger ;;
    vrtest=never) while :; do sleep 1000; done ;;
    vrtest=*) exec fakebackend "${word#vrtest=}" ;;
    esac
done
