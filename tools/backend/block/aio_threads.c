/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* I/O by threads alone, where there is no io_uring. For serve.c. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "threads.h"

struct vr_aio {
    struct vr_threads *threads;
    struct vr_aio_req *head, **tail; /* queued, not yet handed over */
    struct pollfd pfd[VR_AIO_FDS + 1];
};

static int threads_open(struct vr_aio **out, const struct vr_aio_cfg *cfg,
                        struct vr_err *err)
{
    struct vr_aio *aio = calloc(1, sizeof(*aio));
    unsigned int i;
    int rc;

    if (!aio)
        return -ENOMEM;
    rc = vr_threads_new(&aio->threads, cfg->target, cfg->threads);
    if (rc) {
        vr_err_set(err, "cannot start %u I/O threads: error %d", cfg->threads,
                   -rc);
        free(aio);
        return rc;
    }
    aio->tail = &aio->head;
    for (i = 0; i < VR_AIO_FDS; i++) {
        aio->pfd[i].fd = cfg->fds[i];
        aio->pfd[i].events = POLLIN;
    }
    aio->pfd[i].fd = vr_threads_fd(aio->threads);
    aio->pfd[i].events = POLLIN;
    *out = aio;
    return 0;
}

static void threads_queue(struct vr_aio *aio, struct vr_aio_req *req)
{
    req->next = NULL;
    req->first = 0;
    *aio->tail = req;
    aio->tail = &req->next;
}

static unsigned int threads_run(struct vr_aio *aio, int64_t timeout_ns,
                                struct vr_aio_req **done)
{
    struct timespec ts = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    unsigned int i, ready = 0;

    if (aio->head) {
        vr_threads_add(aio->threads, aio->head);
        aio->head = NULL;
        aio->tail = &aio->head;
    }
    *done = vr_threads_done(aio->threads);
    if (*done || !timeout_ns)
        return 0;
    if (ppoll(aio->pfd, VR_AIO_FDS + 1, timeout_ns < 0 ? NULL : &ts, NULL) <= 0)
        return 0;
    for (i = 0; i < VR_AIO_FDS; i++) {
        if (!aio->pfd[i].revents)
            continue;
        ready |= 1u << i;
        /* An end of file stays: saying it once is enough. */
        if (aio->pfd[i].revents & (POLLHUP | POLLERR | POLLNVAL))
            aio->pfd[i].fd = -1;
    }
    *done = vr_threads_done(aio->threads);
    return ready;
}

static void threads_close(struct vr_aio *aio)
{
    vr_threads_free(aio->threads);
    free(aio);
}

const struct vr_aio_ops vr_aio_threads = {
    .name = "threads",
    .open = threads_open,
    .queue = threads_queue,
    .run = threads_run,
    .close = threads_close,
};
