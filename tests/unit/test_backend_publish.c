/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the guest is told of what is done, while more of the queue's requests
 * are under way: held back where those end soon, at once where they wait for
 * the world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/worker/loop_int.h"

static _Alignas(4096) uint8_t mem[4 * 4096];

/* One request is done, and others of the queue are not: is the guest told? */
static bool told(bool waits)
{
    const struct vr_window win = {
        .base = 0x10000, .size = sizeof(mem), .va = mem};
    const struct vr_ctrl_queue cfg = {.desc = 0x10000,
                                      .driver = 0x11000,
                                      .device = 0x12000,
                                      .size = 16,
                                      .epoch = 1};
    const struct vr_serve serve = {.waits = waits};
    static struct vr_ctrl_page page;
    static struct vr_loop l;
    struct vr_queue *q = &l.dev.q[0];

    memset(mem, 0, sizeof(mem));
    memset(&l, 0, sizeof(l));
    l.nqueues = 1;
    l.dev.serve = &serve;
    l.dev.cfg.page = &page;
    l.dev.now = 1000000;
    assert_int_equal(vr_vq_start(&q->vq, &win, &cfg, 0, NULL), 0);
    q->epoch = 1;
    q->inflight = 8;
    q->service = q->gap = 1000000;
    q->last_done = q->held_since = l.dev.now;
    vr_vq_push(&q->vq, 0, 0);
    q->held = 1;
    vr_loop_publish(&l);
    vr_vq_stop(&q->vq);
    return !q->held;
}

static void test_held(void **state)
{
    (void)state;
    assert_false(told(false));
}

static void test_at_once(void **state)
{
    (void)state;
    assert_true(told(true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
