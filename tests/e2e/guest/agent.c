/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs shell commands in a guest or driver domain for the tests in dom0.
 *
 * dom0 (gx.c) writes "SEQ SECONDS COMMAND" to data/vr-test/cmd. The agent runs
 * COMMAND, writes its output in pieces to data/vr-test/out/N and then
 * "SEQ STATUS PIECES" to data/vr-test/rc. A command that does not end in time
 * is killed (124) and, when even that does not end it (it hangs in the
 * kernel), left behind: the agent itself never waits for a device.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#define OUTPUT "/tmp/vr-agent.out"
#define PIECE  2000 /* xenstored refuses longer values from a guest */
#define PIECES 12

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

/*
 * xenstore by the kernel's device, without libxenstore: that one wants a
 * thread for watches, and starting it fails now and then in a static program.
 */
struct store {
    int fd;
    bool event; /* a watch fired since this was cleared */
};

static int transfer(int fd, void *buf, size_t len, bool out)
{
    char *p = buf;
    ssize_t n;

    while (len) {
        n = out ? write(fd, p, len) : read(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        p += n;
        len -= n;
    }
    return 0;
}

/* One message in; @text holds XENSTORE_PAYLOAD_MAX + 1 bytes. */
static int receive(struct store *s, struct xsd_sockmsg *msg, char *text)
{
    if (transfer(s->fd, msg, sizeof(*msg), false) ||
        msg->len > XENSTORE_PAYLOAD_MAX ||
        transfer(s->fd, text, msg->len, false))
        return -EIO;
    text[msg->len] = '\0';
    if (msg->type == XS_WATCH_EVENT)
        s->event = true;
    return 0;
}

/* A request and its answer. Returns the answer's length or -errno. */
static int request(struct store *s, uint32_t type, const char *a, size_t alen,
                   const char *b, size_t blen, char *text)
{
    struct xsd_sockmsg msg = {.type = type, .len = alen + blen};
    char out[sizeof(msg) + XENSTORE_PAYLOAD_MAX];

    if (alen + blen > XENSTORE_PAYLOAD_MAX)
        return -E2BIG;
    memcpy(out, &msg, sizeof(msg));
    memcpy(out + sizeof(msg), a, alen);
    memcpy(out + sizeof(msg) + alen, b, blen);
    if (transfer(s->fd, out, sizeof(msg) + alen + blen, true))
        return -EIO;
    do {
        if (receive(s, &msg, text))
            return -EIO;
    } while (msg.type == XS_WATCH_EVENT);
    return msg.type == type ? (int)msg.len : -EINVAL;
}

static void node_write(struct store *s, const char *path, const char *value,
                       size_t len)
{
    static char text[XENSTORE_PAYLOAD_MAX + 1];

    if (request(s, XS_WRITE, path, strlen(path) + 1, value, len, text) < 0)
        fprintf(stderr, "agent: writing %s: %s\n", path, text);
}

/* The exit status as a shell would show it; 124 when the time was over. */
static int run(const char *command, double limit)
{
    double end = now() + limit;
    int status, fd, step;
    pid_t pid;

    pid = fork();
    if (pid < 0)
        return 125;
    if (!pid) {
        setsid();
        unlink(OUTPUT);
        fd = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(125);
        fd = open("/dev/null", O_RDONLY);
        if (fd >= 0)
            dup2(fd, 0);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    step = 2000;
    for (;;) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status)
                                     : 128 + WTERMSIG(status);
        if (now() > end)
            break;
        usleep(step);
        if (step < 50000)
            step += step / 4;
    }
    kill(-pid, SIGKILL);
    usleep(200000);
    waitpid(pid, &status, WNOHANG);
    return 124;
}

/* The output's end matters more than its beginning: keep the tail. */
static unsigned int send_output(struct store *s)
{
    static char buf[PIECE * PIECES];
    unsigned int n = 0;
    char path[64];
    ssize_t len;
    off_t size;
    int fd;

    fd = open(OUTPUT, O_RDONLY);
    if (fd < 0)
        return 0;
    size = lseek(fd, 0, SEEK_END);
    if (size > (off_t)sizeof(buf))
        lseek(fd, size - (off_t)sizeof(buf), SEEK_SET);
    else
        lseek(fd, 0, SEEK_SET);
    len = read(fd, buf, sizeof(buf));
    close(fd);
    for (ssize_t at = 0; at < len; at += PIECE, n++) {
        snprintf(path, sizeof(path), "data/vr-test/out/%u", n);
        node_write(s, path, buf + at,
                   len - at < PIECE ? (size_t)(len - at) : PIECE);
    }
    return n;
}

static void serve(struct store *s, unsigned long *last)
{
    static char text[XENSTORE_PAYLOAD_MAX + 1];
    unsigned long seq;
    int at = 0, rc, n;
    double limit;
    char answer[64];

    if (request(s, XS_READ, "data/vr-test/cmd", 17, "", 0, text) < 0)
        return;
    if (sscanf(text, "%lu %lf %n", &seq, &limit, &at) < 2 || !at ||
        seq == *last)
        return;
    *last = seq;
    rc = run(text + at, limit);
    n = send_output(s);
    snprintf(answer, sizeof(answer), "%lu %d %d", seq, rc, n);
    node_write(s, "data/vr-test/rc", answer, strlen(answer));
}

int main(void)
{
    static char text[XENSTORE_PAYLOAD_MAX + 1];
    struct store s = {.fd = -1};
    unsigned long last = 0;
    struct xsd_sockmsg msg;

    for (int i = 0; s.fd < 0 && i < 100; i++) {
        s.fd = open("/dev/xen/xenbus", O_RDWR | O_CLOEXEC);
        if (s.fd < 0)
            usleep(100000);
    }
    if (s.fd < 0) {
        fprintf(stderr, "agent: /dev/xen/xenbus: %s\n", strerror(errno));
        return 1;
    }
    if (request(&s, XS_WATCH, "data/vr-test/cmd", 17, "cmd", 4, text) < 0) {
        fprintf(stderr, "agent: cannot watch: %s\n", text);
        return 1;
    }
    node_write(&s, "data/vr-test/up", "1", 1);
    printf("agent: up\n");
    fflush(stdout);
    for (;;) {
        if (!s.event && receive(&s, &msg, text))
            return 1;
        s.event = false;
        serve(&s, &last);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}
