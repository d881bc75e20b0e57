/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See count.h. Called by the backend's loop. */
#include <string.h>

#include "count.h"

void vr_survey_begin(struct vr_survey_count *c, struct vr_survey_figures *f,
                     uint64_t session, int64_t now)
{
    memset(c, 0, sizeof(*c));
    memset(f, 0, sizeof(*f));
    c->f = f;
    c->began = now;
    f->session = session;
}

static unsigned int aligned(uint64_t addr)
{
    if (!(addr & (VR_PAGE_SIZE - 1)))
        return 0;
    return !(addr & 511) ? 1 : !(addr & 15) ? 2 : 3;
}

static uint64_t pages_of(uint64_t addr, uint64_t len)
{
    return ((addr & (VR_PAGE_SIZE - 1)) + len + VR_PAGE_SIZE - 1) >>
           VR_PAGE_SHIFT;
}

/* Each class goes four times as far as the one before it. */
static unsigned int quarter(uint64_t value, uint64_t least, unsigned int n)
{
    return vr_survey_class(value, least, 2 * n) / 2;
}

/* Was its first page met before, and how far is it from what was there? */
static void remember(struct vr_survey_count *c, uint64_t addr, uint64_t len)
{
    const uint64_t page = (addr >> VR_PAGE_SHIFT) + 1;
    const uint32_t begin = addr & (VR_PAGE_SIZE - 1);
    /* Pages that adjoin are likely to be met together. */
    struct vr_survey_page *p = &c->page[page % VR_SURVEY_PAGES];
    unsigned int again = VR_SURVEY_AGAIN - 1;
    uint32_t end = VR_PAGE_SIZE;

    if (len < VR_PAGE_SIZE - begin)
        end = begin + (uint32_t)len;
    c->met++;
    if (p->page == page) {
        again = quarter(c->met - p->met, 1, VR_SURVEY_AGAIN - 1);
        if (begin >= p->end)
            c->f->apart[quarter(begin - p->end, 16, VR_SURVEY_APART)]++;
        else if (end <= p->begin)
            c->f->apart[quarter(p->begin - end, 16, VR_SURVEY_APART)]++;
    }
    c->f->again[again]++;
    *p = (struct vr_survey_page){page, c->met, begin, end};
}

static void count(struct vr_survey_count *c, uint64_t addr, uint64_t len)
{
    struct vr_survey_size *s =
        &c->f->size[vr_survey_class(len, VR_SURVEY_LEAST, VR_SURVEY_SIZES)];

    s->buffers++;
    s->bytes += len;
    s->pages += pages_of(addr, len);
    if (!((addr | len) & (VR_PAGE_SIZE - 1)))
        s->whole += len;
    c->f->align[aligned(addr)]++;
    remember(c, addr, len);
}

static void most(uint64_t *most, uint64_t now)
{
    if (now > *most)
        *most = now;
}

static void end(struct vr_survey_count *c, const struct vr_survey_chain *chain,
                int64_t now)
{
    const int64_t took = now - chain->start;

    c->f->time[vr_survey_class(took > 0 ? (uint64_t)took : 0, 1000,
                               VR_SURVEY_TIMES)]++;
    c->requests--;
    c->bytes -= chain->bytes;
    c->small -= chain->small;
    c->pages -= chain->pages;
}

/* What its buffers, and the table of them, take of a pool. */
static void measure(struct vr_survey_chain *mine, const struct vr_chain *chain,
                    bool local)
{
    const unsigned int n = chain->nread + chain->nwrite;
    uint32_t small = 0, pages = 0;
    unsigned int i;

    for (i = 0; i < n; i++) {
        uint64_t len = local ? chain->iov[i].iov_len : chain->buf[i].len;

        if (len <= VR_SURVEY_SMALL)
            small++;
        else
            pages += (uint32_t)pages_of(0, len);
    }
    if (n > 1 && 16 * n <= VR_SURVEY_SMALL)
        small++;
    else if (n > 1)
        pages++;
    mine->small = small;
    mine->pages = pages;
    mine->bytes = (uint64_t)chain->read_len + chain->write_len;
}

static void look(struct vr_survey_count *c, const struct vr_chain *chain,
                 bool local)
{
    const unsigned int n = chain->nread + chain->nwrite;
    unsigned int i;

    c->f->looked++;
    for (i = 0; i < n; i++) {
        if (local)
            count(c, (uintptr_t)chain->iov[i].iov_base, chain->iov[i].iov_len);
        else
            count(c, chain->buf[i].addr, chain->buf[i].len);
    }
}

void vr_survey_take(struct vr_survey_count *c, unsigned int q,
                    const struct vr_chain *chain, bool local, int64_t now)
{
    const unsigned int head = chain->head;
    const uint64_t bit = UINT64_C(1) << head % 64, number = c->f->requests++;
    struct vr_survey_chain *mine = &c->chain[q][head];
    uint64_t *taken = &c->taken[q][head / 64];

    /* It has ended, and was used anew within one round. */
    if (*taken & bit)
        end(c, mine, now);
    *taken |= bit;
    mine->start = now;
    measure(mine, chain, local);
    if (c->met < VR_SURVEY_ALL || number % VR_SURVEY_EVERY < VR_SURVEY_RUN)
        look(c, chain, local);
    else
        c->met += chain->nread + chain->nwrite;
    c->f->out_bytes += chain->read_len;
    c->f->in_bytes += chain->write_len;
    most(&c->f->most_requests, ++c->requests);
    most(&c->f->most_bytes, c->bytes += mine->bytes);
    most(&c->f->most_small, c->small += mine->small);
    most(&c->f->most_pages, c->pages += mine->pages);
}

void vr_survey_look(struct vr_survey_count *c, unsigned int q,
                    const uint64_t *busy, int64_t now)
{
    unsigned int i;

    for (i = 0; i < VR_MAX_QUEUE_SIZE / 64; i++) {
        uint64_t gone = c->taken[q][i] & ~(busy ? busy[i] : 0);

        c->taken[q][i] &= ~gone;
        for (; gone; gone &= gone - 1)
            end(c, &c->chain[q][64 * i + (unsigned int)__builtin_ctzll(gone)],
                now);
    }
    c->f->ns = (uint64_t)(now - c->began);
}
