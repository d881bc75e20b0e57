/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the worker hears of driver domains that end, when it is slow to read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/supervisor/supervisor.h"

static struct super super;
static bool full;
static unsigned int gone[VR_MAX_DEVICES], shown;
static uint32_t lives; /* the domain that does */

/* ---- what domains.c calls ---- */

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = lives;
    info->flags = XEN_DOMINF_running;
    memset(info->handle, lives, sizeof(info->handle));
    return first == lives;
}

int broker_msg_send(int sock, const struct vr_msg *msg)
{
    (void)sock;
    if (full)
        return -EAGAIN;
    if (msg->type == VR_MSG_GONE)
        gone[msg->dev]++;
    return 0;
}

void broker_log(const char *fmt, ...)
{
    (void)fmt;
}

void backends_show(struct super *s, unsigned int i)
{
    (void)s;
    (void)i;
    shown++;
}

void super_refuse(struct super *s, const char *text)
{
    (void)s;
    fail_msg("%s", text);
}

void super_cleanup(struct super *s, bool abort)
{
    (void)s;
    fail_msg("clean-up, %d", abort);
}

/* Guest 7 runs; driver domain 8, of two devices, has ended. */
static int setup(void **state)
{
    struct vr_record *rec = &super.rec;

    (void)state;
    memset(&super, 0, sizeof(super));
    memset(gone, 0, sizeof(gone));
    shown = 0;
    full = false;
    lives = 7;
    super.step = STEP_RUNNING;
    super.xch = (xc_interface *)&super;
    rec->domid = 7;
    strcpy(rec->uuid, "07070707-0707-0707-0707-070707070707");
    rec->ndevs = 2;
    rec->ndrivers = 1;
    rec->drivers[0].domid = 8;
    strcpy(rec->drivers[0].uuid, "08080808-0808-0808-0808-080808080808");
    return 0;
}

static void test_gone_once(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 5; i++)
        domains_check(&super);
    assert_int_equal(gone[0], 1);
    assert_int_equal(gone[1], 1);
    assert_int_equal(shown, 2);
}

/* A worker that does not read has no room for more. It hears of it later. */
static void test_gone_again(void **state)
{
    unsigned int i;

    (void)state;
    full = true;
    for (i = 0; i < 5; i++)
        domains_check(&super);
    assert_int_equal(gone[0] + gone[1], 0);
    assert_true(super.dev[0].gone && super.dev[1].gone);
    full = false;
    for (i = 0; i < 5; i++)
        domains_check(&super);
    assert_int_equal(gone[0], 1);
    assert_int_equal(gone[1], 1);
    assert_int_equal(shown, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_gone_once, setup),
        cmocka_unit_test_setup(test_gone_again, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
