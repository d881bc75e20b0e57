/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "threads.h"

#define STACK_SIZE (128u << 10)

struct vr_pool {
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

static void *pool_thread(void *arg)
{
    struct vr_pool *pool = arg;
    struct vr_aio_req *req;

    pthread_mutex_lock(&pool->lock);
    pool->running++;
    pthread_cond_signal(&pool->started);
    for (;;) {
        while (!pool->head && !pool->quit)
            pthread_cond_wait(&pool->more, &pool->lock);
        req = pool->head;
        if (!req)
            break;
        pool->head = req->next;
        if (!pool->head)
            pool->tail = &pool->head;
        pthread_mutex_unlock(&pool->lock);

        vr_aio_exec(pool->target, req);

        pthread_mutex_lock(&pool->lock);
        /* Announced once until it is taken. */
        if (!pool->done)
            eventfd_write(pool->fd, 1);
        req->next = pool->done;
        pool->done = req;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int vr_pool_new(struct vr_pool **out, struct vr_target *target,
                unsigned int threads)
{
    struct vr_pool *pool;
    pthread_attr_t attr;
    int rc = 0;

    pool = calloc(1, sizeof(*pool) + threads * sizeof(pthread_t));
    if (!pool)
        return -ENOMEM;
    pool->target = target;
    pool->tail = &pool->head;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    pthread_cond_init(&pool->started, NULL);
    pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->fd < 0)
        rc = -errno;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    while (!rc && pool->threads < threads) {
        rc = -pthread_create(&pool->thread[pool->threads], &attr, pool_thread,
                             pool);
        if (!rc)
            pool->threads++;
    }
    pthread_attr_destroy(&attr);
    /* A system call filter that is set next must not hit them half-way. */
    pthread_mutex_lock(&pool->lock);
    while (pool->running < pool->threads)
        pthread_cond_wait(&pool->started, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    if (rc)
        vr_pool_free(pool);
    else
        *out = pool;
    return rc;
}

void vr_pool_free(struct vr_pool *pool)
{
    unsigned int i;

    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (i = 0; i < pool->threads; i++)
        pthread_join(pool->thread[i], NULL);
    if (pool->fd >= 0)
        close(pool->fd);
    pthread_cond_destroy(&pool->more);
    pthread_cond_destroy(&pool->started);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int vr_pool_fd(const struct vr_pool *pool)
{
    return pool->fd;
}

void vr_pool_add(struct vr_pool *pool, struct vr_aio_req *list)
{
    struct vr_aio_req *last = list;

    while (last->next)
        last = last->next;
    pthread_mutex_lock(&pool->lock);
    *pool->tail = list;
    pool->tail = &last->next;
    if (list == last)
        pthread_cond_signal(&pool->more);
    else
        pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
}

struct vr_aio_req *vr_pool_done(struct vr_pool *pool)
{
    struct vr_aio_req *list;
    eventfd_t n;

    pthread_mutex_lock(&pool->lock);
    list = pool->done;
    pool->done = NULL;
    if (list)
        eventfd_read(pool->fd, &n);
    pthread_mutex_unlock(&pool->lock);
    return list;
}
