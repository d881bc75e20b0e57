/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line of a kernel's trace, as /sys/kernel/tracing/trace has it, becomes
 * what a driver did with a piece of memory. Nothing here reads files: the lines
 * come from record.c, or from a test.
 *
 * The text is that of include/trace/events/{dma,iommu,swiotlb}.h in Linux 6.12.
 */
#ifndef SURVEY_EVENTS_H
#define SURVEY_EVENTS_H

#include <stdint.h>

enum sv_kind {
    SV_MAP,     /* dma_map_page: one piece */
    SV_UNMAP,   /* dma_unmap_page */
    SV_SG,      /* one piece of a dma_map_sg */
    SV_SGMORE,  /* how many pieces of that dma_map_sg the kernel left out */
    SV_UNSG,    /* one piece of a dma_unmap_sg: its address in memory */
    SV_FAIL,    /* dma_map_sg_err */
    SV_ALLOC,   /* dma_alloc, dma_alloc_pages: rings and the like */
    SV_FREE,    /* dma_free, dma_free_pages */
    SV_IOMAP,   /* what the IOMMU was told, of any device */
    SV_IOUNMAP, /* ... taken back */
    SV_BOUNCE,  /* swiotlb_bounced */
    SV_MARK,    /* text that the load wrote to trace_marker */
    SV_KINDS
};

enum sv_dir { SV_NONE, SV_TO_DEVICE, SV_FROM_DEVICE, SV_BOTH };

/* What an event has not is 0. */
struct sv_event {
    enum sv_kind kind;
    enum sv_dir dir;
    uint64_t us;   /* the trace's clock */
    uint64_t dma;  /* address the device uses */
    uint64_t phys; /* address in the guest's memory */
    uint64_t size; /* bytes; SV_SGMORE: pieces */
    char text[32]; /* SV_MARK */
};

/* The longest line: 128 pieces of a dma_map_sg, each with three numbers. */
#define SV_MAX_LINE 16384

typedef void sv_emit_fn(const struct sv_event *ev, void *arg);

/* Calls emit for each event of the line, without its newline, in the order in
 * which they stand there. Returns how many; 0: a comment, or an event of
 * another kind; -1: one of these events, but not as it should be. */
int sv_parse(const char *line, sv_emit_fn *emit, void *arg);

/* The word for a kind or a direction in the file that record.c writes. */
const char *sv_kind_name(enum sv_kind kind);
const char *sv_dir_name(enum sv_dir dir);

#endif
