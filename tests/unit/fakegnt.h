/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's memory and grant table, as a backend in dynamic mode sees them
 * (dynmem.h), made of a memory file: what is mapped is really mapped page by
 * page, with the rights asked for, and really gone when it was unmapped. The
 * table is shared memory, so that a test can play the guest from another
 * process.
 */
#ifndef TEST_FAKEGNT_H
#define TEST_FAKEGNT_H

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/memory/dynmem.h"

#define FAKE_GREF      5000u /* of the first page */
#define FAKE_MAX_PAGES 16384u
#define FAKE_BAD_REF   (-3) /* GNTST_bad_gntref */
#define FAKE_DENIED    (-8) /* GNTST_permission_denied */

enum fake_right { FAKE_NONE, FAKE_READ, FAKE_WRITE };

struct fake_table {
    uint8_t right[FAKE_MAX_PAGES];
    uint16_t pins[FAKE_MAX_PAGES]; /* how often it is mapped */
    unsigned int copies, maps, unmaps;
    unsigned int refuse_maps; /* so many, from now on */
    unsigned int fail_copies; /* as a whole */
    unsigned int copy_delay_us;
    unsigned int most_pins, now_pins;
};

struct fake_map {
    struct fake_map *next;
    void *p; /* NULL: unmapped, not settled */
    unsigned int n;
    uint32_t refs[];
};

struct fakegnt {
    int fd; /* the guest's memory */
    uint8_t *mem;
    unsigned int pages;
    struct fake_table *table;
    struct fake_map *maps; /* of this process */
};

static inline void fake_open(struct fakegnt *g, unsigned int pages)
{
    memset(g, 0, sizeof(*g));
    g->pages = pages;
    g->fd = memfd_create("guest", MFD_CLOEXEC);
    if (g->fd < 0 || ftruncate(g->fd, pages * VR_PAGE_SIZE))
        abort();
    g->mem = mmap(NULL, pages * VR_PAGE_SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED, g->fd, 0);
    g->table = mmap(NULL, sizeof(*g->table), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(g->table->right, FAKE_WRITE, pages);
}

static inline void fake_close(struct fakegnt *g)
{
    munmap(g->mem, g->pages * VR_PAGE_SIZE);
    munmap(g->table, sizeof(*g->table));
    close(g->fd);
}

/* Changes the rights to the pages of [@off, @off + @len). */
static inline void fake_set(struct fakegnt *g, uint64_t off, uint64_t len,
                            enum fake_right right)
{
    uint64_t i;

    for (i = off / VR_PAGE_SIZE; i * VR_PAGE_SIZE < off + len; i++)
        __atomic_store_n(&g->table->right[i], right, __ATOMIC_SEQ_CST);
}

/* How many pages are mapped. */
static inline unsigned int fake_pins(const struct fakegnt *g)
{
    return __atomic_load_n(&g->table->now_pins, __ATOMIC_SEQ_CST);
}

/* What a kernel does when the process that has them mapped is killed. */
static inline void fake_reap(struct fakegnt *g)
{
    memset(g->table->pins, 0, sizeof(g->table->pins));
    g->table->now_pins = 0;
}

static inline int fake_check(const struct fakegnt *g, uint32_t ref, bool write)
{
    uint8_t right;

    if (ref < FAKE_GREF || ref - FAKE_GREF >= g->pages)
        abort(); /* no plan may name it */
    right =
        __atomic_load_n(&g->table->right[ref - FAKE_GREF], __ATOMIC_SEQ_CST);
    if (right == FAKE_NONE)
        return FAKE_BAD_REF;
    return write && right != FAKE_WRITE ? FAKE_DENIED : 0;
}

static inline void *fake_alloc(void *ctx, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)ctx;
    return p == MAP_FAILED ? NULL : p;
}

static inline void fake_settle(void *ctx);

static inline void *fake_map(void *ctx, const uint32_t *refs, unsigned int n,
                             bool write)
{
    struct fakegnt *g = ctx;
    struct fake_map *m;
    unsigned int i;
    uint8_t *p;

    fake_settle(g);
    if (g->table->refuse_maps) {
        g->table->refuse_maps--;
        return NULL;
    }
    for (i = 0; i < n; i++) {
        if (fake_check(g, refs[i], write))
            return NULL;
    }
    p = mmap(NULL, n * VR_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
             0);
    m = malloc(sizeof(*m) + n * sizeof(*refs));
    if (p == MAP_FAILED || !m)
        abort();
    for (i = 0; i < n; i++) {
        if (mmap(p + i * VR_PAGE_SIZE, VR_PAGE_SIZE,
                 PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED | MAP_FIXED,
                 g->fd,
                 (off_t)((refs[i] - FAKE_GREF) * VR_PAGE_SIZE)) == MAP_FAILED)
            abort();
        g->table->pins[refs[i] - FAKE_GREF]++;
    }
    g->table->maps++;
    g->table->now_pins += n;
    if (g->table->now_pins > g->table->most_pins)
        g->table->most_pins = g->table->now_pins;
    m->p = p;
    m->n = n;
    memcpy(m->refs, refs, n * sizeof(*refs));
    m->next = g->maps;
    g->maps = m;
    return p;
}

/* The pages stay pinned until this is settled. */
static inline void fake_unmap(void *ctx, void *p, unsigned int n)
{
    struct fakegnt *g = ctx;
    struct fake_map *m = g->maps;

    while (m && m->p != p)
        m = m->next;
    if (!m || m->n != n)
        abort(); /* not what was mapped */
    munmap(p, n * VR_PAGE_SIZE);
    m->p = NULL;
}

static inline void fake_settle(void *ctx)
{
    struct fakegnt *g = ctx;
    struct fake_map **at = &g->maps, *m;
    unsigned int i;

    while ((m = *at)) {
        if (m->p) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        for (i = 0; i < m->n; i++)
            g->table->pins[m->refs[i] - FAKE_GREF]--;
        g->table->unmaps++;
        g->table->now_pins -= m->n;
        free(m);
    }
}

static inline int fake_copy(void *ctx, struct vr_gseg *seg, unsigned int n)
{
    struct fakegnt *g = ctx;
    unsigned int i;

    fake_settle(g);
    g->table->copies++;
    /* By a call that a worker's filter has. */
    if (g->table->copy_delay_us)
        ppoll(NULL, 0,
              &(struct timespec){.tv_nsec = g->table->copy_delay_us * 1000},
              NULL);
    if (g->table->fail_copies) {
        g->table->fail_copies--;
        return -5;
    }
    for (i = 0; i < n; i++) {
        uint8_t *there;

        if (!seg[i].len || seg[i].offset + seg[i].len > (int)VR_PAGE_SIZE)
            abort();
        seg[i].status = fake_check(g, seg[i].ref, seg[i].to_guest);
        if (seg[i].status)
            continue;
        there =
            g->mem + (seg[i].ref - FAKE_GREF) * VR_PAGE_SIZE + seg[i].offset;
        if (seg[i].to_guest)
            memcpy(there, seg[i].local, seg[i].len);
        else
            memcpy(seg[i].local, there, seg[i].len);
    }
    return 0;
}

static const struct vr_dynmem_ops fake_ops __attribute__((unused)) = {
    .alloc = fake_alloc,
    .map = fake_map,
    .unmap = fake_unmap,
    .settle = fake_settle,
    .copy = fake_copy,
    .per_call = 16,
};

#endif /* TEST_FAKEGNT_H */
