/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HVMLOAD_STUB_H
#define HVMLOAD_STUB_H

/* Where the boot protocol puts a kernel's protected-mode code. */
#define STUB_AT 0x100000

#ifndef __ASSEMBLER__
#include <stdint.h>

/* What stub.S needs to know; all are physical addresses, or a size. */
struct values {
    uint32_t initrd;
    uint32_t initrd_size;
    uint32_t page_table;
    uint32_t entry;
};

extern const char stub[], stub_values[], stub_end[];
#endif

#endif
