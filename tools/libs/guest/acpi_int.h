/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files that know ACPI tables share: acpi.c builds ours, acpi_user.c
 * checks those of the user. */
#ifndef VR_ACPI_INT_H
#define VR_ACPI_INT_H

#include <assert.h>

#include "acpi.h"

/* The OEM table id of ours. */
#define VR_ACPI_TABLE_ID "VIRTIORS"

/* ACPI 6.4, 5.2.6 */
struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));

static_assert(sizeof(struct acpi_header) == 36, "table header");

/** acpi_sum() - its bytes, added up: 0 for a whole table. */
uint8_t acpi_sum(const void *table, size_t size);

#endif /* VR_ACPI_INT_H */
