/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The notes about guests that have ended and are kept. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libs/xen/zombies.h"

#define B      3u
#define FOLDER "/libxl/3/virtio_restricted_zombies"
#define UUID   "05050505-0505-0505-0505-050505050505"
#define MAX    8

/* ---- xenstore: the notes; the hypervisor ---- */

static char node[MAX][16], text[MAX][256];
static xc_domaininfo_t domain[MAX];
static unsigned int nnodes, ndomains;

static int find(const char *path)
{
    unsigned int i;

    assert_memory_equal(path, FOLDER "/", sizeof(FOLDER));
    for (i = 0; i < nnodes; i++)
        if (!strcmp(node[i], path + sizeof(FOLDER)))
            return i;
    return -1;
}

char **xs_directory(struct xs_handle *xs, xs_transaction_t t, const char *path,
                    unsigned int *num)
{
    char **list = malloc(MAX * sizeof(*list));
    unsigned int i;

    (void)xs;
    (void)t;
    assert_string_equal(path, FOLDER);
    for (i = 0; i < nnodes; i++)
        list[i] = node[i];
    *num = nnodes;
    return list;
}

void *xs_read(struct xs_handle *xs, xs_transaction_t t, const char *path,
              unsigned int *len)
{
    int i = find(path);

    (void)xs;
    (void)t;
    if (i < 0)
        return NULL;
    *len = strlen(text[i]);
    return strdup(text[i]);
}

static void put(const char *name, const char *value)
{
    snprintf(node[nnodes], sizeof(node[0]), "%s", name);
    snprintf(text[nnodes++], sizeof(text[0]), "%s", value);
}

bool xs_write(struct xs_handle *xs, xs_transaction_t t, const char *path,
              const void *data, unsigned int len)
{
    (void)xs;
    (void)t;
    assert_int_equal(strlen(data), len);
    assert_int_equal(find(path), -1);
    put(path + sizeof(FOLDER), data);
    return true;
}

bool xs_rm(struct xs_handle *xs, xs_transaction_t t, const char *path)
{
    int i = find(path);

    (void)xs;
    (void)t;
    assert_true(i >= 0);
    nnodes--;
    memmove(node[i], node[nnodes], sizeof(node[0]));
    memmove(text[i], text[nnodes], sizeof(text[0]));
    return true;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    unsigned int i;

    (void)xch;
    (void)max;
    for (i = 0; i < ndomains; i++) {
        if (domain[i].domain != first)
            continue;
        *info = domain[i];
        return 1;
    }
    return 0;
}

static void add_domain(uint32_t domid, uint8_t uuid, uint32_t flags)
{
    xc_domaininfo_t *d = &domain[ndomains++];

    memset(d, 0, sizeof(*d));
    d->domain = domid;
    d->flags = flags;
    memset(d->handle, uuid, sizeof(d->handle));
}

static int clear(void **state)
{
    (void)state;
    nnodes = ndomains = 0;
    return 0;
}

/* ---- checks ---- */

static void test_parse(void **state)
{
    static const char *const bad[] = {
        "",
        UUID,
        UUID " ",
        UUID " 7",
        UUID " 7 ",
        UUID " x name",
        UUID " -1 name",
        UUID " 4294967296 name",
        UUID " 00000000000000000007 name",
        UUID "  name",
        " 7 name",
        "05050505-0505-0505-0505-05050505050 7 name",
        "05050505_0505-0505-0505-050505050505 7 name",
        UUID " 7 na\nme",
    };
    struct vr_zombie z;
    unsigned int i;

    (void)state;
    assert_true(vr_zombie_parse(UUID " 7 a name", &z));
    assert_string_equal(z.uuid, UUID);
    assert_int_equal(z.pages, 7);
    assert_string_equal(z.name, "a name");
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++)
        assert_false(vr_zombie_parse(bad[i], &z));
}

/* What was noted counts when it is dying, and only that domain does. */
static void test_counts(void **state)
{
    struct vr_zombie z = {.domid = 5, .pages = 2, .uuid = UUID, .name = "g"};
    struct vr_zombie out[2];

    (void)state;
    add_domain(5, 5, 0);
    assert_int_equal(vr_zombie_note(NULL, NULL, B, &z), 0);
    assert_int_equal(vr_zombie_list(NULL, NULL, B, out, 2), 0);
    domain[0].flags = XEN_DOMINF_dying;
    assert_int_equal(vr_zombie_list(NULL, NULL, B, out, 2), 1);
    assert_int_equal(out[0].domid, 5);
    assert_int_equal(out[0].pages, 2);
    assert_string_equal(out[0].uuid, UUID);
    assert_string_equal(out[0].name, "g");
    /* Another domain has its number. */
    memset(domain[0].handle, 6, sizeof(domain[0].handle));
    assert_int_equal(vr_zombie_list(NULL, NULL, B, out, 2), 0);
    ndomains = 0;
    assert_int_equal(vr_zombie_list(NULL, NULL, B, out, 2), 0);
}

/* More than there is room for are counted; rubbish is not. */
static void test_many(void **state)
{
    struct vr_zombie out[1];

    (void)state;
    add_domain(5, 5, XEN_DOMINF_dying);
    add_domain(6, 5, XEN_DOMINF_dying);
    put("5", UUID " 1 g");
    put("6", UUID " 1 g");
    put("x", UUID " 1 g");
    put("7", "rubbish");
    assert_int_equal(vr_zombie_list(NULL, NULL, B, out, 1), 2);
    assert_int_equal(vr_zombie_list(NULL, NULL, B, NULL, 0), 2);
    assert_int_equal(out[0].domid, 5);
}

/* Notes of domains that have gone do not pile up. */
static void test_pruned(void **state)
{
    struct vr_zombie z = {.domid = 9, .uuid = UUID, .name = "g"};

    (void)state;
    add_domain(5, 5, XEN_DOMINF_dying);
    put("4", UUID " 1 g");
    put("5", UUID " 1 g");
    assert_int_equal(vr_zombie_note(NULL, NULL, B, &z), 0);
    assert_int_equal(find(FOLDER "/4"), -1);
    assert_true(find(FOLDER "/5") >= 0);
    assert_true(find(FOLDER "/9") >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_parse, clear),
        cmocka_unit_test_setup(test_counts, clear),
        cmocka_unit_test_setup(test_many, clear),
        cmocka_unit_test_setup(test_pruned, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
