/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's log: what is kept of it, and who can make it say how much. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "libs/base/text.h"

static char dir[] = "/tmp/vr-brokerlog.XXXXXX";
static int64_t clock_ms;

uint64_t vr_now_ms(void)
{
    return clock_ms;
}

uint64_t vr_now_ns(void)
{
    return clock_ms * 1000000;
}

/* Elsewhere than in /var/log. */
char *vr_log_path(char *buf, const char *name)
{
    snprintf(buf, VR_LOG_PATH, "%s/%s.log", dir, name);
    return buf;
}

/* A life of a guest: a process, whose output becomes the log. */
static void live(const char *name, void (*life)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (!pid) {
        broker_log_open(name);
        life();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static off_t size_of(const char *name)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return stat(path, &st) ? -1 : st.st_size;
}

/* How often @text is in the file. */
static unsigned int count(const char *name, const char *text)
{
    char path[256], line[2048];
    unsigned int n = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f))
        n += strstr(line, text) != NULL;
    fclose(f);
    return n;
}

static void first_life(void)
{
    broker_log("the first life");
}

static void second_life(void)
{
    broker_log("the second life");
}

static void test_lives(void **state)
{
    (void)state;
    live("lives", first_life);
    live("lives", second_life);
    assert_int_equal(count("lives.log", "the first life"), 1);
    assert_int_equal(count("lives.log", "the second life"), 1);
}

static void many_lines(void)
{
    unsigned int i;

    broker_log("the first line");
    for (i = 0; i < 150000; i++)
        broker_log("line %u about something or other, to make it long enough "
                   "for this test",
                   i);
    broker_log("the last line");
}

static void test_full(void **state)
{
    (void)state;
    live("full", many_lines);
    assert_int_equal(count("full.log", "the last line"), 1);
    assert_in_range(size_of("full.log"), 1, (4 << 20) + 1280);
    assert_in_range(size_of("full.log.1"), 4 << 20, (4 << 20) + 1280);
    assert_int_equal(count("full.log.1", "line 149999 "), 0);
    assert_int_equal(size_of("full.log.2"), -1);
}

/* Someone says ten things a second for a day. Between them the toolstack does
 * something once an hour. */
static void a_day(void)
{
    struct log_source source = {0};
    unsigned int i;

    for (i = 0; i < 24 * 3600 * 10; i++) {
        clock_ms += 100;
        broker_log_of(&source, "device disk0: backend %u", i);
        if (i % 36000 == 0)
            broker_log("having its process killed");
    }
}

static void test_flood(void **state)
{
    (void)state;
    live("flood", a_day);
    assert_int_equal(count("flood.log", "process killed"), 24);
    assert_in_range(count("flood.log", "backend"), 24 * 60, 32 + 24 * 60);
    assert_true(count("flood.log", "were left out") >= 24 * 60 - 1);
    assert_true(size_of("flood.log") < 256 << 10);
}

static void two_sources(void)
{
    struct log_source a = {0}, b = {0};
    unsigned int i;

    for (i = 0; i < 1000; i++)
        broker_log_of(&a, "noise");
    broker_log_of(&b, "something else");
}

static void test_sources(void **state)
{
    (void)state;
    live("sources", two_sources);
    assert_int_equal(count("sources.log", "noise"), 32);
    assert_int_equal(count("sources.log", "something else"), 1);
}

static void renamed(void)
{
    broker_log("before");
    broker_log_move("new");
    broker_log("after");
    broker_log_move("new");
    broker_log("again");
}

/* Another guest had that name, and its log is not lost. */
static void test_rename(void **state)
{
    (void)state;
    live("new", first_life);
    live("old", renamed);
    assert_int_equal(size_of("old.log"), -1);
    assert_int_equal(count("new.log", "before"), 1);
    assert_int_equal(count("new.log", "after"), 1);
    assert_int_equal(count("new.log", "again"), 1);
    assert_int_equal(count("new.log.1", "the first life"), 1);
}

/* logrotate, or whoever: what is there now is not ours to put aside. */
static void moved_away(void)
{
    char from[64], to[64];

    broker_log("here");
    snprintf(from, sizeof(from), "%s/moved.log", dir);
    snprintf(to, sizeof(to), "%s/moved.elsewhere", dir);
    if (rename(from, to))
        _exit(1);
    many_lines();
}

static void test_moved(void **state)
{
    (void)state;
    live("moved", moved_away);
    assert_int_equal(count("moved.elsewhere", "here"), 1);
    assert_int_equal(count("moved.log", "the last line"), 1);
}

static int pair[2];

static void worker(void)
{
    broker_log_to(pair[1]);
    broker_log("event channel: %s", "strange");
}

/* The worker's lines are messages: nothing of it gets into the file. */
static void test_worker(void **state)
{
    struct vr_msg msg;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    live("worker", worker);
    assert_int_equal(size_of("worker.log"), 0);
    assert_int_equal(broker_msg_recv(pair[0], &msg), 0);
    assert_int_equal(msg.type, VR_MSG_LOG);
    assert_string_equal(msg.text, "event channel: strange");
    close(pair[0]);
    close(pair[1]);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives),  cmocka_unit_test(test_full),
        cmocka_unit_test(test_flood),  cmocka_unit_test(test_sources),
        cmocka_unit_test(test_rename), cmocka_unit_test(test_moved),
        cmocka_unit_test(test_worker),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
