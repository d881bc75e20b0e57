/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processes that the broker's supervisor starts: its worker, and `vrctl
 * cleanup`. The processes are real; what they would run is not. And the
 * messages between supervisor and worker, over a real socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/supervisor/supervisor.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static struct super s;
static char line[512]; /* the log's last */
static int out[2];     /* what a program would have been called with */

void broker_log(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
}

void broker_log_to(int sock)
{
    (void)sock;
}

int mkdir(const char *path, mode_t mode)
{
    (void)mode;
    assert_string_equal(path, VR_EMPTY_DIR);
    errno = EEXIST;
    return -1;
}

/* The worker says hello; then it does what it is told, by the device's number.
 */
void worker_run(const struct vr_record *rec, struct vr_stats *stats, int sock)
{
    struct vr_msg msg = {.type = VR_MSG_SERVING, .dev = rec->domid};
    struct pollfd p = {.fd = sock, .events = POLLIN};

    (void)stats;
    broker_msg_send(sock, &msg);
    poll(&p, 1, -1);
    if (broker_msg_recv(sock, &msg))
        _exit(9);
    _exit(msg.dev);
}

/* No program takes this one's place. gcov puts its own in front of execl(),
 * which calls execv(). */
int execv(const char *path, char *const argv[])
{
    dprintf(out[1], "%s:", path);
    for (; *argv; argv++)
        dprintf(out[1], " %s", *argv);
    errno = ENOENT;
    return -1;
}

int execl(const char *path, const char *arg, ...)
{
    char *argv[8] = {(char *)(uintptr_t)arg};
    unsigned int n = 0;
    va_list ap;

    va_start(ap, arg);
    while (argv[n] && n < VR_ARRAY_SIZE(argv) - 2)
        argv[++n] = va_arg(ap, char *);
    va_end(ap);
    return execv(path, argv);
}

static int setup(void **state)
{
    struct vr_err err;

    (void)state;
    memset(&s, 0, sizeof(s));
    line[0] = '\0';
    s.uuid = UUID;
    s.rec.domid = 7;
    s.link = s.sig = -1;
    assert_int_equal(pipe2(out, O_NONBLOCK), 0);
    assert_int_equal(spawn_worker(&s, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    spawn_stop(&s);
    close(out[0]);
    close(out[1]);
    return 0;
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, 60000), 1);
}

static void test_worker(void **state)
{
    struct vr_msg msg = {.type = VR_MSG_GONE, .dev = 3};

    (void)state;
    assert_true(s.worker > 0);
    spawn_reap(&s, WNOHANG);
    assert_true(s.worker > 0);
    assert_int_equal(broker_msg_send(s.sock, &msg), 0);
    wait_for(s.sock);
    assert_int_equal(broker_msg_recv(s.sock, &msg), 0);
    assert_int_equal(msg.type, VR_MSG_SERVING);
    assert_int_equal(msg.dev, 7);
    wait_for(s.sock);
    assert_int_equal(broker_msg_recv(s.sock, &msg), -EPIPE);
    spawn_reap(&s, 0);
    assert_int_equal(s.worker, 0);
    assert_non_null(strstr(line, "ended with status 3"));
}

static void test_stop(void **state)
{
    (void)state;
    spawn_stop(&s);
    assert_int_equal(s.worker, 0);
    assert_int_equal(s.sock, -1);
    assert_non_null(strstr(line, "killed by signal 9"));
    line[0] = '\0';
    spawn_stop(&s);
    assert_string_equal(line, "");
}

static void called(const char *with)
{
    char text[256] = "";

    assert_true(read(out[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(text, with);
}

static void test_cleanup(void **state)
{
    (void)state;
    spawn_cleanup(&s, false);
    called(VR_SBINDIR "/vrctl: vrctl cleanup " UUID);
    assert_non_null(strstr(line, "run `vrctl cleanup " UUID "`"));
    spawn_cleanup(&s, true);
    called(VR_SBINDIR "/vrctl: vrctl cleanup --abort " UUID);
}

/* ---- messages ---- */

static void test_messages(void **state)
{
    struct vr_msg msg = {.type = VR_MSG_LOG}, got;
    int pair[2], i, rc = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(broker_msg_recv(pair[0], &got), -EAGAIN);
    /* A text without an end, a packet that is no message. */
    memset(msg.text, 'x', sizeof(msg.text));
    assert_int_equal(broker_msg_send(pair[1], &msg), 0);
    assert_int_equal(broker_msg_recv(pair[0], &got), 0);
    assert_int_equal(strlen(got.text), sizeof(got.text) - 1);
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    assert_int_equal(broker_msg_recv(pair[0], &got), -EPROTO);
    /* Nobody reads: it does not block. */
    for (i = 0; !rc && i < 100000; i++)
        rc = broker_msg_send(pair[1], &msg);
    assert_int_equal(rc, -EAGAIN);
    close(pair[0]);
    assert_true(broker_msg_send(pair[1], &msg) < 0);
    close(pair[1]);
}

/* ---- what ps shows ---- */

static void test_title(void **state)
{
    char memory[] = "vr-broker\0" UUID "\0x=y";
    char *argv[] = {memory, memory + 10, NULL};
    const size_t room = 10 + sizeof(UUID);

    (void)state;
    broker_title("not known yet");
    assert_string_equal(memory, "vr-broker");
    broker_title_init(2, argv);
    broker_title("vr-broker %s", "guest");
    assert_string_equal(memory, "vr-broker guest");
    broker_title("%064d", 0);
    assert_int_equal(strlen(memory), room - 1);
    assert_string_equal(memory + room, "x=y");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_worker),
        TEST(test_stop),
        TEST(test_cleanup),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_title),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
