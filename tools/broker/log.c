/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log: of one guest's name, over its lives. Guest and driver domain decide
 * how much there is to tell of them; the toolstack domain's disk is not theirs
 * to fill, nor are older lines theirs to push out. So the file is put aside
 * when it is full, two are kept, and what others can bring about as often as
 * they like is logged so often and no more (sources.c).
 *
 * The worker has no file to write to: its lines go through the supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "libs/base/text.h"

#define LOG_MAX (4 << 20)

static char log_file[VR_LOG_PATH];
static int log_sock = -1; /* the worker's */

/* Standard output and error become the log; /dev/null, if it cannot be. */
static void open_file(void)
{
    int fd;

    fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
              0640);
    if (fd < 0)
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static int put_aside(const char *path)
{
    char old[VR_LOG_PATH + 2];

    snprintf(old, sizeof(old), "%s.1", path);
    return rename(path, old) && errno != ENOENT ? -errno : 0;
}

/* Somebody else may have put it aside: then it is not ours to rename. */
static void make_room(void)
{
    struct stat now, there;

    if (fstat(STDERR_FILENO, &now) || !S_ISREG(now.st_mode) ||
        now.st_size < LOG_MAX)
        return;
    if (!stat(log_file, &there) && there.st_ino == now.st_ino &&
        there.st_dev == now.st_dev && put_aside(log_file))
        return;
    open_file();
}

static void write_line(const char *text)
{
    char line[1280];
    struct timespec ts;
    struct tm tm;
    size_t n;
    int r;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    r = snprintf(line + n, sizeof(line) - n - 1, ".%03ldZ %s",
                 ts.tv_nsec / 1000000, text);
    if (r < 0)
        return;
    n += (size_t)r < sizeof(line) - n - 1 ? (size_t)r : sizeof(line) - n - 2;
    line[n++] = '\n';
    make_room();
    /* Nobody is left to be told that the disk is full. */
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}

void broker_log(const char *fmt, ...)
{
    struct vr_msg msg = {.type = VR_MSG_LOG, .dev = VR_MSG_NO_DEV};
    char text[1200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (log_sock < 0) {
        write_line(text);
        return;
    }
    snprintf(msg.text, sizeof(msg.text), "%.*s", (int)sizeof(msg.text) - 1,
             text);
    broker_msg_send(log_sock, &msg);
}

const char *broker_log_path(void)
{
    return log_file;
}

void broker_log_open(const char *name)
{
    vr_log_path(log_file, name);
    open_file();
}

void broker_log_to(int sock)
{
    log_sock = sock;
}

/* A guest that had the name before has left its log there. */
void broker_log_move(const char *name)
{
    char path[VR_LOG_PATH];
    int rc;

    vr_log_path(path, name);
    if (!strcmp(path, log_file))
        return;
    rc = put_aside(path);
    if (!rc && rename(log_file, path))
        rc = -errno;
    if (rc)
        broker_log("%s: cannot be renamed to %s: %s", log_file, path,
                   strerror(-rc));
    else
        strcpy(log_file, path);
}
