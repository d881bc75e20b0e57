/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker's sleep at its event channels, and what ends it: an event, or what
 * its parent's socket has to say, whenever that comes. The descriptor of the
 * event channels is one end of a socket here.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xentoollog.h>

#include <cmocka.h>

#include "backend/device.h"
#include "backend/worker/channel.h"

#define BROKER 3u
#define BELL   5u
#define ROUNDS 300u

static int events[2]; /* the channel's, the test's */
static int parent[2]; /* the channel's, the parent's */
static struct vr_channel channel;

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags)
{
    (void)logger;
    (void)flags;
    return (xenevtchn_handle *)&events;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return events[0];
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
    (void)xce;
    (void)domid;
    return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
                                                     uint32_t domid,
                                                     evtchn_port_t remote)
{
    (void)xce;
    (void)domid;
    return (xenevtchn_port_or_error_t)remote;
}

static int make(void **state)
{
    const struct vr_xs_dev dev = {.guest = 7, .ctrl_port = BROKER};
    struct vr_err err;
    int fd;

    (void)state;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, events) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, parent) ||
        vr_channel_open(&channel, &dev, &fd, &err) ||
        vr_channel_wake_for(&channel, parent[0], &err))
        return -1;
    channel.bell[0] = BELL;
    return 0;
}

static int drop(void **state)
{
    (void)state;
    close(parent[0]);
    if (parent[1] >= 0)
        close(parent[1]);
    close(events[0]);
    close(events[1]);
    return 0;
}

static unsigned int sleeps(void)
{
    return vr_channel_ops.sleep(&channel);
}

static void event(evtchn_port_t port)
{
    assert_int_equal(write(events[1], &port, sizeof(port)), sizeof(port));
}

/* The kernel's end of a parent that ends us. */
static void leave(void)
{
    close(parent[1]);
    parent[1] = -1;
}

static void an_event(void **state)
{
    (void)state;
    event(BROKER);
    assert_int_equal(sleeps(), VR_HEARD);
    event(BELL);
    assert_int_equal(sleeps(), VR_HEARD | VR_HEARD_BELLS);
    assert_int_equal(channel.bells_masked, 1);
    /* Of a queue that is gone: it woke us all the same. */
    event(BELL + 1);
    assert_int_equal(sleeps(), VR_HEARD);
}

static void before(void **state)
{
    (void)state;
    leave();
    assert_int_equal(sleeps(), 0);
}

/* What has come meanwhile is not lost; then it does not wait. */
static void with_an_event(void **state)
{
    (void)state;
    event(BELL);
    leave();
    assert_int_equal(sleeps(), VR_HEARD | VR_HEARD_BELLS);
    assert_int_equal(sleeps(), 0);
}

/* Told of what the sleep took already: it does not wait for more. */
static void told_late(void **state)
{
    (void)state;
    event(BROKER);
    assert_int_equal(sleeps(), VR_HEARD);
    assert_int_equal(vr_channel_ops.hear(&channel), 0);
    event(BROKER);
    assert_int_equal(vr_channel_ops.hear(&channel), VR_HEARD);
}

/* Who has looked at the socket may sleep again. */
static void once(void **state)
{
    char c;

    (void)state;
    assert_int_equal(write(parent[1], "", 1), 1);
    assert_int_equal(sleeps(), 0);
    assert_int_equal(read(parent[0], &c, 1), 1);
    event(BROKER);
    assert_int_equal(sleeps(), VR_HEARD);
}

static void *parent_leaves(void *arg)
{
    usleep(*(useconds_t *)arg);
    leave();
    return NULL;
}

/* At any moment of the way into sleep; a hang is the failure. */
static void meanwhile(void **state)
{
    useconds_t us;
    pthread_t thread;

    for (us = 0; us < ROUNDS; us++) {
        assert_int_equal(pthread_create(&thread, NULL, parent_leaves, &us), 0);
        assert_int_equal(sleeps(), 0);
        pthread_join(thread, NULL);
        drop(state);
        assert_int_equal(make(state), 0);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_event),  T(before), T(with_an_event),
        T(told_late), T(once),   T(meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
