/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vr-broker's beginning: out of xl, which starts it, into a process of its own
 * with nothing of xl's but the link to the plug-in. The rest is
 * supervisor_run().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "libs/proto/link.h"

/* Output is the log's from now on, and nothing is read. */
static void open_files(const char *name)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), fd;

    if (null < 0)
        return;
    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    broker_log_open(name);
}

/* Descriptors 0 to 2 must be taken, or the link's number would be reused. */
static int check_fds(void)
{
    int type = 0;
    socklen_t len = sizeof(type);

    if (getsockopt(VR_LINK_FD, SOL_SOCKET, SO_TYPE, &type, &len) ||
        type != SOCK_SEQPACKET) {
        fprintf(stderr,
                "vr-broker: descriptor %d is not the plug-in's socket; this "
                "program is started by xl, see vr-broker(8)\n",
                VR_LINK_FD);
        return -EINVAL;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct vr_record rec; /* 100 KiB: not for the stack */
    char uuid[VR_UUID_LEN + 1];
    struct vr_err err;
    int rc;

    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("vr-broker (virtio-restricted) " VR_VERSION);
        return 0;
    }
    if (argc != 2 || !vr_uuid_valid(argv[1])) {
        fprintf(stderr, "usage: vr-broker UUID | --version (started by xl; "
                        "see vr-broker(8))\n");
        return 2;
    }
    if (check_fds())
        return 2;
    memcpy(uuid, argv[1], sizeof(uuid));
    close_range(VR_LINK_FD + 1, ~0u, 0);
    /* We come out of xl, whose environment loads the plug-in. */
    unsetenv("LD_PRELOAD");
    umask(022);
    tzset(); /* reads a file, which the worker may not */
    setsid();
    rc = vr_record_load(uuid, &rec, &err);
    open_files(rc ? uuid : rec.name);
    limits_supervisor();
    if (chdir("/"))
        broker_log("chdir /: %s", strerror(errno));
    broker_title_init(argc, argv);
    broker_title("vr-broker %s", rc ? uuid : rec.name);
    prctl(PR_SET_NAME, "vr-broker");
    if (rc)
        broker_log("record: %s", err.text);
    return supervisor_run(uuid);
}
