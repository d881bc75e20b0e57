/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks the user's ACPI tables, which share a file with ours, as acpi.h has
 * it: nothing in them is believed. Called by the plug-in's checks and by
 * acpi.c. Pure. */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acpi_int.h"

uint8_t acpi_sum(const void *table, size_t size)
{
    const uint8_t *p = table;
    uint8_t s = 0;

    while (size--)
        s += *p++;
    return s;
}

/* A user's table; the copy of its header is what is looked at. */
struct table {
    const uint8_t *data;
    size_t size;
    struct acpi_header header;
    unsigned int number; /* from 1 */
    size_t at;
};

static int refuse(const struct table *t, struct vr_err *err, const char *what)
{
    char name[5];
    unsigned int i;

    for (i = 0; i < 4; i++) {
        unsigned char c = t->header.signature[i];

        name[i] = c < 0x80 && isprint(c) ? c : '?';
    }
    name[4] = '\0';
    vr_err_set(err, "table %u (%s, at byte %zu): %s", t->number, name, t->at,
               what);
    return -EINVAL;
}

static bool signature_is(const struct table *t, const char *signature)
{
    return !memcmp(t->header.signature, signature, 4);
}

static int check_header(struct table *t, size_t left, struct vr_err *err)
{
    char what[160];
    unsigned int i;

    if (left < sizeof(t->header)) {
        snprintf(what, sizeof(what),
                 "%zu bytes are no table, a header alone has %zu: cut them off",
                 left, sizeof(t->header));
        return refuse(t, err, what);
    }
    memcpy(&t->header, t->data, sizeof(t->header));
    for (i = 0; i < 4; i++) {
        unsigned char c = t->header.signature[i];

        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_')
            return refuse(t, err,
                          "not a table's signature: the file has to be tables "
                          "(iasl's .aml), one behind the other");
    }
    t->size = le32toh(t->header.length);
    if (t->size < sizeof(t->header) || t->size > left) {
        snprintf(what, sizeof(what),
                 "length %zu, where %zu to %zu are possible: join whole tables",
                 t->size, sizeof(t->header), left);
        return refuse(t, err, what);
    }
    if (acpi_sum(t->data, t->size)) {
        snprintf(what, sizeof(what),
                 "its bytes add up to 0x%02x, not 0: correct its checksum, or "
                 "let iasl write the table",
                 acpi_sum(t->data, t->size));
        return refuse(t, err, what);
    }
    return 0;
}

static bool is_number(const uint8_t *p)
{
    return p[0] == '0' &&
           ((p[1] >= '0' && p[1] <= '9') || (p[1] >= 'A' && p[1] <= 'F'));
}

static_assert(VR_MAX_DEVICES <= 16, "numbers in names: 00 to 0F");

/* One of our devices' names somewhere in @t: 4 bytes, as names are in AML. */
static const uint8_t *our_name(const struct table *t)
{
    size_t i;

    for (i = sizeof(t->header); i + 4 <= t->size; i++) {
        const uint8_t *p = t->data + i;

        if (p[0] == 'V' &&
            (((p[1] == 'R' || p[1] == 'P') && is_number(p + 2)) ||
             !memcmp(p, "VRIO", 4)))
            return p;
    }
    return NULL;
}

static int check_collisions(const struct table *t, bool need_viot,
                            struct vr_err *err)
{
    const uint8_t *name;
    char what[160];

    if (signature_is(t, "VIOT") && need_viot)
        return refuse(t, err,
                      "a guest has one VIOT only, and devices with "
                      "mode=dynamic or mixed need it: remove the table");
    if (!signature_is(t, "SSDT") && !signature_is(t, "PSDT"))
        return 0;
    if (!memcmp(t->header.oem_table_id, VR_ACPI_TABLE_ID, 8))
        return refuse(t, err,
                      "its OEM table id " VR_ACPI_TABLE_ID " is that of the "
                      "restricted devices' SSDT: give it another");
    name = our_name(t);
    if (name) {
        snprintf(what, sizeof(what),
                 "it has the name %.4s, which restricted devices take (VR00 to "
                 "VR0F, VP00 to VP0F, VRIO): give its object another",
                 (const char *)name);
        return refuse(t, err, what);
    }
    return 0;
}

int vr_acpi_check(const void *user, size_t size, bool need_viot,
                  struct vr_err *err)
{
    const unsigned int ours = need_viot ? 2 : 1;
    struct table t = {.data = user};
    int rc;

    if (size > VR_ACPI_MAX_SIZE) {
        vr_err_set(err, "%zu bytes: hvmloader has room for %u: remove tables",
                   size, VR_ACPI_MAX_SIZE);
        return -E2BIG;
    }
    for (; t.at < size; t.at += t.size, t.data += t.size) {
        t.number++;
        memset(&t.header, '?', sizeof(t.header));
        rc = check_header(&t, size - t.at, err);
        if (!rc)
            rc = check_collisions(&t, need_viot, err);
        if (rc)
            return rc;
    }
    if (t.number + ours > VR_ACPI_MAX_TABLES) {
        vr_err_set(err,
                   "%u tables, and %u for the "
                   "restricted devices: hvmloader is sure to take %u: remove "
                   "tables, or make one SSDT of several",
                   t.number, ours, VR_ACPI_MAX_TABLES);
        return -E2BIG;
    }
    return 0;
}
