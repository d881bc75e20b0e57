/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables are judged by others than their emitter: iasl (disassembly
 * compared to tests/unit/acpi/, recompilation to the same bytes), ACPICA's
 * interpreter, which is Linux's, and a reader of VIOT that goes by the rules
 * of Linux's drivers/acpi/viot.c. Run from the project's folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/guest/acpi.h"
#include "libs/guest/hvm.h"

#define MMIO(i) (UINT64_C(0xfeb00000) + (i)*0x200)
#define POOL(i) ((UINT64_C(4) << 30) + (i) * (UINT64_C(64) << 20))
#define MAX     VR_MAX_DEVICES

enum kind { STATIC, DYNAMIC, MIXED, ALL };

static char dir[] = "/tmp/vr-acpi-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char cmd[64];

    (void)state;
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    return system(cmd);
}

/* A shell command in the test's folder; its output ends up in log there. */
static void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void sh(const char *fmt, ...)
{
    char cmd[512], full[640];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(cmd, sizeof(cmd), fmt, ap);
    va_end(ap);
    snprintf(full, sizeof(full), "cd %s && { %s; } >log 2>&1", dir, cmd);
    if (system(full)) {
        snprintf(full, sizeof(full), "cat %s/log", dir);
        if (system(full))
            print_error("no log\n");
        fail_msg("%s", cmd);
    }
}

static void *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *data;
    long end;

    if (!f)
        fail_msg("%s: missing", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    end = ftell(f);
    assert_true(end >= 0);
    rewind(f);
    data = malloc(end + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, end, f), end);
    data[end] = '\0';
    fclose(f);
    if (size)
        *size = end;
    return data;
}

static void *read_out(const char *name, size_t *size)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return read_file(path, size);
}

static void write_out(const char *name, const void *data, size_t size)
{
    char path[64];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static uint64_t get(const uint8_t *p, unsigned int bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | p[bytes];
    return v;
}

static void fix_checksum(uint8_t *t, size_t size)
{
    uint8_t s = 0;
    size_t i;

    t[9] = 0;
    for (i = 0; i < size; i++)
        s += t[i];
    t[9] = -s;
}

/* A user's table of @size bytes at @t: a header, a body of Noop (0xa3). */
static size_t user_table(uint8_t *t, const char *signature, size_t size)
{
    memset(t, 0xa3, size);
    memset(t, 0, 36);
    memcpy(t, signature, 4);
    t[4] = size;
    t[5] = size >> 8;
    t[6] = size >> 16;
    t[8] = 2;
    memcpy(t + 10, "USER  USERTABL", 14);
    memcpy(t + 28, "INTL", 4);
    fix_checksum(t, size);
    return size;
}

/* The devices of a guest. ALL: static, dynamic, mixed in turn. */
static void get_devs(struct vr_desc_dev *devs, unsigned int n, enum kind kind)
{
    unsigned int i;

    memset(devs, 0, n * sizeof(*devs));
    for (i = 0; i < n; i++) {
        enum kind k = kind == ALL ? (enum kind)(i % 3) : kind;

        devs[i].mmio_base = MMIO(i);
        devs[i].irq = VR_HVM_GSI_FIRST + i;
        devs[i].behind_iommu = k != STATIC;
        devs[i].endpoint = k != STATIC ? 0x100 + i : 0;
        if (k != DYNAMIC) {
            devs[i].pool_base = POOL(i);
            devs[i].pool_size = (i + 1) << 20;
        }
    }
}

/* What vr_acpi_build() makes, split. */
struct tables {
    uint8_t *all;
    size_t size;
    const uint8_t *ssdt;
    size_t ssdt_size;
    const uint8_t *viot;
    size_t viot_size;
};

static void split(struct tables *t, size_t user_size, bool viot)
{
    const uint8_t *p = t->all + user_size;
    size_t left = t->size - user_size;

    assert_true(left > 36);
    assert_memory_equal(p, "SSDT", 4);
    t->ssdt = p;
    t->ssdt_size = get(p + 4, 4);
    assert_true(t->ssdt_size > 36 && t->ssdt_size <= left);
    left -= t->ssdt_size;
    t->viot = NULL;
    t->viot_size = 0;
    if (viot) {
        t->viot = p + t->ssdt_size;
        t->viot_size = left;
        assert_memory_equal(t->viot, "VIOT", 4);
        assert_int_equal(get(t->viot + 4, 4), left);
    } else {
        assert_int_equal(left, 0);
    }
}

static void build_with(const struct vr_desc_dev *devs, unsigned int n,
                       bool with_iommu, const void *user, size_t user_size,
                       struct tables *t)
{
    struct vr_desc_iommu iommu = {.mmio_base = MMIO(n),
                                  .irq = VR_HVM_GSI_FIRST + n};
    struct vr_err err = {""};
    void *out = NULL;

    if (vr_acpi_build(devs, n, with_iommu ? &iommu : NULL, user, user_size,
                      &out, &t->size, &err))
        fail_msg("%s", err.text);
    t->all = out;
    if (user_size)
        assert_memory_equal(t->all, user, user_size);
    split(t, user_size, with_iommu);
}

static bool has_dynamic(const struct vr_desc_dev *devs, unsigned int n)
{
    while (n--) {
        if (devs[n].behind_iommu)
            return true;
    }
    return false;
}

static void build(enum kind kind, unsigned int n, struct vr_desc_dev *devs,
                  struct tables *t)
{
    get_devs(devs, n, kind);
    build_with(devs, n, has_dynamic(devs, n), NULL, 0, t);
}

/* Without comments (where version, date and file are) and white space. */
static void squeeze(char *s)
{
    char *to = s;

    while (*s) {
        if (!strncmp(s, "/*", 2)) {
            s = strstr(s, "*/");
            assert_non_null(s);
            s += 2;
        } else if (!strncmp(s, "//", 2)) {
            s += strcspn(s, "\n");
        } else if (isspace((unsigned char)*s)) {
            s++;
        } else {
            *to++ = *s++;
        }
    }
    *to = '\0';
}

static void disassemble(const void *table, size_t size)
{
    write_out("t.aml", table, size);
    sh("rm -f t.dsl; iasl -d t.aml && test -s t.dsl");
}

/* The same bytes but for the compiler's own mark, and so the checksum. */
static void recompile(const uint8_t *table, size_t size)
{
    size_t n;
    uint8_t *again;

    sh("rm -f again.aml; iasl -we -p again t.dsl && "
       "grep -q ' 0 Errors, 0 Warnings' log");
    again = read_out("again.aml", &n);
    assert_int_equal(n, size);
    assert_memory_equal(again, table, 9);
    assert_memory_equal(again + 10, table + 10, 18);
    assert_memory_equal(again + 36, table + 36, size - 36);
    free(again);
}

static void expect_dsl(const char *name)
{
    char path[64];
    char *got, *want;

    snprintf(path, sizeof(path), "tests/unit/acpi/%s.dsl", name);
    got = read_out("t.dsl", NULL);
    want = read_file(path, NULL);
    squeeze(got);
    squeeze(want);
    assert_string_equal(got, want);
    free(got);
    free(want);
}

static void check_dsl(enum kind kind, unsigned int n, const char *ssdt,
                      const char *viot)
{
    struct vr_desc_dev devs[MAX];
    struct tables t;
    char *dsl;

    build(kind, n, devs, &t);
    disassemble(t.ssdt, t.ssdt_size);
    expect_dsl(ssdt);
    recompile(t.ssdt, t.ssdt_size);
    if (viot) {
        disassemble(t.viot, t.viot_size);
        /* iasl before 2021 shows the bytes; a later one knows the table */
        dsl = read_out("t.dsl", NULL);
        if (strstr(dsl, "Unknown ACPI table signature"))
            expect_dsl(viot);
        else
            recompile(t.viot, t.viot_size);
        free(dsl);
    }
    free(t.all);
}

static void test_dsl(void **state)
{
    (void)state;
    check_dsl(STATIC, 1, "static", NULL);
    check_dsl(DYNAMIC, 2, "dynamic", "dynamic-viot");
    check_dsl(ALL, 3, "all", "all-viot");
}

/* --- VIOT, read as Linux's drivers/acpi/viot.c does --- */

static unsigned int in_bounds(const struct tables *t, size_t at)
{
    size_t first = get(t->viot + 38, 2);

    if (first < 48)
        first = 48;
    assert_true(at >= first);
    assert_true(at + 4 <= t->viot_size);
    assert_true(get(t->viot + at + 2, 2) >= 4);
    return t->viot[at];
}

/* acpi_resource_consumer(): the device whose _CRS has the address. Here: the
 * last Device (0x5b 0x82, two bytes of length, \_SB.name) before a
 * Memory32Fixed descriptor. */
static const char *consumer(const struct tables *t, uint64_t address)
{
    static const uint8_t fixed[] = {0x86, 0x09, 0x00};
    static char name[5];
    const char *found = NULL;
    size_t i, last = 0;

    for (i = 36; i + 12 <= t->ssdt_size; i++) {
        const uint8_t *p = t->ssdt + i;

        if (p[0] == 0x5b && p[1] == 0x82 && !memcmp(p + 4, "\\._SB_", 6))
            last = i + 10;
        if (memcmp(p, fixed, 3) || get(p + 4, 4) > address ||
            get(p + 4, 4) + get(p + 8, 4) <= address)
            continue;
        assert_null(found);
        memcpy(name, t->ssdt + last, 4);
        found = name;
    }
    return found;
}

/* The endpoint of a device with these registers; -1: none. */
static int64_t endpoint(const struct tables *t, uint64_t base, uint64_t iommu)
{
    unsigned int i, count = get(t->viot + 36, 2);
    size_t at = get(t->viot + 38, 2);
    int64_t found = -1;

    for (i = 0; i < count; i++) {
        const uint8_t *node = t->viot + at;
        unsigned int type = in_bounds(t, at), length = get(node + 2, 2);

        assert_true(at + length <= t->viot_size);
        if (type == 2) {
            size_t output = get(node + 16, 2);
            const char *name;

            assert_true(length >= 24);
            assert_int_equal(in_bounds(t, output), 4);
            assert_true(get(t->viot + output + 2, 2) >= 16);
            assert_int_equal(get(t->viot + output + 8, 8), iommu);
            name = consumer(t, iommu);
            assert_non_null(name);
            assert_string_equal(name, "VRIO");
            /* Linux takes the first node that fits: there is only one. */
            if (get(node + 8, 8) == base) {
                assert_int_equal(found, -1);
                found = get(node + 4, 4);
            }
        } else {
            assert_int_equal(type, 4);
            /* Its own registers are behind nothing. */
            assert_int_not_equal(base, get(node + 8, 8));
        }
        at += length;
    }
    assert_int_equal(at, t->viot_size);
    return found;
}

static void check_viot(const struct tables *t, const struct vr_desc_dev *devs,
                       unsigned int n)
{
    unsigned int i, behind = 0;
    uint8_t sum = 0;
    char want[16];
    size_t at;

    for (at = 0; at < t->viot_size; at++)
        sum += t->viot[at];
    assert_int_equal(sum, 0);
    assert_int_equal(t->viot[8], 0); /* revision */
    for (at = 40; at < 48; at++)
        assert_int_equal(t->viot[at], 0);
    for (i = 0; i < n; i++) {
        const char *name = consumer(t, devs[i].mmio_base);

        snprintf(want, sizeof(want), "VR%02X", i);
        assert_non_null(name);
        assert_string_equal(name, want);
        assert_int_equal(endpoint(t, devs[i].mmio_base, MMIO(n)),
                         devs[i].behind_iommu ? (int64_t)devs[i].endpoint : -1);
        behind += devs[i].behind_iommu;
    }
    assert_int_equal(get(t->viot + 36, 2), 1 + behind);
    assert_int_equal(t->viot_size, 48 + 16 + behind * 24);
    assert_int_equal(endpoint(t, MMIO(n + 1), MMIO(n)), -1);
}

/* Field by field, with an endpoint that uses all four bytes. */
static void test_viot_fields(void **state)
{
    struct vr_desc_dev dev = {
        .mmio_base = 0xfeb03e00,
        .irq = 47,
        .behind_iommu = true,
        .endpoint = 0xfedcba98,
    };
    static const uint8_t nodes[] = {
        /* count 2, at 48, reserved */
        2, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        /* virtio-iommu: type, reserved, 16 bytes, reserved, base */
        4, 0, 16, 0, 0, 0, 0, 0, 0x00, 0x02, 0xb0, 0xfe, 0, 0, 0, 0,
        /* MMIO endpoint: type, reserved, 24 bytes, endpoint, base, output
         * node, reserved */
        2, 0, 24, 0, 0x98, 0xba, 0xdc, 0xfe, 0x00, 0x3e, 0xb0, 0xfe, 0, 0, 0, 0,
        48, 0, 0, 0, 0, 0, 0, 0};
    struct tables t;

    (void)state;
    build_with(&dev, 1, true, NULL, 0, &t);
    assert_int_equal(t.viot_size, 36 + sizeof(nodes));
    assert_memory_equal(t.viot + 36, nodes, sizeof(nodes));
    assert_memory_equal(t.viot + 10, "XENVR\0VIRTIORS", 14);
    free(t.all);
}

/* What iasl reads in the terms of device @i. */
static void check_terms(const struct tables *t, const char *dsl, unsigned int i,
                        const struct vr_desc_dev *dev)
{
    char want[128], *squeezed = strdup(dsl);
    const char *term, *name = consumer(t, dev->mmio_base);

    assert_non_null(squeezed);
    squeeze(squeezed);
    snprintf(want, sizeof(want), "VR%02X", i);
    assert_non_null(name);
    assert_string_equal(name, want);
    snprintf(want, sizeof(want), "Device(\\_SB.VR%02X){", i);
    term = strstr(squeezed, want);
    assert_non_null(term);
    snprintf(want, sizeof(want),
             "Memory32Fixed(ReadWrite,0x%08X,0x00000200,)Interrupt("
             "ResourceConsumer,Level,ActiveLow,Shared,,,){0x%08X,}",
             (unsigned int)dev->mmio_base, dev->irq);
    assert_ptr_equal(strstr(term, "Memory32Fixed"), strstr(term, want));
    snprintf(want, sizeof(want), "Device(\\_SB.VP%02X){", i);
    term = strstr(squeezed, want);
    assert_int_equal(term != NULL, dev->pool_size != 0);
    if (term) {
        snprintf(want, sizeof(want),
                 "0x%016llX,0x%016llX,0x%016llX,0x%016llX,0x%016llX,,,,", 0ULL,
                 (unsigned long long)dev->pool_base,
                 (unsigned long long)(dev->pool_base + dev->pool_size - 1),
                 0ULL, (unsigned long long)dev->pool_size);
        assert_ptr_equal(strstr(term, "0x0000000000000000"),
                         strstr(term, want));
        snprintf(want, sizeof(want), "{\"memory-region\",\\_SB.VP%02X}", i);
        assert_non_null(strstr(term, want));
    }
    free(squeezed);
}

static void test_every_count(void **state)
{
    static const enum kind kinds[] = {STATIC, DYNAMIC, MIXED, ALL};
    struct vr_desc_dev devs[MAX];
    unsigned int k, n, i, devices;
    const char *at;
    struct tables t;
    uint8_t sum;
    char *dsl;

    (void)state;
    for (k = 0; k < VR_ARRAY_SIZE(kinds); k++) {
        for (n = 1; n <= MAX; n++) {
            build(kinds[k], n, devs, &t);
            for (sum = 0, i = 0; i < t.ssdt_size; i++)
                sum += t.ssdt[i];
            assert_int_equal(sum, 0);
            disassemble(t.ssdt, t.ssdt_size);
            recompile(t.ssdt, t.ssdt_size);
            dsl = read_out("t.dsl", NULL);
            assert_null(strstr(dsl, "External"));
            devices = has_dynamic(devs, n);
            for (i = 0; i < n; i++) {
                check_terms(&t, dsl, i, &devs[i]);
                devices += devs[i].pool_size ? 2 : 1;
            }
            for (at = dsl; (at = strstr(at, "Device (")); at++)
                devices--;
            assert_int_equal(devices, 0);
            free(dsl);
            if (has_dynamic(devs, n))
                check_viot(&t, devs, n);
            free(t.all);
        }
    }
}

/* A pool that its device does not name is a device as ever; the other gets the
 * term of one without a pool, and VIOT does not change. */
static void test_unnamed_pool(void **state)
{
    struct vr_desc_dev devs[2], without[2];
    struct tables t, named, none;
    char *dsl;

    (void)state;
    build(MIXED, 2, devs, &named);
    get_devs(devs, 2, MIXED);
    devs[1].pool_unnamed = true;
    build_with(devs, 2, true, NULL, 0, &t);
    disassemble(t.ssdt, t.ssdt_size);
    recompile(t.ssdt, t.ssdt_size);
    dsl = read_out("t.dsl", NULL);
    assert_non_null(strstr(dsl, "Device (\\_SB.VP01)"));
    assert_non_null(strstr(dsl, "\\_SB.VP00\n"));
    assert_null(strstr(dsl, "\\_SB.VP01\n"));
    free(dsl);
    assert_int_equal(t.viot_size, named.viot_size);
    assert_memory_equal(t.viot, named.viot, t.viot_size);
    /* The last term of the table is that device's. */
    memcpy(without, devs, sizeof(without));
    without[1].pool_size = 0;
    build_with(without, 2, true, NULL, 0, &none);
    assert_true(t.ssdt_size > none.ssdt_size && none.ssdt_size > 100);
    assert_memory_equal(t.ssdt + t.ssdt_size - 64,
                        none.ssdt + none.ssdt_size - 64, 64);
    free(t.all);
    free(named.all);
    free(none.all);
}

/* The example in docs/bindings/acpi.md is what a guest gets. */
static void test_documentation(void **state)
{
    struct vr_desc_dev devs[2];
    char *doc = read_file("docs/bindings/acpi.md", NULL), *start, *end, *asl;
    struct tables t;
    uint8_t *aml;
    size_t size;

    (void)state;
    get_devs(devs, 2, STATIC);
    devs[0].pool_base = VR_HVM_POOL_BASE;
    devs[0].pool_size = 64 << 20;
    devs[1].behind_iommu = true;
    devs[1].pool_size = 0;
    build_with(devs, 2, true, NULL, 0, &t);
    start = strstr(doc, "    Device (\\_SB.VRIO)");
    end = strstr(doc, "\n| object |");
    assert_non_null(start);
    assert_true(end > start);
    *end = '\0';
    assert_true(asprintf(&asl,
                         "DefinitionBlock (\"\", \"SSDT\", 2, \"XENVR\", "
                         "\"VIRTIORS\", 1) {\n%s}\n",
                         start) > 0);
    write_out("doc.asl", asl, strlen(asl));
    sh("iasl -ve -p doc doc.asl");
    aml = read_out("doc.aml", &size);
    assert_int_equal(size, t.ssdt_size);
    assert_memory_equal(aml + 36, t.ssdt + 36, size - 36);
    free(aml);
    free(asl);
    free(doc);
    free(t.all);
}

/* ACPICA loads the tables and finds what a driver would ask for. */
static void test_interpreter(void **state)
{
    static const char *const want[] = {
        "6 Devices",
        "ACPI: VIOT",
        "\"memory-region\"",
        "Name VP02 Device", /* the reference is one */
        "\"restricted-dma-pool\"",
        "Address Minimum : 0000000108000000",
        "Address Maximum : 00000001082FFFFF",
        "Address Length : 0000000000300000",
        "AddressRangeReserved",
        "Address : FEB00200",
        "Triggering : Level",
        "Polarity : ActiveLow",
        "Sharing : Shared",
        "Dword00 : 00000021",
        "No outstanding allocations",
    };
    struct vr_desc_dev devs[3];
    unsigned int i;
    struct tables t;
    char *log;

    (void)state;
    build(ALL, 3, devs, &t);
    write_out("ssdt.aml", t.ssdt, t.ssdt_size);
    write_out("viot.aml", t.viot, t.viot_size);
    sh("acpiexec -b 'namespace; evaluate \\_SB.VR02._DSD; "
       "evaluate \\_SB.VP02._DSD; resources \\_SB.VP02; "
       "resources \\_SB.VR01' ssdt.aml viot.aml </dev/null");
    log = read_out("log", NULL);
    for (i = 0; i < VR_ARRAY_SIZE(want); i++) {
        if (!strstr(log, want[i]))
            fail_msg("acpiexec: no \"%s\" in:\n%s", want[i], log);
    }
    assert_null(strcasestr(log, "error"));
    assert_null(strstr(log, "AE_ALREADY_EXISTS"));
    free(log);
    free(t.all);
}

/* PCI functions: static, dynamic, mixed, and a mixed one that does not name its
 * pool; a virtio-mmio device beside them. */
static void get_functions(struct vr_desc_dev *devs)
{
    unsigned int i;

    get_devs(devs, 5, ALL);
    devs[3].behind_iommu = true;
    devs[3].endpoint = 0x103;
    devs[3].pool_unnamed = true;
    for (i = 0; i < 4; i++) {
        devs[i].transport = VR_TRANSPORT_pci;
        devs[i].mmio_base = (27 + i) << 15;
    }
}

static const char slots_asl[] =
    "DefinitionBlock (\"\", \"DSDT\", 2, \"Xen\", \"HVM\", 0)\n"
    "{ Scope (\\_SB) { Device (PCI0) { Name (_HID, EisaId (\"PNP0A03\"))\n"
    "Device (S27) { Name (_ADR, 0x001B0000) }\n"
    "Device (S28) { Name (_ADR, 0x001C0000) }\n"
    "Device (S29) { Name (_ADR, 0x001D0000) }\n"
    "Device (S30) { Name (_ADR, 0x001E0000) } } } }\n";

/* In a namespace like hvmloader's the slots' devices refer to the pools. */
static void test_functions(void **state)
{
    static const uint8_t ranges[] = {/* type, reserved, 24 bytes, endpoint,
                                        segments, BDF, output, reserved */
                                     1,    0, 24,   0, 1,  1, 0, 0, 0, 0, 0, 0,
                                     0xe0, 0, 0xe0, 0, 48, 0, 0, 0, 0, 0, 0, 0,
                                     1,    0, 24,   0, 2,  1, 0, 0, 0, 0, 0, 0,
                                     0xe8, 0, 0xe8, 0, 48, 0, 0, 0, 0, 0, 0, 0,
                                     1,    0, 24,   0, 3,  1, 0, 0, 0, 0, 0, 0,
                                     0xf0, 0, 0xf0, 0, 48, 0, 0, 0, 0, 0, 0, 0};
    struct vr_desc_dev devs[5];
    struct tables t;
    const char *at;
    char *log;

    (void)state;
    get_functions(devs);
    build_with(devs, 5, true, NULL, 0, &t);
    disassemble(t.ssdt, t.ssdt_size);
    expect_dsl("functions");
    assert_int_equal(get(t.viot + 36, 2), 5);
    assert_memory_equal(t.viot + 64, ranges, sizeof(ranges));
    assert_int_equal(t.viot[64 + sizeof(ranges)], 2);
    write_out("dsdt.asl", slots_asl, sizeof(slots_asl) - 1);
    write_out("ssdt.aml", t.ssdt, t.ssdt_size);
    write_out("viot.aml", t.viot, t.viot_size);
    sh("iasl -ve -p dsdt dsdt.asl && "
       "acpiexec -b 'namespace; evaluate \\_SB.PCI0.S27._DSD; "
       "evaluate \\_SB.PCI0.S29._DSD; evaluate \\_SB.PCI0.S28._DSD; "
       "evaluate \\_SB.PCI0.S30._DSD; evaluate \\_SB.VR04._UID' "
       "dsdt.aml ssdt.aml viot.aml </dev/null");
    log = read_out("log", NULL);
    at = strstr(log, "Evaluating \\_SB.PCI0.S27._DSD");
    assert_non_null(at);
    assert_non_null(at = strstr(at, "Name VP00 Device"));
    assert_non_null(at = strstr(at, "Name VP02 Device"));
    assert_null(strstr(at, "Name VP03 Device"));
    /* Neither a dynamic one nor one whose pool PROBE tells has a property. */
    assert_non_null(strstr(at, "S28._DSD failed with status AE_NOT_FOUND"));
    assert_non_null(strstr(at, "S30._DSD failed with status AE_NOT_FOUND"));
    assert_null(strstr(log, "AE_ALREADY_EXISTS"));
    free(log);
    free(t.all);
}

static void test_extreme_pool(void **state)
{
    struct vr_desc_dev dev = {
        .mmio_base = 0xfffffe00,
        .irq = UINT32_MAX,
        .pool_base = UINT64_MAX - 4095,
        .pool_size = 4096,
    };
    struct tables t;
    char *dsl;

    (void)state;
    build_with(&dev, 1, false, NULL, 0, &t);
    disassemble(t.ssdt, t.ssdt_size);
    dsl = read_out("t.dsl", NULL);
    assert_non_null(strstr(dsl, "0xFFFFFFFFFFFFF000, // Range Minimum"));
    assert_non_null(strstr(dsl, "0xFFFFFFFFFFFFFFFF, // Range Maximum"));
    assert_non_null(strstr(dsl, "0x0000000000001000, // Length"));
    free(dsl);
    free(t.all);
}

/* --- with a user's tables --- */

static void test_user(void **state)
{
    uint8_t user[512];
    size_t size = user_table(user, "SSDT", 80);
    struct vr_desc_dev devs[2];
    struct tables t;

    (void)state;
    size += user_table(user + size, "MSDM", 85); /* nothing is aligned */
    get_devs(devs, 2, STATIC);
    build_with(devs, 2, false, user, size, &t);
    free(t.all);
    get_devs(devs, 2, DYNAMIC);
    build_with(devs, 2, true, user, size, &t);
    check_viot(&t, devs, 2);
    free(t.all);
    /* a VIOT of the user's own, when we have none */
    size = user_table(user, "VIOT", 48);
    get_devs(devs, 2, STATIC);
    build_with(devs, 2, false, user, size, &t);
    free(t.all);
    /* an empty file */
    build_with(devs, 2, false, user, 0, &t);
    free(t.all);
}

static void refused(const void *user, size_t size, bool viot, int rc,
                    const char *why)
{
    struct vr_desc_dev devs[1];
    struct vr_desc_iommu iommu = {.mmio_base = MMIO(1), .irq = 17};
    struct vr_err err = {""};
    /* exactly as long as it says, for the checkers */
    void *copy = malloc(size ? size : 1), *out = NULL;
    size_t out_size = 1;

    assert_non_null(copy);
    memcpy(copy, user, size);
    assert_int_equal(vr_acpi_check(copy, size, viot, &err), rc);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" has no \"%s\"", err.text, why);
    assert_null(strpbrk(err.text, "\n\r\033"));
    assert_true(strlen(err.text) < 200); /* a file's name may come before */
    assert_int_equal(vr_acpi_check(copy, size, viot, NULL), rc);
    get_devs(devs, 1, viot ? DYNAMIC : STATIC);
    assert_int_equal(vr_acpi_build(devs, 1, viot ? &iommu : NULL, copy, size,
                                   &out, &out_size, &err),
                     rc);
    assert_int_equal(
        strncmp(err.text, "virtio_restricted: acpi_firmware: ", 34), 0);
    assert_null(out);
    assert_int_equal(out_size, 1);
    free(copy);
}

static void test_user_broken(void **state)
{
    uint8_t t[512];
    size_t size;

    (void)state;
    /* something else than a table */
    memset(t, 0, sizeof(t));
    memcpy(t, "DefinitionBlock (\"\", \"SSDT\", 2, \"A\", \"B\", 1) {}", 48);
    refused(t, 48, false, -EINVAL, "table 1 (Defi, at byte 0): not a table's");
    memcpy(t, "\033[2J", 4);
    refused(t, 50, false, -EINVAL, "table 1 (?[2J, at byte 0)");
    memset(t, 0xff, sizeof(t));
    refused(t, 50, false, -EINVAL, "table 1 (????, at byte 0)");
    /* cut in the header, and one byte of another table */
    size = user_table(t, "SSDT", 80);
    refused(t, 35, false, -EINVAL, "35 bytes are no table");
    refused(t, 1, false, -EINVAL, "1 bytes are no table");
    t[size] = 'S';
    refused(t, size + 1, false, -EINVAL, "table 2 (????, at byte 80): 1 bytes");
    /* cut behind the header */
    refused(t, size - 1, false, -EINVAL, "length 80, where 36 to 79");
    /* lengths that lie */
    t[4] = 0;
    refused(t, size, false, -EINVAL, "length 0, where 36 to 80");
    t[4] = 35;
    refused(t, size, false, -EINVAL, "length 35, where 36 to 80");
    t[4] = 81;
    refused(t, size, false, -EINVAL, "length 81, where 36 to 80");
    t[7] = 0xff;
    refused(t, size, false, -EINVAL, "length 4278190161, where");
    /* checksum */
    user_table(t, "SSDT", 80);
    t[9]++;
    refused(t, size, false, -EINVAL, "add up to 0x01, not 0");
    /* the same in the second */
    user_table(t, "SSDT", 80);
    user_table(t + 80, "SLIC", 60);
    t[100] ^= 0x80;
    refused(t, 140, false, -EINVAL,
            "table 2 (SLIC, at byte 80): its bytes add up to 0x80");
}

static void test_user_collides(void **state)
{
    static const char *const names[] = {"VR00", "VR0F", "VP00", "VP0A", "VRIO"};
    static const char *const others[] = {"VR10", "VR0G", "VX00", "VRIQ",
                                         "vr00", "VR0:", "VP0@", "VR/0"};
    uint8_t t[256];
    size_t size = user_table(t, "SSDT", 80);
    struct vr_err err;
    unsigned int i;

    (void)state;
    memcpy(t + 16, "VIRTIORS", 8);
    fix_checksum(t, size);
    refused(t, size, false, -EINVAL, "its OEM table id VIRTIORS");
    /* of another kind of table it does not matter */
    user_table(t, "OEM1", 80);
    memcpy(t + 16, "VIRTIORS", 8);
    memcpy(t + 40, "VR00", 4);
    fix_checksum(t, size);
    assert_int_equal(vr_acpi_check(t, size, true, &err), 0);
    /* names, at the first and at the last place of a body */
    for (i = 0; i < VR_ARRAY_SIZE(names); i++) {
        user_table(t, i % 2 ? "PSDT" : "SSDT", 80);
        memcpy(t + 36, names[i], 4);
        fix_checksum(t, size);
        refused(t, size, i % 2, -EINVAL, names[i]);
        user_table(t, "SSDT", 80);
        memcpy(t + 76, names[i], 4);
        fix_checksum(t, size);
        refused(t, size, i % 2, -EINVAL, names[i]);
    }
    for (i = 0; i < VR_ARRAY_SIZE(others); i++) {
        user_table(t, "SSDT", 80);
        memcpy(t + 40, others[i], 4);
        fix_checksum(t, size);
        assert_int_equal(vr_acpi_check(t, size, true, &err), 0);
    }
    /* VIOT, also behind another table */
    size = user_table(t, "SSDT", 80);
    size += user_table(t + size, "VIOT", 48);
    refused(t, size, true, -EINVAL, "table 2 (VIOT, at byte 80): a guest has");
    assert_int_equal(vr_acpi_check(t, size, false, &err), 0);
}

/* A user's SSDT that defines one of our names, as iasl writes it. */
static void test_user_compiled(void **state)
{
    static const char asl[] =
        "DefinitionBlock (\"\", \"SSDT\", 2, \"USER\", \"USER\", 1) {\n"
        "  Scope (\\_SB) { Device (VR03) { Name (_HID, \"LNRO0005\") } } }\n";
    size_t size;
    void *t;

    (void)state;
    write_out("user.asl", asl, sizeof(asl) - 1);
    sh("iasl -ve -p user user.asl");
    t = read_out("user.aml", &size);
    refused(t, size, false, -EINVAL, "the name VR03");
    free(t);
}

static void test_user_too_many(void **state)
{
    uint8_t t[36 * 16];
    struct vr_err err;
    unsigned int i;

    (void)state;
    for (i = 0; i < 16; i++)
        user_table(t + i * 36, "OEM1", 36);
    assert_int_equal(vr_acpi_check(t, 3 * 36, false, &err), 0);
    refused(t, 4 * 36, false, -E2BIG, "4 tables, and 1 for");
    assert_int_equal(vr_acpi_check(t, 2 * 36, true, &err), 0);
    refused(t, 3 * 36, true, -E2BIG, "3 tables, and 2 for");
    refused(t, 16 * 36, true, -E2BIG, "16 tables, and 2 for");
}

static void test_user_too_large(void **state)
{
    uint8_t *t = malloc(VR_ACPI_MAX_SIZE + 1);
    struct vr_desc_dev dev;
    struct vr_err err;
    size_t ours, size;
    struct tables r;
    void *out;

    (void)state;
    assert_non_null(t);
    memset(t, 0, VR_ACPI_MAX_SIZE + 1);
    refused(t, VR_ACPI_MAX_SIZE + 1, false, -E2BIG, "524289 bytes");
    get_devs(&dev, 1, STATIC);
    build_with(&dev, 1, false, NULL, 0, &r);
    ours = r.size;
    free(r.all);
    size = user_table(t, "SSDT", VR_ACPI_MAX_SIZE - ours);
    build_with(&dev, 1, false, t, size, &r);
    assert_int_equal(r.size, VR_ACPI_MAX_SIZE);
    free(r.all);
    size = user_table(t, "SSDT", VR_ACPI_MAX_SIZE - ours + 1);
    assert_int_equal(vr_acpi_build(&dev, 1, NULL, t, size, &out, &ours, &err),
                     -E2BIG);
    assert_non_null(strstr(err.text, "for the restricted devices"));
    free(t);
}

/* --- devices --- */

static void bad_devs(const struct vr_desc_dev *devs, unsigned int n,
                     bool with_iommu, int rc, const char *why)
{
    struct vr_desc_iommu iommu = {.mmio_base = MMIO(20), .irq = 40};
    struct vr_err err = {""};
    size_t size = 1;
    void *out = NULL;

    assert_int_equal(vr_acpi_build(devs, n, with_iommu ? &iommu : NULL, NULL, 0,
                                   &out, &size, &err),
                     rc);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" has no \"%s\"", err.text, why);
    assert_null(out);
    assert_int_equal(size, 1);
}

static void test_bad_devs(void **state)
{
    struct vr_desc_dev d[MAX + 1];
    struct vr_desc_iommu iommu = {.mmio_base = UINT64_C(1) << 32};
    struct vr_err err;
    size_t size;
    void *out;

    (void)state;
    get_devs(d, MAX + 1, STATIC);
    bad_devs(d, 0, false, -EINVAL, "0 devices: give 1 to 16");
    bad_devs(d, MAX + 1, false, -E2BIG, "17 devices");
    d[1].mmio_base = UINT64_C(1) << 32;
    bad_devs(d, 2, false, -EINVAL, "device 1: registers at 0x100000000");
    d[1].mmio_base = 0xfffffe01;
    bad_devs(d, 2, false, -EINVAL, "device 1: registers at 0xfffffe01: they");
    d[1].mmio_base = d[0].mmio_base;
    bad_devs(d, 2, false, -EINVAL, "device 1: registers at 0xfeb00000: an");
    d[1].mmio_base = MMIO(20);
    bad_devs(d, 2, true, -EINVAL, "the virtio-iommu has them");
    get_devs(d, 2, STATIC);
    d[0].pool_size = 0;
    bad_devs(d, 2, false, -EINVAL, "device 0: pool of size 0x0");
    d[0].pool_size = 4097;
    bad_devs(d, 2, false, -EINVAL, "pool of size 0x1001: give whole pages");
    d[0].pool_size = 4096;
    d[0].pool_base = 1;
    bad_devs(d, 2, false, -EINVAL, "pool at 0x1:");
    d[0].pool_size = 8192;
    d[0].pool_base = UINT64_MAX - 4095;
    bad_devs(d, 2, false, -EINVAL, "pool at 0xfffffffffffff000: give");
    get_devs(d, 2, MIXED);
    bad_devs(d, 2, false, -EINVAL, "endpoint 0x100: a dynamic device needs");
    d[1].endpoint = d[0].endpoint;
    bad_devs(d, 2, true, -EINVAL, "device 1: endpoint 0x100: an earlier");
    get_devs(d, 2, DYNAMIC);
    assert_int_equal(vr_acpi_build(d, 2, &iommu, NULL, 0, &out, &size, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "device 2: registers at 0x100000000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dsl),
        cmocka_unit_test(test_viot_fields),
        cmocka_unit_test(test_every_count),
        cmocka_unit_test(test_unnamed_pool),
        cmocka_unit_test(test_documentation),
        cmocka_unit_test(test_interpreter),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_extreme_pool),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_user_broken),
        cmocka_unit_test(test_user_collides),
        cmocka_unit_test(test_user_compiled),
        cmocka_unit_test(test_user_too_many),
        cmocka_unit_test(test_user_too_large),
        cmocka_unit_test(test_bad_devs),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
