/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The note that a driver domain is to go down, and who keeps it from that. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libs/xen/down.h"

#define B       3u
#define NOTE    "/libxl/3/virtio_restricted_down"
#define CONTROL "/local/domain/3/control/shutdown"
#define UUID_B  "03030303-0303-0303-0303-030303030303"
#define CREATOR 100

/* ---- xenstore: two nodes ---- */

static char note[64], control[64];
static bool broken;

static char *node(const char *path)
{
    if (!strcmp(path, NOTE))
        return note;
    assert_string_equal(path, CONTROL);
    return control;
}

void *xs_read(struct xs_handle *xs, xs_transaction_t t, const char *path,
              unsigned int *len)
{
    char *value = node(path);

    (void)xs;
    (void)t;
    if (broken || !value[0])
        return NULL;
    *len = strlen(value);
    return strdup(value);
}

bool xs_write(struct xs_handle *xs, xs_transaction_t t, const char *path,
              const void *data, unsigned int len)
{
    (void)xs;
    (void)t;
    if (broken) {
        errno = EIO;
        return false;
    }
    snprintf(node(path), 64, "%.*s", (int)len, (const char *)data);
    return true;
}

bool xs_rm(struct xs_handle *xs, xs_transaction_t t, const char *path)
{
    (void)xs;
    (void)t;
    node(path)[0] = '\0';
    return true;
}

/* ---- the hypervisor and the records ---- */

#define GUESTS 3u

static xc_domaininfo_t domain[GUESTS + 1]; /* the last one is B */
static struct vr_record record[GUESTS];
static bool creator_lives;

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    unsigned int i;

    (void)xch;
    (void)max;
    for (i = 0; i <= GUESTS; i++) {
        if (domain[i].domain != first)
            continue;
        *info = domain[i];
        return 1;
    }
    return 0;
}

int vr_record_list(char (**uuids)[VR_UUID_LEN + 1])
{
    unsigned int i;

    *uuids = calloc(GUESTS, sizeof(**uuids));
    for (i = 0; i < GUESTS; i++)
        strcpy((*uuids)[i], record[i].uuid);
    return GUESTS;
}

int vr_record_load(const char *uuid, struct vr_record *rec, struct vr_err *err)
{
    unsigned int i;

    (void)err;
    for (i = 0; i < GUESTS; i++) {
        if (strcmp(record[i].uuid, uuid) != 0)
            continue;
        *rec = record[i];
        return 0;
    }
    return -ENOENT;
}

uint64_t vr_proc_start(pid_t pid)
{
    return pid == CREATOR && creator_lives ? 7 : 0;
}

/* Three guests of B, which all run. */
static int setup(void **state)
{
    unsigned int i;

    (void)state;
    note[0] = control[0] = '\0';
    broken = creator_lives = false;
    memset(domain, 0, sizeof(domain));
    memset(record, 0, sizeof(record));
    domain[GUESTS].domain = B;
    memset(domain[GUESTS].handle, 3, sizeof(domain[0].handle));
    for (i = 0; i < GUESTS; i++) {
        domain[i].domain = 10 + i;
        memset(domain[i].handle, 0xa0 + i, sizeof(domain[i].handle));
        snprintf(record[i].name, sizeof(record[i].name), "g%u", i);
        vr_uuid_format(domain[i].handle, record[i].uuid);
        record[i].domid = 10 + i;
        record[i].phase = VR_PHASE_RUNNING;
        record[i].ndrivers = 1;
        record[i].drivers[0].domid = B;
        strcpy(record[i].drivers[0].uuid, UUID_B);
    }
    return 0;
}

static void shut_down(unsigned int i, unsigned int why)
{
    domain[i].flags = XEN_DOMINF_shutdown | (uint32_t)why
                                                << XEN_DOMINF_shutdownshift;
}

static void test_note(void **state)
{
    (void)state;
    assert_int_equal(vr_down_noted(NULL, B), VR_DOWN_NO);
    assert_int_equal(vr_down_ask(NULL, B), -ENOENT);
    assert_int_equal(vr_down_note(NULL, B, VR_DOWN_REBOOT), 0);
    assert_int_equal(vr_down_noted(NULL, B), VR_DOWN_REBOOT);
    assert_int_equal(vr_down_note(NULL, B, VR_DOWN_POWEROFF), 0);
    assert_int_equal(vr_down_noted(NULL, B), VR_DOWN_POWEROFF);
    assert_string_equal(control, "");
    assert_int_equal(vr_down_ask(NULL, B), 0);
    assert_string_equal(control, "poweroff");
    assert_string_equal(note, "");
    assert_int_equal(vr_down_note(NULL, B, VR_DOWN_REBOOT), 0);
    vr_down_forget(NULL, B);
    assert_int_equal(vr_down_noted(NULL, B), VR_DOWN_NO);
    broken = true;
    assert_int_equal(vr_down_note(NULL, B, VR_DOWN_REBOOT), -EIO);
    assert_int_equal(vr_down_ask(NULL, B), -ENOENT);
}

static void test_lapse(void **state)
{
    static const char *const bad[] = {"poweroff", "poweroff ", " 1", "halt 1",
                                      "poweroff x"};
    uint64_t now = vr_now_ms();
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        strcpy(note, bad[i]);
        assert_int_equal(vr_down_noted(NULL, B), VR_DOWN_NO);
    }
    if (now > VR_DOWN_MS + 1) {
        snprintf(note, sizeof(note), "poweroff %" PRIu64, now - VR_DOWN_MS - 1);
        assert_int_equal(vr_down_noted(NULL, B), VR_DOWN_NO);
    }
    /* From before dom0 was started again. */
    snprintf(note, sizeof(note), "poweroff %" PRIu64, now + 1000000);
    assert_int_equal(vr_down_noted(NULL, B), VR_DOWN_NO);
    assert_int_equal(vr_down_ask(NULL, B), -ENOENT);
    assert_string_equal(control, "");
}

static void test_guests(void **state)
{
    char names[64];

    (void)state;
    assert_int_equal(vr_down_guests(NULL, B, NULL, names, sizeof(names)), 3);
    assert_string_equal(names, "g0, g1, g2");
    assert_int_equal(vr_down_guests(NULL, B, record[1].uuid, names, 64), 2);
    assert_string_equal(names, "g0, g2");
    assert_int_equal(vr_down_guests(NULL, B, NULL, names, 6), 3);
    assert_string_equal(names, "g0, g");
    assert_int_equal(vr_down_guests(NULL, 4, NULL, names, 64), -ESRCH);
    /* Another domain of the number now, or another driver domain. */
    strcpy(record[0].drivers[0].uuid, record[1].uuid);
    record[1].drivers[0].domid = 4;
    assert_int_equal(vr_down_guests(NULL, B, NULL, names, 64), 1);
    assert_string_equal(names, "g2");
}

static void test_states(void **state)
{
    (void)state;
    domain[0].flags = XEN_DOMINF_dying;
    shut_down(1, SHUTDOWN_poweroff);
    shut_down(2, SHUTDOWN_crash);
    assert_int_equal(vr_down_guests(NULL, B, NULL, NULL, 0), 0);
    domain[0].flags = XEN_DOMINF_paused;
    shut_down(1, SHUTDOWN_reboot);
    shut_down(2, SHUTDOWN_suspend);
    assert_int_equal(vr_down_guests(NULL, B, NULL, NULL, 0), 3);
    domain[0].domain = 50; /* gone */
    memset(domain[1].handle, 1, sizeof(domain[1].handle));
    assert_int_equal(vr_down_guests(NULL, B, NULL, NULL, 0), 1);
}

static void test_creating(void **state)
{
    (void)state;
    record[0].domid = VR_DOMID_NONE;
    record[0].creator = CREATOR;
    record[0].creator_start = 7;
    assert_int_equal(vr_down_guests(NULL, B, NULL, NULL, 0), 2);
    creator_lives = true;
    assert_int_equal(vr_down_guests(NULL, B, NULL, NULL, 0), 3);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_note),   T(test_lapse),    T(test_guests),
        T(test_states), T(test_creating),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
