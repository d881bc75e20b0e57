/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control page, as ctrl.h has it: written by one side, read by the other,
 * which trusts nothing in it. Used by the broker's worker and by the backend.
 * Pure. */
#include <errno.h>
#include <string.h>

#include "ctrl.h"

/* A writer holds the page for well under a microsecond; a reader that meets
 * it again and again is being played with. */
#define MAX_TRIES 8

/* Device-type feature bits (virtio 1.2, 2.2): 0 to 23 and 50 and up. */
#define DEVICE_FEATURES (UINT64_C(0xffffff) | ~UINT64_C(0) << 50)

/*
 * Both records of the page are seqlocks with one writer each: odd while the
 * content changes. The generation skips 0, which means "never written".
 */
static uint32_t seq_begin(uint32_t *seq)
{
    uint32_t s = __atomic_load_n(seq, __ATOMIC_RELAXED);

    /* A writer that died half-way left it odd: go on from there. */
    s |= 1;
    __atomic_store_n(seq, s, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return s;
}

static uint32_t seq_end(uint32_t *seq, uint32_t s)
{
    s++;
    if (!s)
        s = 2;
    __atomic_store_n(seq, s, __ATOMIC_RELEASE);
    return s;
}

/* Copies @len bytes while the writer is away. Returns 0 or -EAGAIN. */
static int seq_copy(const uint32_t *seq, void *dst, const void *src, size_t len,
                    uint32_t *generation)
{
    unsigned int i;

    for (i = 0; i < MAX_TRIES; i++) {
        uint32_t s = __atomic_load_n(seq, __ATOMIC_ACQUIRE);

        if (s & 1)
            continue;
        memcpy(dst, src, len);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(seq, __ATOMIC_RELAXED) == s) {
            *generation = s;
            return 0;
        }
    }
    return -EAGAIN;
}

void vr_ctrl_init(struct vr_ctrl_page *page)
{
    memset(page, 0, sizeof(*page));
    page->version = VR_CTRL_VERSION;
    __atomic_store_n(&page->magic, VR_CTRL_MAGIC, __ATOMIC_RELEASE);
}

int vr_ctrl_check(const struct vr_ctrl_page *page)
{
    if (__atomic_load_n(&page->magic, __ATOMIC_ACQUIRE) != VR_CTRL_MAGIC ||
        __atomic_load_n(&page->version, __ATOMIC_RELAXED) != VR_CTRL_VERSION)
        return -EPROTO;
    return 0;
}

uint32_t vr_ctrl_publish(struct vr_ctrl_page *page,
                         const struct vr_ctrl_request *req)
{
    uint32_t s = seq_begin(&page->generation);

    memcpy(&page->req, req, sizeof(page->req));
    return seq_end(&page->generation, s);
}

static bool area_ok(uint64_t addr, uint64_t len)
{
    return addr <= UINT64_MAX - len;
}

static bool request_ok(const struct vr_ctrl_request *req)
{
    unsigned int i;

    if (req->run > 1 || req->nqueues > VR_MAX_QUEUES)
        return false;
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        const struct vr_ctrl_queue *q = &req->q[i];

        if (!q->epoch)
            continue;
        if (i >= req->nqueues || !q->size || q->size > VR_MAX_QUEUE_SIZE ||
            (q->size & (q->size - 1)))
            return false;
        if (!area_ok(q->desc, 16 * q->size) ||
            !area_ok(q->driver, 6 + 2 * q->size) ||
            !area_ok(q->device, 6 + 8 * q->size))
            return false;
    }
    return true;
}

int vr_ctrl_take(const struct vr_ctrl_page *page, struct vr_ctrl_request *req,
                 uint32_t *generation)
{
    int rc =
        seq_copy(&page->generation, req, &page->req, sizeof(*req), generation);

    if (rc)
        return rc;
    return request_ok(req) ? 0 : -EPROTO;
}

void vr_ctrl_ack(struct vr_ctrl_page *page, uint32_t generation)
{
    __atomic_store_n(&page->ack, generation, __ATOMIC_RELEASE);
}

bool vr_ctrl_acked(const struct vr_ctrl_page *page, uint32_t generation)
{
    return __atomic_load_n(&page->ack, __ATOMIC_ACQUIRE) == generation;
}

void vr_ctrl_set_device(struct vr_ctrl_page *page, uint64_t features,
                        const void *config, uint32_t len)
{
    struct vr_ctrl_device *dev = &page->dev;
    uint32_t s = seq_begin(&dev->config_generation);

    if (len > VR_CONFIG_LEN)
        len = VR_CONFIG_LEN;
    dev->features = features;
    dev->config_len = len;
    memset(dev->config, 0, sizeof(dev->config));
    memcpy(dev->config, config, len);
    seq_end(&dev->config_generation, s);
}

int vr_ctrl_take_device(const struct vr_ctrl_page *page,
                        struct vr_ctrl_device *dev)
{
    uint32_t generation;
    int rc = seq_copy(&page->dev.config_generation, dev, &page->dev,
                      sizeof(*dev), &generation);

    if (rc)
        return rc;
    if (!generation)
        return -EAGAIN;
    dev->config_generation = generation;
    if (dev->config_len > VR_CONFIG_LEN || (dev->features & ~DEVICE_FEATURES))
        return -EPROTO;
    return 0;
}

/* Figures of different ages, each of them whole. */
static void take_words(void *out, const void *in, size_t size)
{
    const uint64_t *from = in;
    uint64_t *to = out;
    size_t i;

    for (i = 0; i < size / sizeof(uint64_t); i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void vr_ctrl_take_counters(const struct vr_ctrl_page *page,
                           struct vr_ctrl_counters *out)
{
    _Static_assert(sizeof(*out) % sizeof(uint64_t) == 0, "whole words");
    take_words(out, &page->counters, sizeof(*out));
}

void vr_ctrl_take_figures(const struct vr_ctrl_page *page,
                          struct vr_survey_figures *out)
{
    _Static_assert(sizeof(*out) % sizeof(uint64_t) == 0, "whole words");
    take_words(out, &page->figures, sizeof(*out));
}

bool vr_ctrl_post(uint64_t *word, uint64_t bits)
{
    uint64_t old = __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);

    return (old & bits) != bits;
}

uint64_t vr_ctrl_collect(uint64_t *word)
{
    /* Looking first keeps the cache line shared while nothing happens. */
    if (!__atomic_load_n(word, __ATOMIC_SEQ_CST))
        return 0;
    return __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);
}
