/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Local chains in pieces; for the backend's requests. */
#include <string.h>

#include "chain.h"

static void take_front(struct vr_split *s, uint8_t *to, uint32_t len)
{
    while (len) {
        struct iovec *v = s->out;
        size_t n = v->iov_len < len ? v->iov_len : len;

        memcpy(to, v->iov_base, n);
        to += n;
        len -= (uint32_t)n;
        v->iov_base = (uint8_t *)v->iov_base + n;
        v->iov_len -= n;
        if (!v->iov_len) {
            s->out++;
            s->nout--;
        }
    }
}

void vr_chain_split(struct vr_chain *chain, uint8_t *front, uint32_t len,
                    bool status, struct vr_split *split)
{
    struct iovec *last;

    split->out = chain->iov;
    split->nout = chain->nread;
    split->out_len = chain->read_len - len;
    split->in = chain->iov + chain->nread;
    split->nin = chain->nwrite;
    if (status) {
        last = &split->in[split->nin - 1];
        last->iov_len--;
        split->status = (uint8_t *)last->iov_base + last->iov_len;
        if (!last->iov_len)
            split->nin--;
    }
    take_front(split, front, len);
    /* The guest can change its memory; from here on the copy counts. */
    __asm__ volatile("" : : "r"(front) : "memory");
}

unsigned int vr_chain_join(struct iovec *iov, unsigned int n)
{
    unsigned int i, last = 0;

    for (i = 1; i < n; i++) {
        if ((uint8_t *)iov[last].iov_base + iov[last].iov_len ==
            (uint8_t *)iov[i].iov_base)
            iov[last].iov_len += iov[i].iov_len;
        else
            iov[++last] = iov[i];
    }
    return n ? last + 1 : 0;
}

void vr_chain_put(const struct iovec *iov, const void *src, uint32_t len)
{
    const uint8_t *from = src;

    for (; len; iov++) {
        uint32_t n = iov->iov_len < len ? (uint32_t)iov->iov_len : len;

        memcpy(iov->iov_base, from, n);
        from += n;
        len -= n;
    }
}
