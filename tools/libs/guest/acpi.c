/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds the ACPI tables, as acpi.h has it, from terms that iasl has compiled.
 * Called by the plug-in. Pure. */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acpi_int.h"
#include "libs/transport/pci/bus.h"

/* A term and where its placeholders are; lists end with 0, which no
 * placeholder can have. Names: of the two letters before the number. */
struct aml {
    const uint8_t *code;
    size_t size;
    uint16_t device[3];
    uint16_t pool[3];
    uint16_t slot[2];
    uint16_t base[2];
    uint16_t irq[2];
    uint16_t min[2];
    uint16_t max[2];
    uint16_t length[2];
};

#include "libs/guest/acpi/aml.h" /* made by aml.sh */

#define OEM_ID      "XENVR\0"
#define CREATOR_ID  "XVR "
#define USER_TABLES "virtio_restricted: acpi_firmware"
#define REGISTERS   0x200 /* bytes: as in the sources */

/* VIOT: ACPI 6.4, 5.2.33 */
#define VIOT_PCI_RANGE  1
#define VIOT_MMIO       2
#define VIOT_MMIO_IOMMU 4

struct viot {
    struct acpi_header header;
    uint16_t node_count;
    uint16_t node_offset;
    uint8_t reserved[8];
} __attribute__((packed));

struct viot_iommu {
    uint8_t type;
    uint8_t reserved;
    uint16_t length;
    uint32_t reserved2;
    uint64_t base;
} __attribute__((packed));

struct viot_mmio {
    uint8_t type;
    uint8_t reserved;
    uint16_t length;
    uint32_t endpoint;
    uint64_t base;
    uint16_t output_node; /* from the table's start */
    uint8_t reserved2[6];
} __attribute__((packed));

struct viot_pci_range {
    uint8_t type;
    uint8_t reserved;
    uint16_t length;
    uint32_t endpoint; /* of the first */
    uint16_t segment_start;
    uint16_t segment_end;
    uint16_t bdf_start;
    uint16_t bdf_end;
    uint16_t output_node;
    uint8_t reserved2[6];
} __attribute__((packed));

static_assert(sizeof(struct viot) == 48, "VIOT");
static_assert(sizeof(struct viot_iommu) == 16, "VIOT node");
static_assert(sizeof(struct viot_mmio) == 24, "VIOT node");
static_assert(sizeof(struct viot_pci_range) == 24, "VIOT node");

static int bad_dev(unsigned int i, struct vr_err *err, const char *what,
                   uint64_t value, const char *remedy)
{
    vr_err_set(err, "virtio_restricted: ACPI: device %u: %s 0x%" PRIx64 ": %s",
               i, what, value, remedy);
    return -EINVAL;
}

static int check_base(unsigned int i, uint64_t base, struct vr_err *err)
{
    if (base <= UINT32_MAX - (REGISTERS - 1))
        return 0;
    return bad_dev(i, err, "registers at", base, "they have to be below 4 GiB");
}

static int check_dev(const struct vr_desc_dev *devs, unsigned int i,
                     const struct vr_desc_iommu *iommu, struct vr_err *err)
{
    const struct vr_desc_dev *d = &devs[i];
    unsigned int j;

    if (!d->pool_size && !d->behind_iommu)
        return bad_dev(i, err, "pool of size", 0,
                       "it needs a pool or has to be dynamic");
    if (d->pool_size % VR_PAGE_SIZE)
        return bad_dev(i, err, "pool of size", d->pool_size,
                       "give whole pages");
    if (d->pool_size && (d->pool_base % VR_PAGE_SIZE ||
                         d->pool_size - 1 > UINT64_MAX - d->pool_base))
        return bad_dev(i, err, "pool at", d->pool_base,
                       "give a page's address, and an end below 2^64");
    if (d->behind_iommu && !iommu)
        return bad_dev(i, err, "endpoint", d->endpoint,
                       "a dynamic device needs a virtio-iommu");
    if (iommu && d->mmio_base == iommu->mmio_base)
        return bad_dev(i, err, "registers at", d->mmio_base,
                       "the virtio-iommu has them: give others");
    for (j = 0; j < i; j++) {
        if (devs[j].mmio_base == d->mmio_base)
            return bad_dev(i, err, "registers at", d->mmio_base,
                           "an earlier device has them: give others");
        if (devs[j].behind_iommu && d->behind_iommu &&
            devs[j].endpoint == d->endpoint)
            return bad_dev(i, err, "endpoint", d->endpoint,
                           "an earlier device has it: give another");
    }
    return 0;
}

static int check_devs(const struct vr_desc_dev *devs, unsigned int n,
                      const struct vr_desc_iommu *iommu, struct vr_err *err)
{
    unsigned int i;
    int rc;

    if (!n || n > VR_MAX_DEVICES) {
        vr_err_set(err,
                   "virtio_restricted: ACPI: %u devices: give 1 to %u entries",
                   n, VR_MAX_DEVICES);
        return n ? -E2BIG : -EINVAL;
    }
    for (i = 0; i < n; i++) {
        rc = check_base(i, devs[i].mmio_base, err);
        if (!rc)
            rc = check_dev(devs, i, iommu, err);
        if (rc)
            return rc;
    }
    return iommu ? check_base(n, iommu->mmio_base, err) : 0;
}

/* Where the next bytes go; with NULL they are only counted. */
struct out {
    uint8_t *data;
    size_t size;
};

static uint8_t *append(struct out *o, const void *data, size_t size)
{
    uint8_t *p = o->data ? o->data + o->size : NULL;

    if (p && size)
        memcpy(p, data, size);
    o->size += size;
    return p;
}

static void patch(uint8_t *term, const uint16_t *at, const void *value,
                  size_t size)
{
    for (; *at; at++)
        memcpy(term + *at, value, size);
}

static void patch32(uint8_t *term, const uint16_t *at, uint32_t value)
{
    value = htole32(value);
    patch(term, at, &value, sizeof(value));
}

static void patch64(uint8_t *term, const uint16_t *at, uint64_t value)
{
    value = htole64(value);
    patch(term, at, &value, sizeof(value));
}

static void patch_name(uint8_t *term, const uint16_t *at, const char *letters,
                       unsigned int i)
{
    char name[5];

    snprintf(name, sizeof(name), "%.2s%02X", letters, i % 256);
    patch(term, at, name, 4);
}

static void add_term(struct out *o, const struct aml *aml, unsigned int i,
                     uint64_t base, uint32_t irq, const struct vr_desc_dev *d)
{
    uint8_t *term = append(o, aml->code, aml->size);

    if (!term)
        return;
    patch_name(term, aml->device, "VR", i);
    patch_name(term, aml->pool, "VP", i);
    patch32(term, aml->base, base);
    patch32(term, aml->irq, irq);
    if (!d)
        return;
    patch64(term, aml->min, d->pool_base);
    patch64(term, aml->max, d->pool_base + (d->pool_size - 1));
    patch64(term, aml->length, d->pool_size);
}

/* A function needs no term but that of its pool: hvmloader's DSDT has a device
 * for each slot, and a second one would be one too many. */
static void add_function(struct out *o, unsigned int i, unsigned int slot)
{
    uint8_t *term = append(o, function_term.code, function_term.size);
    char name[5];

    if (!term)
        return;
    snprintf(name, sizeof(name), "S%02u_", slot % 100);
    patch(term, function_term.slot, name, 4);
    patch_name(term, function_term.pool, "VP", i);
}

static bool is_function(const struct vr_desc_dev *d)
{
    return d->transport == VR_TRANSPORT_pci;
}

static void add_dev(struct out *o, const struct vr_desc_dev *d, unsigned int i)
{
    const bool named = d->pool_size && !d->pool_unnamed;

    if (d->pool_size)
        add_term(o, &pool_term, i, 0, 0, d);
    if (!is_function(d))
        add_term(o, named ? &virtio_pool_term : &virtio_term, i, d->mmio_base,
                 d->irq, NULL);
    else if (named)
        add_function(o, i, vr_pci_slot(d->mmio_base));
}

/* A table's header, to be finished when all of it is there. */
static size_t begin_table(struct out *o, const char *signature,
                          uint8_t revision)
{
    struct acpi_header h = {
        .revision = revision,
        .oem_revision = htole32(1),
        .creator_revision = htole32(1),
    };
    size_t start = o->size;

    memcpy(h.signature, signature, sizeof(h.signature));
    memcpy(h.oem_id, OEM_ID, sizeof(h.oem_id));
    memcpy(h.oem_table_id, VR_ACPI_TABLE_ID, sizeof(h.oem_table_id));
    memcpy(h.creator_id, CREATOR_ID, sizeof(h.creator_id));
    append(o, &h, sizeof(h));
    return start;
}

static void end_table(struct out *o, size_t start)
{
    struct acpi_header h;
    uint8_t *p;

    if (!o->data)
        return;
    p = o->data + start;
    memcpy(&h, p, sizeof(h));
    h.length = htole32(o->size - start);
    memcpy(p, &h, sizeof(h));
    h.checksum = -acpi_sum(p, o->size - start);
    memcpy(p, &h, sizeof(h));
}

/* Each pool before the device that names it, so that nothing is External.
 * Revision 2: integers have 64 bits. */
static void add_ssdt(struct out *o, const struct vr_desc_dev *devs,
                     unsigned int n, const struct vr_desc_iommu *iommu)
{
    size_t start = begin_table(o, "SSDT", 2);
    unsigned int i;

    if (iommu)
        add_term(o, &iommu_term, 0, iommu->mmio_base, iommu->irq, NULL);
    for (i = 0; i < n; i++)
        add_dev(o, &devs[i], i);
    end_table(o, start);
}

static void add_endpoint(struct out *o, const struct vr_desc_dev *d)
{
    const uint16_t bdf = htole16(vr_pci_slot(d->mmio_base) << 3);
    const struct viot_pci_range function = {
        .type = VIOT_PCI_RANGE,
        .length = htole16(sizeof(function)),
        .endpoint = htole32(d->endpoint),
        .bdf_start = bdf,
        .bdf_end = bdf,
        .output_node = htole16(sizeof(struct viot)),
    };
    const struct viot_mmio mmio = {
        .type = VIOT_MMIO,
        .length = htole16(sizeof(mmio)),
        .endpoint = htole32(d->endpoint),
        .base = htole64(d->mmio_base),
        .output_node = htole16(sizeof(struct viot)),
    };

    if (is_function(d))
        append(o, &function, sizeof(function));
    else
        append(o, &mmio, sizeof(mmio));
}

static void add_viot(struct out *o, const struct vr_desc_dev *devs,
                     unsigned int n, const struct vr_desc_iommu *iommu)
{
    struct viot viot = {.node_offset = htole16(sizeof(viot))};
    struct viot_iommu node = {
        .type = VIOT_MMIO_IOMMU,
        .length = htole16(sizeof(node)),
        .base = htole64(iommu->mmio_base),
    };
    size_t start = begin_table(o, "VIOT", 0);
    unsigned int i, nodes = 1;

    for (i = 0; i < n; i++)
        nodes += devs[i].behind_iommu;
    viot.node_count = htole16(nodes);
    append(o, (uint8_t *)&viot + sizeof(viot.header),
           sizeof(viot) - sizeof(viot.header));
    append(o, &node, sizeof(node));
    for (i = 0; i < n; i++)
        if (devs[i].behind_iommu)
            add_endpoint(o, &devs[i]);
    end_table(o, start);
}

static int check_user(const void *user, size_t size, bool need_viot,
                      struct vr_err *err)
{
    int rc = vr_acpi_check(user, size, need_viot, err);

    if (rc)
        vr_err_front(err, USER_TABLES);
    return rc;
}

int vr_acpi_build(const struct vr_desc_dev *devs, unsigned int n,
                  const struct vr_desc_iommu *iommu, const void *user,
                  size_t user_size, void **out, size_t *out_size,
                  struct vr_err *err)
{
    struct out o = {.data = NULL};
    int rc;

    rc = check_devs(devs, n, iommu, err);
    if (!rc)
        rc = check_user(user, user_size, iommu != NULL, err);
    if (rc)
        return rc;
    /* Once to count, once to write. */
    for (;;) {
        append(&o, user, user_size);
        add_ssdt(&o, devs, n, iommu);
        if (iommu)
            add_viot(&o, devs, n, iommu);
        if (o.data)
            break;
        if (o.size > VR_ACPI_MAX_SIZE) {
            vr_err_set(err,
                       USER_TABLES
                       ": %zu bytes, and %zu "
                       "for the restricted devices: hvmloader has room for "
                       "%u: remove tables",
                       user_size, o.size - user_size, VR_ACPI_MAX_SIZE);
            return -E2BIG;
        }
        o.data = malloc(o.size);
        if (!o.data) {
            vr_err_set(err,
                       "virtio_restricted: ACPI: %zu bytes for tables: %s: "
                       "free memory in the toolstack domain",
                       o.size, strerror(ENOMEM));
            return -ENOMEM;
        }
        o.size = 0;
    }
    *out = o.data;
    *out_size = o.size;
    return 0;
}
