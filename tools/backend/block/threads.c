/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that carry out block requests; for aio_uring.c and aio_threads.c.
 * They touch the target and the requests they are given. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "threads.h"

#define STACK_SIZE (128u << 10)

struct vr_threads {
    struct vr_target *target;
    pthread_mutex_t lock;
    pthread_cond_t more, started;
    unsigned int running;            /* threads that are through libc's start */
    struct vr_aio_req *head, **tail; /* to do, in order */
    struct vr_aio_req *done;
    bool quit;
    int fd;
    unsigned int threads;
    pthread_t thread[];
};

static void *thread_main(void *arg)
{
    struct vr_threads *t = arg;
    struct vr_aio_req *req;

    pthread_mutex_lock(&t->lock);
    t->running++;
    pthread_cond_signal(&t->started);
    for (;;) {
        while (!t->head && !t->quit)
            pthread_cond_wait(&t->more, &t->lock);
        req = t->head;
        if (!req)
            break;
        t->head = req->next;
        if (!t->head)
            t->tail = &t->head;
        pthread_mutex_unlock(&t->lock);

        vr_aio_exec(t->target, req);

        pthread_mutex_lock(&t->lock);
        /* Announced once until it is taken. */
        if (!t->done)
            eventfd_write(t->fd, 1);
        req->next = t->done;
        t->done = req;
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int vr_threads_new(struct vr_threads **out, struct vr_target *target,
                   unsigned int threads)
{
    struct vr_threads *t;
    pthread_attr_t attr;
    int rc = 0;

    t = calloc(1, sizeof(*t) + threads * sizeof(pthread_t));
    if (!t)
        return -ENOMEM;
    t->target = target;
    t->tail = &t->head;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->more, NULL);
    pthread_cond_init(&t->started, NULL);
    t->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->fd < 0)
        rc = -errno;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    while (!rc && t->threads < threads) {
        rc = -pthread_create(&t->thread[t->threads], &attr, thread_main, t);
        if (!rc)
            t->threads++;
    }
    pthread_attr_destroy(&attr);
    /* A system call filter that is set next must not hit them half-way. */
    pthread_mutex_lock(&t->lock);
    while (t->running < t->threads)
        pthread_cond_wait(&t->started, &t->lock);
    pthread_mutex_unlock(&t->lock);
    if (rc)
        vr_threads_free(t);
    else
        *out = t;
    return rc;
}

void vr_threads_free(struct vr_threads *t)
{
    unsigned int i;

    pthread_mutex_lock(&t->lock);
    t->quit = true;
    pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
    for (i = 0; i < t->threads; i++)
        pthread_join(t->thread[i], NULL);
    if (t->fd >= 0)
        close(t->fd);
    pthread_cond_destroy(&t->more);
    pthread_cond_destroy(&t->started);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int vr_threads_fd(const struct vr_threads *t)
{
    return t->fd;
}

void vr_threads_add(struct vr_threads *t, struct vr_aio_req *list)
{
    struct vr_aio_req *last = list;

    while (last->next)
        last = last->next;
    pthread_mutex_lock(&t->lock);
    *t->tail = list;
    t->tail = &last->next;
    if (list == last)
        pthread_cond_signal(&t->more);
    else
        pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
}

struct vr_aio_req *vr_threads_done(struct vr_threads *t)
{
    struct vr_aio_req *list;
    eventfd_t n;

    pthread_mutex_lock(&t->lock);
    list = t->done;
    t->done = NULL;
    if (list)
        eventfd_read(t->fd, &n);
    pthread_mutex_unlock(&t->lock);
    return list;
}
