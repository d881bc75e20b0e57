/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/proto/link.h"

static int pair[2];

static int open_pair(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
    (void)state;
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static void expect(char type, const char *text)
{
    char got, buf[VR_LINK_MAX + 1];

    assert_int_equal(vr_link_recv(pair[1], 1000, &got, buf), 0);
    assert_int_equal(got, type);
    assert_string_equal(buf, text);
}

static void messages_keep_their_borders(void **state)
{
    (void)state;
    assert_int_equal(vr_link_send(pair[0], 'P', "uuid"), 0);
    assert_int_equal(vr_link_send(pair[0], 'C', NULL), 0);
    assert_int_equal(vr_link_send(pair[0], 'E', ""), 0);
    expect('P', "uuid");
    expect('C', "");
    expect('E', "");
}

static void long_text_is_cut(void **state)
{
    char text[2 * VR_LINK_MAX], buf[VR_LINK_MAX + 1], type;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(vr_link_send(pair[0], 'E', text), 0);
    assert_int_equal(vr_link_recv(pair[1], -1, &type, buf), 0);
    assert_int_equal(strlen(buf), VR_LINK_MAX);
    /* and what a stranger sends too long */
    assert_int_equal(send(pair[0], text, sizeof(text), 0), sizeof(text));
    assert_int_equal(vr_link_recv(pair[1], 0, &type, buf), 0);
    assert_int_equal(strlen(buf), VR_LINK_MAX);
}

static void time_limits(void **state)
{
    char type, buf[VR_LINK_MAX + 1];

    (void)state;
    assert_int_equal(vr_link_recv(pair[1], 0, &type, buf), -ETIMEDOUT);
    assert_int_equal(vr_link_recv(pair[1], 20, &type, buf), -ETIMEDOUT);
}

static void other_end_closed(void **state)
{
    char type, buf[VR_LINK_MAX + 1];

    (void)state;
    assert_int_equal(vr_link_send(pair[0], 'C', NULL), 0);
    close(pair[0]);
    /* what was sent before still arrives */
    expect('C', "");
    assert_int_equal(vr_link_recv(pair[1], -1, &type, buf), -EPIPE);
    assert_int_equal(vr_link_send(pair[1], 'O', NULL), -EPIPE);
    pair[0] = dup(pair[1]);
}

static void closed_with_unread_messages(void **state)
{
    char type, buf[VR_LINK_MAX + 1];

    (void)state;
    assert_int_equal(vr_link_send(pair[1], 'O', NULL), 0);
    close(pair[0]);
    assert_int_equal(vr_link_recv(pair[1], -1, &type, buf), -EPIPE);
    pair[0] = dup(pair[1]);
}

static void no_socket(void **state)
{
    char type, buf[VR_LINK_MAX + 1];

    (void)state;
    assert_int_equal(vr_link_send(-1, 'O', NULL), -EBADF);
    assert_true(vr_link_recv(-1, 0, &type, buf) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_keep_their_borders, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(long_text_is_cut, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(time_limits, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(other_end_closed, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(closed_with_unread_messages, open_pair,
                                        close_pair),
        cmocka_unit_test(no_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
