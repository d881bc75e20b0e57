/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keeper, as keeper.h has it: which interfaces there are, and whether they
 * are still wanted. Runs as root; started by main.c. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

#include "backend/say.h"
#include "keeper.h"

#define ROOT "backend/" VR_NAME /* relative: of the domain we run in */

/* As many devices as vr-backend serves. */
#define CHILDREN 256
/* Events get lost when xenstored is restarted: a look now and then. */
#define LOOK_MS 5000

struct child {
    struct vr_xs_dev dev;
    pid_t pid; /* 0: none */
    int sock;  /* -1: told to end */
};

static struct {
    int asks; /* where workers ask */
    struct xs_handle *xs;
    struct child child[CHILDREN];
} k;

/* ---- xenstore ---- */

static bool open_store(void)
{
    if (k.xs)
        return true;
    k.xs = xs_open(0);
    if (k.xs && !xs_watch(k.xs, ROOT, "k")) {
        xs_close(k.xs);
        k.xs = NULL;
    }
    return k.xs;
}

static char *read_node(void *ctx, const char *key, size_t *len)
{
    const struct vr_keeper_ask *ask = ctx;
    char path[VR_XS_PATH];
    unsigned int n = 0;
    char *value;

    snprintf(path, sizeof(path), ROOT "/%u/%s/%s", ask->guest, ask->id, key);
    value = xs_read(k.xs, XBT_NULL, path, &n);
    *len = n;
    return value;
}

static bool is_gone(const struct vr_xs_dev *dev)
{
    struct vr_keeper_ask ask = {.guest = dev->guest};
    size_t len;
    char *value;

    memcpy(ask.id, dev->cfg.id, sizeof(ask.id));
    value = read_node(&ask, "online", &len);
    if (!value)
        return errno == ENOENT;
    free(value);
    return false;
}

/* ---- children ---- */

static void end_child(struct child *c)
{
    if (c->sock >= 0)
        close(c->sock);
    c->sock = -1;
}

static void reap(void)
{
    unsigned int i;
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        for (i = 0; i < CHILDREN; i++) {
            if (k.child[i].pid != pid)
                continue;
            end_child(&k.child[i]);
            k.child[i].pid = 0;
        }
    }
}

/* What is not wanted any more goes. */
static void look(void)
{
    unsigned int i;
    char **event;

    if (!k.xs)
        return;
    while ((event = xs_check_watch(k.xs)))
        free(event);
    for (i = 0; i < CHILDREN; i++) {
        struct child *c = &k.child[i];

        if (c->pid && c->sock >= 0 && is_gone(&c->dev))
            end_child(c);
    }
}

static struct child *find_child(const struct vr_keeper_ask *ask)
{
    unsigned int i;

    for (i = 0; i < CHILDREN; i++) {
        struct child *c = &k.child[i];

        if (c->pid && c->dev.guest == ask->guest &&
            !strcmp(c->dev.cfg.id, ask->id))
            return c;
    }
    return NULL;
}

static struct child *start_child(const struct vr_xs_dev *dev)
{
    struct child *c;
    unsigned int i;
    int pair[2];

    for (i = 0; i < CHILDREN && k.child[i].pid; i++)
        ;
    if (i == CHILDREN ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return NULL;
    c = &k.child[i];
    c->dev = *dev;
    c->pid = fork();
    if (!c->pid) {
        /* Nobody else's end may stay open here. */
        for (i = 0; i < CHILDREN; i++)
            if (k.child[i].pid && k.child[i].sock >= 0)
                close(k.child[i].sock);
        close(pair[0]);
        close(k.asks);
        xs_daemon_destroy_postfork(k.xs);
        vr_iface_run(dev, pair[1]);
    }
    close(pair[1]);
    c->sock = pair[0];
    if (c->pid > 0)
        return c;
    end_child(c);
    c->pid = 0;
    return NULL;
}

/* ---- asking ---- */

static void refuse(int to, int rc, const char *why)
{
    struct vr_keeper_answer a = {.rc = rc};

    snprintf(a.why, sizeof(a.why), "%.*s", (int)sizeof(a.why) - 1, why);
    vr_keeper_send(to, &a, sizeof(a), NULL, 0);
}

static void serve(struct vr_keeper_ask *ask, int to)
{
    struct vr_err err = {"xenstore cannot be reached"};
    struct vr_xs_dev dev;
    struct child *c;
    int rc = -EBUSY; /* for now */

    ask->id[VR_ID_LEN] = '\0';
    if (open_store())
        rc = vr_xs_dev_parse(&dev, ask->id, read_node, ask, &err);
    if (!rc && (dev.guest != ask->guest || dev.cfg.type != VR_TYPE_net))
        rc = -EINVAL;
    if (rc) {
        refuse(to, rc, err.text);
        return;
    }
    c = find_child(ask);
    if (c && (c->dev.ctrl_gref != dev.ctrl_gref ||
              c->dev.ctrl_port != dev.ctrl_port))
        end_child(c); /* of a device that was there before */
    if (!c)
        c = start_child(&dev);
    if (!c)
        refuse(to, -ENOMEM, "no process for the interface");
    else if (c->sock < 0)
        refuse(to, -EBUSY, "a former interface of that name is still to go");
    else if (vr_keeper_send(c->sock, "", 1, &to, 1))
        refuse(to, -EBUSY, "the interface's process does not answer");
}

/* Nobody asks any more: the interfaces go, and so do we. */
static void leave(void)
{
    unsigned int i;

    for (i = 0; i < CHILDREN; i++)
        if (k.child[i].pid)
            end_child(&k.child[i]);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    _exit(0);
}

static void run(void)
{
    int to[VR_KEEPER_FDS], rc;
    struct vr_keeper_ask ask;
    unsigned int n;

    prctl(PR_SET_NAME, "vr-keeper");
    for (;;) {
        struct pollfd fds[] = {
            {.fd = k.asks, .events = POLLIN},
            {.fd = k.xs ? xs_fileno(k.xs) : -1, .events = POLLIN}};

        poll(fds, VR_ARRAY_SIZE(fds), k.xs ? LOOK_MS : -1);
        reap();
        if (fds[0].revents) {
            rc = vr_keeper_recv(k.asks, &ask, sizeof(ask), to, &n);
            if (rc == -EPIPE)
                leave();
            if (!rc && n)
                serve(&ask, to[0]);
            while (!rc && n)
                close(to[--n]);
        }
        look();
    }
}

int vr_keeper_start(int *fd, struct vr_err *err)
{
    static const int quiet[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    unsigned int i;
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        vr_err_set(err, "-n: no socket: %s", strerror(errno));
        return -errno;
    }
    pid = fork();
    if (pid < 0) {
        vr_err_set(err, "-n: no process: %s", strerror(errno));
        return -errno;
    }
    if (!pid) {
        close(pair[0]);
        for (i = 0; i < VR_ARRAY_SIZE(quiet); i++)
            signal(quiet[i], SIG_IGN);
        /* Started here, it would be a child of the devices' process, which
         * waits for its workers alone. */
        if (fork())
            _exit(0);
        k.asks = pair[1];
        run();
    }
    close(pair[1]);
    waitpid(pid, NULL, 0);
    *fd = pair[0];
    return 0;
}
