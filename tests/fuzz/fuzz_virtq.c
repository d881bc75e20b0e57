/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A window full of hostile rings. The input is its content, behind a few
 * bytes that say where the rings are; while the device works, more of the
 * input is written over it. Each buffer handed out is touched, so that ASan
 * sees one that is not inside.
 */
#include <stdlib.h>
#include <string.h>

#include "../../tools/libs/virtq.h"

#define BASE UINT64_C(0x100000)
#define SIZE 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct head {
    uint16_t desc, driver, device;
    uint8_t shift, features;
    uint16_t last_avail, used_idx;
    uint64_t inflight;
};

static volatile uint8_t sink;

static void touch(const struct vr_chain *c)
{
    unsigned int i, n = c->nread + c->nwrite;

    if (n > VR_CHAIN_MAX)
        abort();
    for (i = 0; i < n; i++) {
        uint8_t *p = c->iov[i].iov_base;

        sink = p[0] + p[c->iov[i].iov_len - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_ctrl_resume log = {.epoch = 1};
    struct vr_window win = {.base = BASE, .size = SIZE};
    struct vr_ctrl_queue cfg = {.epoch = 1};
    static struct vr_chain chain;
    unsigned int i, n;
    struct vr_vq vq;
    struct head h;

    if (size < sizeof(h))
        return 0;
    memcpy(&h, data, sizeof(h));
    data += sizeof(h);
    size -= sizeof(h);
    win.va = aligned_alloc(4096, SIZE);
    memset(win.va, 0, SIZE);
    n = size < SIZE ? size : SIZE;
    memcpy(win.va, data, n);

    cfg.desc = BASE + h.desc;
    cfg.driver = BASE + h.driver;
    cfg.device = BASE + h.device;
    cfg.size = 1u << (h.shift % 10);
    log.last_avail = h.last_avail;
    log.used_idx = h.used_idx;
    log.inflight[0] = h.inflight;
    vr_vq_init(&vq);
    if (!vr_vq_start(&vq, &win, &cfg, (uint64_t)h.features << 24,
                     h.features & 1 ? &log : NULL)) {
        while (vr_vq_pop_resumed(&vq, &chain) > 0) {
            touch(&chain);
            vr_vq_push(&vq, chain.head, chain.write_len);
        }
        for (i = 0; i < 600 && vr_vq_pop(&vq, &chain) > 0; i++) {
            touch(&chain);
            if (i & 1 || h.features & 2)
                vr_vq_push(&vq, chain.head, 1);
            if (i & 2)
                vr_vq_publish(&vq);
            if (size > SIZE + i)
                win.va[data[SIZE + i] * 32u] ^= data[i];
        }
        vr_vq_publish(&vq);
        sink = vr_vq_should_notify(&vq);
        sink = vr_vq_enable_kicks(&vq);
        vr_vq_disable_kicks(&vq);
    }
    free(win.va);
    return 0;
}
