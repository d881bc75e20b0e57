#!/bin/sh
# In a driver domain for network devices, before the backend: the tests' agent,
# and scripts that fail or hang.
(while :; do agent; sleep 1; done) &
for what in fail:'exit 3' hang:'[ $1 = remove ] || sleep 1000' none:'exit 0'; do
    printf '#!/bin/sh\necho "$1 $*" >> /tmp/${0##*/}.log\nenv >> /tmp/${0##*/}.log\n%s\n' \
        "${what#*:}" > "/etc/xen/scripts/${what%%:*}"
    chmod 755 "/etc/xen/scripts/${what%%:*}"
done
