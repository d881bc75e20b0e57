#!/bin/sh
# In the driver domain, before the backend: the backend's user gets the disk,
# and the benchmark gets a shell.
chown vr:vr /dev/nullb*
(while :; do agent; sleep 1; done) &
