/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the place that a vCPU's access is for, and has it answered. Called by
 * the broker's worker, on its own copy of the request. Pure. */
#include "ioreq.h"

/* A repeated access (x86 only) that would leave the place is not ours; this
 * also bounds the number of repetitions. */
static bool fits(const struct ioreq_place *place, const ioreq_t *req)
{
    const uint64_t size = place->size;
    uint64_t off = req->addr - place->base;
    uint64_t span;

    if (req->addr < place->base || off >= size)
        return false;
    if (req->count == 1)
        return req->size <= size - off;
    if (!req->count || req->count > size)
        return false;
    span = (uint64_t)req->count * req->size;
    if (req->df)
        return span - req->size <= off && req->size <= size - off;
    return span <= size - off;
}

int ioreq_find(const struct ioreq_place *places, unsigned int n,
               const ioreq_t *req)
{
    const bool config = req->type == IOREQ_TYPE_PCI_CONFIG;
    unsigned int i;

    /* data_is_ptr: the data stands in guest memory, where we do not go. */
    if ((req->type != IOREQ_TYPE_COPY && !config) || req->data_is_ptr)
        return -1;
    if (req->size != 1 && req->size != 2 && req->size != 4 && req->size != 8)
        return -1;
    for (i = 0; i < n; i++)
        if (places[i].config == config && fits(&places[i], req))
            return i;
    return -1;
}

enum vr_vdev_result ioreq_exec(const struct ioreq_place *place, ioreq_t *req)
{
    enum vr_vdev_result result = VR_VDEV_DONE;
    uint64_t off = req->addr - place->base;
    uint32_t i;

    for (i = 0; i < req->count; i++) {
        if (req->dir == IOREQ_READ)
            req->data = place->face->read(place->of, off, req->size);
        else if (place->face->write(place->of, off, req->size, req->data) ==
                 VR_VDEV_PENDING)
            result = VR_VDEV_PENDING;
        off = req->df ? off - req->size : off + req->size;
    }
    return result;
}

void ioreq_refuse(ioreq_t *req)
{
    if (req->dir == IOREQ_READ)
        req->data = UINT64_MAX;
}
