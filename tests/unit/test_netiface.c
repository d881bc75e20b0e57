/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a worker comes by its interface: the question and its answer; and the
 * hotplug script: what it is told, and that it fails or hangs. Making an
 * interface takes root's rights: that is shown end to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/stat.h>

#include "backend/net/keeper.h"
/* Nobody wants to wait so long here. */
#undef VR_SCRIPT_MS
#define VR_SCRIPT_MS 300
#include "../../tools/backend/net/iface.c"

static char dir[64], script[128], out[128];
static struct vr_xs_dev dev;
static struct iface f;

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/vr-iface.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(script, sizeof(script), "%s/script", dir);
    snprintf(out, sizeof(out), "%s/out", dir);
    memset(&dev, 0, sizeof(dev));
    dev.guest = 7;
    strcpy(dev.cfg.id, "net0");
    strcpy(dev.cfg.script, script);
    strcpy(dev.cfg.mac, "00:16:3e:00:00:01");
    f = (struct iface){.dev = &dev};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(script);
    unlink(out);
    rmdir(dir);
    return 0;
}

static void write_script(const char *body)
{
    FILE *file = fopen(script, "w");

    assert_non_null(file);
    fprintf(file, "#!/bin/sh\nexec > %s 2>&1\n%s\n", out, body);
    fclose(file);
    assert_int_equal(chmod(script, 0755), 0);
}

static const char *said(void)
{
    static char text[2048];
    FILE *file = fopen(out, "r");
    size_t n;

    assert_non_null(file);
    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

static void test_environment(void **state)
{
    struct vr_err err;
    char want[1024];

    (void)state;
    setenv("LD_PRELOAD", "", 1);
    strcpy(dev.cfg.bridge, "xenbr0");
    strcpy(dev.cfg.ip, "10.0.0.1 10.0.0.2");
    strcpy(dev.cfg.gatewaydev, "eth0");
    dev.cfg.mtu = 1400;
    choose_name(&f);
    write_script("echo $*; unset PWD SHLVL _ OLDPWD; env | sort");
    assert_int_equal(run_script(&f, "add", &err), 0);
    snprintf(want, sizeof(want),
             "add type_if=tap\n"
             "INTERFACE=vif7-net0\n"
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
             "XENBUS_BASE_PATH=backend\n"
             "XENBUS_PATH=backend/virtio_restricted/7/net0\n"
             "XENBUS_TYPE=vif\n"
             "bridge=xenbr0\n"
             "ip=10.0.0.1 10.0.0.2\n"
             "mac=00:16:3e:00:00:01\n"
             "mtu=1400\n"
             "netdev=eth0\n"
             "script=%s\n"
             "vif=vif7-net0\n",
             script);
    assert_string_equal(said(), want);
}

static void test_fails(void **state)
{
    struct vr_err err;

    (void)state;
    write_script("exit 3");
    assert_int_equal(run_script(&f, "add", &err), -EIO);
    assert_non_null(strstr(err.text, " add ended with code 3: see its"));
    write_script("kill -9 $$");
    assert_int_equal(run_script(&f, "remove", &err), -EIO);
    assert_non_null(strstr(err.text, " remove was ended by signal 9"));
    chmod(script, 0644);
    assert_int_equal(run_script(&f, "add", &err), -EINVAL);
    assert_non_null(strstr(err.text, ": Permission denied: correct script="));
    unlink(script);
    assert_int_equal(run_script(&f, "add", &err), -EINVAL);
    assert_non_null(strstr(err.text, ": No such file or directory: "));
}

/* It and what it has started. */
static void test_hangs(void **state)
{
    uint64_t begin = vr_now_ms();
    struct vr_err err;
    int pid, i;

    (void)state;
    write_script("sleep 1000 & echo $!; sleep 1000");
    assert_int_equal(run_script(&f, "add", &err), -EIO);
    assert_non_null(strstr(err.text, "has not ended"));
    assert_true(vr_now_ms() - begin < 5000);
    pid = atoi(said());
    assert_true(pid > 1);
    for (i = 0; i < 500 && !kill(pid, 0); i++) {
        char path[64], line[256] = "";
        FILE *file;

        /* Whoever inherits it may leave it a zombie. */
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        file = fopen(path, "r");
        if (file && fgets(line, sizeof(line), file) && strstr(line, ") Z"))
            i = 500;
        if (file)
            fclose(file);
        usleep(10000);
    }
    assert_true(i > 500 || kill(pid, 0));
}

static void test_names(void **state)
{
    (void)state;
    strcpy(dev.cfg.id, "a-very-long-name-of-a-device");
    choose_name(&f);
    assert_string_equal(f.name, "vif7-a-very-lon");
    strcpy(dev.cfg.vifname, "web0");
    choose_name(&f);
    assert_string_equal(f.name, "web0");
}

/* ---- the question ---- */

static int pair[2];
static struct vr_keeper_answer reply;
static struct vr_keeper_ask asked;
static bool mute;
static unsigned int fds; /* that come with the answer */

static void *keeper(void *ctx)
{
    int to[VR_KEEPER_FDS], fd[VR_KEEPER_FDS];
    unsigned int i, n;

    (void)ctx;
    for (i = 0; i < VR_KEEPER_FDS; i++)
        fd[i] = pair[1];
    if (vr_keeper_recv(pair[1], &asked, sizeof(asked), to, &n) || n != 1)
        return NULL;
    if (!mute)
        vr_keeper_send(to[0], &reply, sizeof(reply), fd, fds);
    close(to[0]);
    return NULL;
}

static int ask(struct vr_net_iface *got, struct vr_err *err)
{
    pthread_t thread;
    int rc;

    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pthread_create(&thread, NULL, keeper, NULL), 0);
    rc = vr_net_ask(pair[0], 7, "net0", 2, got, err);
    pthread_join(thread, NULL);
    close(pair[0]);
    close(pair[1]);
    return rc;
}

static void test_ask(void **state)
{
    struct vr_net_iface got;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_net_ask(-1, 7, "net0", 2, &got, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "without -n"));

    memset(&reply, 0, sizeof(reply));
    reply.mtu = 1400;
    memset(reply.name, 'x', sizeof(reply.name));
    mute = false;
    fds = 2;
    strcpy(reply.why, "no module");
    assert_int_equal(ask(&got, &err), 0);
    assert_int_equal(asked.guest, 7);
    assert_string_equal(asked.id, "net0");
    assert_int_equal(got.mtu, 1400);
    assert_string_equal(got.name, "xxxxxxxxxxxxxxx");
    assert_false(got.has_vhost);
    assert_string_equal(got.no_vhost, "no module");
    close_all(got.tap, 2);

    fds = 4;
    assert_int_equal(ask(&got, &err), 0);
    assert_true(got.has_vhost);
    close_all(got.tap, 2);
    close_all(got.vhost, 2);

    fds = 3;
    assert_int_equal(ask(&got, &err), -EPROTO);
    fds = 0;
    assert_int_equal(ask(&got, &err), -EPROTO);
    reply.rc = -EBUSY;
    memset(reply.why, 'y', sizeof(reply.why));
    assert_int_equal(ask(&got, &err), -EBUSY);
    assert_int_equal(strlen(err.text), sizeof(reply.why) - 1);
    mute = true;
    assert_int_equal(ask(&got, &err), -EPIPE);
}

/* A message of another length is none, and what came with it is not kept. */
static void test_messages(void **state)
{
    int fd[VR_KEEPER_FDS], s[2];
    unsigned int n;
    char buf[8];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    assert_int_equal(vr_keeper_send(s[0], "12345", 5, s, 2), 0);
    assert_int_equal(vr_keeper_recv(s[1], buf, 8, fd, &n), -EPROTO);
    assert_int_equal(n, 0);
    assert_int_equal(vr_keeper_send(s[0], "12345", 5, NULL, 0), 0);
    assert_int_equal(vr_keeper_recv(s[1], buf, 5, fd, &n), 0);
    assert_int_equal(n, 0);
    close(s[0]);
    assert_int_equal(vr_keeper_recv(s[1], buf, 5, fd, &n), -EPIPE);
    assert_int_equal(vr_keeper_send(s[1], "12345", 5, NULL, 0), -EPIPE);
    close(s[1]);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_environment), TEST(test_fails), TEST(test_hangs),
        TEST(test_names),       TEST(test_ask),   TEST(test_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
