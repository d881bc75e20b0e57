/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a creation ends, and a guest (xl-plugin/finish.c); which domains and
 * records there are (find.c); who has to wait for whom (order.c). Records,
 * libxl and `vrctl cleanup` are the test's, the link is a real one with the
 * test as the broker.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <libxl_utils.h>

#include "../../xl-plugin/child.h"
#include "../../xl-plugin/state.h"
#include "libs/proto/link.h"
#include "libs/xen/down.h"

#define UUID    "05050505-0505-0505-0505-050505050505"
#define CREATOR 4243
#define BROKER  4242
#define STARTED 77

static struct vr_plugin p;
static int broker = -1; /* its end of the link */
static char said[1024];
static struct {
    bool exists, dying;
    uint32_t domid;
} dom;
static struct vr_record record;
static bool has_record;
static unsigned int cleanups;
static int cleanup_rc;
static bool broker_lives;

/* ---- the world ---- */

void vr_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
}

char *vr_uuid_text(const libxl_uuid *uuid, char *buf)
{
    (void)uuid;
    return strcpy(buf, UUID);
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    (void)ctx;
    if (!dom.exists || dom.domid != domid)
        return ERROR_DOMAIN_NOTFOUND;
    info->domid = domid;
    info->dying = dom.dying;
    return 0;
}

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    if (strcmp(name, "guest"))
        return ERROR_INVAL;
    *domid = dom.domid;
    return 0;
}

char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
    (void)ctx;
    (void)domid;
    return strdup("storage");
}

int vr_record_load(const char *uuid, struct vr_record *rec, struct vr_err *err)
{
    (void)err;
    if (!has_record || strcmp(uuid, UUID))
        return -ENOENT;
    *rec = record;
    return 0;
}

char *vr_record_path(const char *uuid, char *buf)
{
    (void)uuid;
    return strcpy(buf, "/nowhere");
}

uint64_t vr_proc_start(pid_t pid)
{
    return pid == CREATOR || (pid == BROKER && broker_lives) ? STARTED : 0;
}

int vr_child_cleanup(const char *uuid, bool abort_it, struct vr_err *err)
{
    assert_string_equal(uuid, UUID);
    assert_false(abort_it);
    cleanups++;
    if (cleanup_rc)
        vr_err_set(err, "something is left");
    return cleanup_rc;
}

/* ---- driver domain 3 and who uses it ---- */

static bool uses[3]; /* when asked for the first time, and so on */
static unsigned int asked;
static enum vr_down noted;
static int note_rc;
static char store; /* an address for the handle */

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)(void *)&store;
}

void xs_close(struct xs_handle *xs)
{
    (void)xs;
}

char **xs_directory(struct xs_handle *xs, xs_transaction_t t, const char *path,
                    unsigned int *n)
{
    (void)xs;
    (void)t;
    assert_string_equal(path, "/local/domain/3/backend/" VR_NAME);
    *n = 1;
    return calloc(1, sizeof(char *));
}

xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *domlog, unsigned int flags)
{
    (void)logger;
    (void)domlog;
    (void)flags;
    return (xc_interface *)(void *)&store;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int vr_down_guests(xc_interface *xch, uint32_t b, const char *but, char *names,
                   size_t size)
{
    (void)xch;
    (void)but;
    assert_int_equal(b, 3);
    assert_true(asked < 3);
    if (names)
        snprintf(names, size, "guest");
    return uses[asked++];
}

int vr_down_note(struct xs_handle *xs, uint32_t b, enum vr_down how)
{
    (void)xs;
    (void)b;
    if (!note_rc)
        noted = how;
    return note_rc;
}

enum vr_down vr_down_noted(struct xs_handle *xs, uint32_t b)
{
    (void)xs;
    (void)b;
    return noted;
}

void vr_down_forget(struct xs_handle *xs, uint32_t b)
{
    (void)xs;
    (void)b;
    noted = VR_DOWN_NO;
}

const char *vr_down_name(enum vr_down how)
{
    return how == VR_DOWN_REBOOT ? "reboot" : "poweroff";
}

/* ---- */

static int set_up(void **state)
{
    int fd[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
    memset(&p, 0, sizeof(p));
    p.pending.fd = fd[0];
    p.pending.domid = 5;
    strcpy(p.pending.uuid, UUID);
    broker = fd[1];
    memset(&record, 0, sizeof(record));
    strcpy(record.uuid, UUID);
    record.domid = dom.domid = 5;
    record.broker = BROKER;
    record.broker_start = STARTED;
    dom.exists = has_record = broker_lives = true;
    dom.dying = false;
    cleanups = asked = 0;
    cleanup_rc = note_rc = 0;
    noted = VR_DOWN_NO;
    memset(uses, 0, sizeof(uses));
    said[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (p.pending.fd >= 0)
        close(p.pending.fd);
    if (broker >= 0)
        close(broker);
    return 0;
}

/* ---- finish.c ---- */

static void test_commit(void **state)
{
    char type, text[VR_LINK_MAX + 1];

    (void)state;
    assert_int_equal(vr_link_send(broker, 'O', ""), 0);
    vr_commit(&p);
    assert_int_equal(vr_link_recv(broker, 1000, &type, text), 0);
    assert_int_equal(type, 'C');
    assert_int_equal(p.pending.fd, -1);
    assert_string_equal(said, "");
    vr_commit(&p); /* the second of two hooks */
}

static void test_commit_to_a_broker_that_is_gone(void **state)
{
    (void)state;
    record.phase = VR_PHASE_READY;
    close(broker);
    broker = -1;
    vr_commit(&p);
    assert_non_null(strstr(said, "the broker has ended"));
    assert_int_equal(p.pending.fd, -1);
}

static void test_commit_that_is_refused(void **state)
{
    (void)state;
    assert_int_equal(vr_link_send(broker, 'E', "no"), 0);
    vr_commit(&p);
    assert_non_null(strstr(said, "the broker has ended"));
}

/* xl create -p: another xl was first, and the broker has closed the link. */
static void test_commit_after_another(void **state)
{
    (void)state;
    record.phase = VR_PHASE_RUNNING;
    close(broker);
    broker = -1;
    vr_commit(&p);
    assert_string_equal(said, "");
    /* A number that somebody else has now is no broker. */
    p.pending.fd = dup(0);
    broker_lives = false;
    vr_commit(&p);
    assert_non_null(strstr(said, "the broker has ended"));
}

static void test_release(void **state)
{
    char left[VR_UUID_LEN + 1];

    (void)state;
    vr_release(&p, NULL, 5, left);
    assert_int_equal(cleanups, 1);
    assert_string_equal(left, "");
    assert_int_equal(p.pending.fd, -1); /* closed: undone, if not committed */
}

static void test_release_of_another_guest(void **state)
{
    char left[VR_UUID_LEN + 1];

    (void)state;
    vr_release(&p, NULL, 6, left);
    assert_int_equal(cleanups, 0);
    assert_string_equal(left, "");
    assert_int_not_equal(p.pending.fd, -1);
}

static void test_release_that_leaves_something(void **state)
{
    char left[VR_UUID_LEN + 1];

    (void)state;
    cleanup_rc = -EBUSY;
    vr_release(&p, NULL, 5, left);
    assert_string_equal(left, UUID);
    assert_string_equal(said, "virtio_restricted: something is left");
}

/* ---- find.c ---- */

static void test_records(void **state)
{
    struct vr_record rec;

    (void)state;
    assert_int_equal(vr_find_record(NULL, 5, &rec), 0);
    record.domid = VR_DOMID_NONE; /* being created */
    assert_int_equal(vr_find_record(NULL, 5, &rec), 0);
    record.domid = 4; /* an earlier life */
    assert_int_equal(vr_find_record(NULL, 5, &rec), -ENOENT);
    record.domid = 5;
    assert_int_equal(vr_find_record(NULL, 6, &rec), -ENOENT);
    has_record = false;
    assert_int_equal(vr_find_record(NULL, 5, &rec), -ENOENT);
}

static void test_domains(void **state)
{
    struct vr_err err;

    (void)state;
    assert_true(vr_domain_exists(NULL, 5, UUID));
    assert_false(vr_domain_exists(NULL, 5, "another"));
    assert_false(vr_domain_exists(NULL, 6, UUID));
    assert_false(vr_domain_exists(NULL, VR_DOMID_NONE, UUID));
    dom.dying = true;
    assert_false(vr_domain_exists(NULL, 5, UUID));
    assert_true(vr_alive(CREATOR, STARTED));
    assert_false(vr_alive(CREATOR, STARTED + 1));
    assert_false(vr_alive(0, 0));
    assert_int_equal(vr_check_unused(NULL, "other", &err), 0);
    assert_int_equal(vr_check_unused(NULL, "guest", &err), -EEXIST);
    assert_non_null(strstr(err.text, "a domain named guest exists already "
                                     "(domid 5): destroy it"));
}

/* ---- order.c ---- */

static void test_a_driver_domain_waits(void **state)
{
    (void)state;
    uses[0] = uses[1] = true;
    assert_true(vr_order_down(NULL, 3, true));
    assert_int_equal(noted, VR_DOWN_REBOOT);
    assert_non_null(
        strstr(said, "driver domain storage waits with its reboot"));
    assert_non_null(strstr(said, "guests that use it: guest"));
}

static void test_nobody_uses_it(void **state)
{
    (void)state;
    assert_false(vr_order_down(NULL, 3, false));
    assert_int_equal(noted, VR_DOWN_NO);
    assert_string_equal(said, "");
}

/* It ended after it was asked for, and before it could see the note. */
static void test_the_last_guest_ends_meanwhile(void **state)
{
    (void)state;
    uses[0] = true;
    assert_false(vr_order_down(NULL, 3, false));
    assert_int_equal(noted, VR_DOWN_NO);
}

/* It cannot be noted: then it is not kept waiting for ever. */
static void test_no_note(void **state)
{
    (void)state;
    uses[0] = uses[1] = true;
    note_rc = -EIO;
    assert_false(vr_order_down(NULL, 3, false));
}

static void test_create_on_one_that_is_to_go(void **state)
{
    struct vr_err err = {""};

    (void)state;
    record.ndevs = record.ndrivers = 1;
    record.drivers[0].domid = 3;
    strcpy(record.devs[0].cfg.backend, "storage");
    assert_int_equal(vr_order_check(&record, &err), 0);
    noted = VR_DOWN_POWEROFF;
    assert_int_equal(vr_order_check(&record, &err), -EBUSY);
    assert_non_null(strstr(err.text, "virtio_restricted[0]: backend=storage is "
                                     "to poweroff when its guests have ended"));
    record.drivers[0].owned = true; /* made for this guest, later */
    assert_int_equal(vr_order_check(&record, &err), 0);
}

#define END(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        END(test_commit),
        END(test_commit_to_a_broker_that_is_gone),
        END(test_commit_that_is_refused),
        END(test_commit_after_another),
        END(test_release),
        END(test_release_of_another_guest),
        END(test_release_that_leaves_something),
        END(test_records),
        END(test_domains),
        END(test_a_driver_domain_waits),
        END(test_nobody_uses_it),
        END(test_the_last_guest_ends_meanwhile),
        END(test_no_note),
        END(test_create_on_one_that_is_to_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
