/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that reads the source, so that the worker's loop never waits for it.
 * O_NONBLOCK would not do: Linux holds a lock of /dev/hwrng while it, or
 * another reader, waits for the hardware. Two eventfds hand what is asked for
 * and what was read from one thread to the other; whoever has the last word
 * owns the fields between. Called by serve.c.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rng.h"

#define STACK_SIZE (64u << 10)

static void *reader(void *ctx)
{
    struct vr_rng *rng = ctx;
    eventfd_t n;
    ssize_t r;

    /* It runs: a system call filter that is set next does not hit it
     * half-way. */
    eventfd_write(rng->done, 1);
    for (;;) {
        if (eventfd_read(rng->ask, &n))
            continue;
        r = read(rng->fd, rng->bytes, rng->want);
        rng->result = r < 0 ? -errno : (int)r;
        eventfd_write(rng->done, 1);
    }
    return NULL;
}

int vr_rng_reader_start(struct vr_rng *rng)
{
    pthread_attr_t attr;
    eventfd_t n;
    int rc;

    rng->ask = eventfd(0, EFD_CLOEXEC);
    rng->done = eventfd(0, EFD_CLOEXEC);
    if (rng->ask < 0 || rng->done < 0) {
        rc = -errno;
        goto out;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    rc = -pthread_create(&rng->reader, &attr, reader, rng);
    pthread_attr_destroy(&attr);
    if (rc)
        goto out;
    if (!eventfd_read(rng->done, &n))
        return 0;
    rc = -errno;
    pthread_cancel(rng->reader);
    pthread_join(rng->reader, NULL);
out:
    if (rng->ask >= 0)
        close(rng->ask);
    if (rng->done >= 0)
        close(rng->done);
    return rc;
}

void vr_rng_reader_ask(struct vr_rng *rng, uint32_t want)
{
    rng->want = want;
    rng->asked = true;
    eventfd_write(rng->ask, 1);
}

int vr_rng_reader_take(struct vr_rng *rng)
{
    eventfd_t n;

    rng->asked = false;
    return eventfd_read(rng->done, &n) ? -errno : rng->result;
}

void vr_rng_reader_stop(struct vr_rng *rng)
{
    pthread_cancel(rng->reader);
    pthread_join(rng->reader, NULL);
    close(rng->ask);
    close(rng->done);
}
