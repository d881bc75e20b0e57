/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "link.h"
#include "text.h"

/* Of one process. Guest and driver domain decide how much there is to tell;
 * the toolstack domain's disk is not theirs to fill. */
#define LOG_MAX (4u << 20)

/* The memory that ps reads; known once, in main(). */
static struct {
    char *start;
    size_t size;
} title;

static char log_file[VR_LOG_PATH];

void broker_log(const char *fmt, ...)
{
    static const char full[] = "the log is full: nothing more is written\n";
    static size_t logged;
    char line[1280];
    struct timespec ts;
    struct tm tm;
    va_list ap;
    size_t n;
    int r;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    n += snprintf(line + n, sizeof(line) - n, ".%03ldZ ", ts.tv_nsec / 1000000);
    va_start(ap, fmt);
    r = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    va_end(ap);
    if (r < 0)
        return;
    n += (size_t)r < sizeof(line) - n - 1 ? (size_t)r : sizeof(line) - n - 2;
    line[n++] = '\n';
    if (logged > LOG_MAX)
        return;
    logged += n;
    /* Nobody is left to be told that the disk is full. */
    if (write(STDERR_FILENO, line, n) < 0)
        return;
    if (logged > LOG_MAX && write(STDERR_FILENO, full, sizeof(full) - 1) < 0)
        return;
}

const char *broker_log_path(void)
{
    return log_file;
}

void broker_log_move(const char *name)
{
    char path[VR_LOG_PATH];

    vr_log_path(path, name);
    if (rename(log_file, path))
        broker_log("%s: cannot be renamed to %s: %s", log_file, path,
                   strerror(errno));
    else
        strcpy(log_file, path);
}

void broker_title(const char *fmt, ...)
{
    va_list ap;

    if (!title.size)
        return;
    memset(title.start, 0, title.size);
    va_start(ap, fmt);
    vsnprintf(title.start, title.size, fmt, ap);
    va_end(ap);
}

int broker_msg_send(int sock, const struct vr_msg *msg)
{
    ssize_t r;

    do {
        r = send(sock, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int broker_msg_recv(int sock, struct vr_msg *msg)
{
    ssize_t r;

    do {
        r = recv(sock, msg, sizeof(*msg), MSG_DONTWAIT);
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (r == 0)
        return -EPIPE;
    if (r != sizeof(*msg))
        return -EPROTO;
    msg->text[sizeof(msg->text) - 1] = '\0';
    return 0;
}

/* Argument strings lie one behind the other. */
static void title_init(int argc, char **argv)
{
    char *end = argv[0];
    int i;

    for (i = 0; i < argc; i++)
        if (argv[i] == end)
            end += strlen(argv[i]) + 1;
    title.start = argv[0];
    title.size = end - argv[0];
}

/* Every start begins a new log: it tells of one guest's life. */
static void open_log(const char *name)
{
    int null, fd;

    vr_log_path(log_file, name);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    fd = open(log_file,
              O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
              0640);
    dup2(null, STDIN_FILENO);
    dup2(fd < 0 ? null : fd, STDOUT_FILENO);
    dup2(fd < 0 ? null : fd, STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
    if (null > STDERR_FILENO)
        close(null);
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

    if (argc != 2 || !vr_uuid_valid(argv[1])) {
        fprintf(stderr, "usage: vr-broker UUID (started by xl; see "
                        "vr-broker(8))\n");
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
    open_log(rc ? uuid : rec.name);
    if (chdir("/"))
        broker_log("chdir /: %s", strerror(errno));
    title_init(argc, argv);
    broker_title("vr-broker %s", rc ? uuid : rec.name);
    prctl(PR_SET_NAME, "vr-broker");
    if (rc)
        broker_log("record: %s", err.text);
    return supervisor_run(uuid);
}
