/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One request of a vCPU, as Xen forwards it to an ioreq server (Xen
 * public/hvm/ioreq.h). Pure: works on a private copy.
 */
#ifndef VR_IOREQ_H
#define VR_IOREQ_H

#include "transport.h"

/* xen/hvm/ioreq.h wants the types of xen/xen.h first. */
#include <xen/xen.h>
#include <xen/hvm/ioreq.h>

/** struct ioreq_place - a piece of the guest's addresses, and what answers
 * for it. Configuration space that x86 guests reach by ports is a piece of
 * addresses of its own, as Xen numbers them: of each function behind 32 bits
 * more. */
struct ioreq_place {
    uint64_t base;
    uint64_t size; /* 0: nowhere, at present */
    const struct vr_face *face;
    void *of;
    void *owner; /* the caller's */
    bool config; /* PCI configuration space, not memory */
};

/**
 * ioreq_find() - the place that @req is for.
 * Returns its index, or -1: not a plain access to one of them.
 */
int ioreq_find(const struct ioreq_place *places, unsigned int n,
               const ioreq_t *req);

/**
 * ioreq_exec() - let what is there answer.
 * @req: data is set when the guest reads: bits above the size are zero.
 */
enum vr_vdev_result ioreq_exec(const struct ioreq_place *place, ioreq_t *req);

/** ioreq_refuse() - the answer of an empty bus: all ones, writes are lost. */
void ioreq_refuse(ioreq_t *req);

#endif /* VR_IOREQ_H */
