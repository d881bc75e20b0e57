/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as the tables of acpi_firmware=, joined with ours. The first byte
 * chooses the guest's devices (whether one names its pool, or is a PCI
 * function), and whether the checksums are put right: few inputs would get far
 * otherwise. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libs/guest/acpi.h"

#define HEADER 36

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t length(const uint8_t *t)
{
    return t[4] | t[5] << 8 | t[6] << 16 | (size_t)t[7] << 24;
}

static uint8_t sum(const uint8_t *t, size_t size)
{
    uint8_t s = 0;

    while (size--)
        s += *t++;
    return s;
}

static void fix_checksums(uint8_t *t, size_t size)
{
    while (size >= HEADER && length(t) >= HEADER && length(t) <= size) {
        size_t n = length(t);

        t[9] -= sum(t, n);
        t += n;
        size -= n;
    }
}

/* hvmloader's walk: it believes every length, so all of them have to fit. */
static void walk(const uint8_t *t, size_t size, bool viot)
{
    unsigned int tables = 0, viots = 0;

    while (size) {
        assert(size >= HEADER);
        assert(length(t) >= HEADER && length(t) <= size);
        assert(!sum(t, length(t)));
        viots += !memcmp(t, "VIOT", 4);
        tables++;
        size -= length(t);
        t += length(t);
    }
    assert(tables <= VR_ACPI_MAX_TABLES);
    assert(!viot || viots == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_desc_dev devs[2] = {
        {.mmio_base = 0xfeb00000, .irq = 16, .pool_size = 1 << 20},
        {.mmio_base = 0xfeb00200,
         .irq = 17,
         .endpoint = 1,
         .pool_base = 1 << 20,
         .pool_size = 1 << 20},
    };
    struct vr_desc_iommu iommu = {.mmio_base = 0xfeb00400, .irq = 18};
    struct vr_err err = {""};
    void *out = NULL;
    size_t out_size;
    uint8_t *user;
    bool viot;
    int rc;

    if (!size)
        return 0;
    viot = devs[1].behind_iommu = data[0] & 1;
    devs[1].pool_unnamed = data[0] & 4;
    if (data[0] & 8) {
        devs[1].transport = VR_TRANSPORT_pci;
        devs[1].mmio_base = 31 << 15;
    }
    size--;
    user = malloc(size ? size : 1);
    if (!user)
        return 0;
    memcpy(user, data + 1, size);
    if (data[0] & 2)
        fix_checksums(user, size);
    rc = vr_acpi_check(user, size, viot, &err);
    /* One printable line, always. */
    assert(!rc || (err.text[0] && !strpbrk(err.text, "\n\r\033")));
    assert(vr_acpi_build(devs, 2, viot ? &iommu : NULL, user, size, &out,
                         &out_size, &err) == rc ||
           size > VR_ACPI_MAX_SIZE / 2);
    if (out) {
        assert(out_size > size && out_size <= VR_ACPI_MAX_SIZE);
        assert(!memcmp(out, user, size));
        walk(out, out_size, viot);
    }
    free(out);
    free(user);
    return 0;
}
