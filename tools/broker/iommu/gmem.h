/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's memory, as far as the virtio-iommu needs it: its rings, mapped
 * for as long as a queue is in service, and the requests, read and written
 * through a few pages that are mapped on demand and kept for a while.
 *
 * A mapping refers to the memory that a guest frame had when it was mapped. A
 * guest that gives a frame back and gets other memory for it (ballooning)
 * would be misunderstood through an old mapping. So gmem_flush() drops all
 * mappings but the rings' after GMEM_KEEP_MS, and Linux frees no ring in
 * service. Only that guest is concerned: Xen keeps the page until it is
 * unmapped.
 */
#ifndef VR_BROKER_GMEM_H
#define VR_BROKER_GMEM_H

#include <xenforeignmemory.h>

#include "libs/config/record.h"

#define GMEM_KEEP_MS 1000

#define GMEM_PAGES 64 /* power of two */

struct gmem {
    xenforeignmemory_handle *fm;
    uint32_t domid;
    const struct vr_record *rec; /* where its RAM is */
    bool used;                   /* something is kept */
    struct gmem_page {
        uint64_t gfn;
        uint8_t *va; /* NULL: free */
    } page[GMEM_PAGES];
};

/** gmem_init() - @fm: kept, restricted later; @rec: kept. */
void gmem_init(struct gmem *m, xenforeignmemory_handle *fm,
               const struct vr_record *rec);

/** gmem_is_ram() - are all of [@gfn, @gfn + @n) frames of the guest's RAM? */
bool gmem_is_ram(const struct gmem *m, uint64_t gfn, uint64_t n);

/**
 * gmem_map() - [@addr, @addr + @len) in one piece, for longer.
 * @len: bytes, at most 64 KiB. NULL when that is no RAM of the guest's.
 */
void *gmem_map(struct gmem *m, uint64_t addr, uint64_t len);

/** gmem_unmap() - what gmem_map() returned for the same @len. */
void gmem_unmap(struct gmem *m, void *p, uint64_t len);

/** gmem_read(), gmem_write() - copy. Return 0 or -EFAULT (no RAM). */
int gmem_read(struct gmem *m, uint64_t addr, void *dst, size_t len);
int gmem_write(struct gmem *m, uint64_t addr, const void *src, size_t len);

/** gmem_flush() - forget the pages that were kept. */
void gmem_flush(struct gmem *m);

#endif /* VR_BROKER_GMEM_H */
