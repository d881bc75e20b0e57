/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two files share: exec_remote.c, which carries out the requests of a
 * remote window, and remote_payload.c, which knows where their payload is.
 */
#ifndef VR_REMOTE_H
#define VR_REMOTE_H

#include "libs/window/bounce.h"
#include "backend/memory/dynmem.h"
#include "loop_int.h"

enum dir { DIR_NONE, DIR_READ, DIR_WRITE };

struct rslot {
    struct slot s; /* first */
    struct rslot *next;
    struct vr_blk_req req;
    enum dir dir; /* which way payload would go, from the lengths */
    bool decoded;
    bool answered; /* the copy of the status is gathered */
    bool amended;  /* ... once more, as the payload was refused */
    bool refused;  /* a copy was refused */
    bool mute;     /* ... that of the status */
    bool pooled;   /* all of it is in the pool: carried out by exec_local */
    uint8_t status;
    uint8_t head[VR_BLK_HEAD_MAX];
    uint32_t head_len;
    uint32_t out_len, in_len; /* readable, and writable but for the status */
    uint32_t payload, moved, chunk;
    uint8_t *bounce;
    void *map;
    unsigned int pages; /* of bounce or map */
    unsigned int niov;
    struct iovec iov[VR_CHAIN_MAX];
};

/* Requests in the order in which they came. */
struct list {
    struct rslot *first, **last;
};

struct remote {
    struct vr_dynmem *mem;
    struct vr_bounce bounce;
    void *bounce_mem;
    struct list fetching, storing; /* their copies are gathered */
    bool ended;
};

/*
 * What the lengths of the chain say; nothing of the request was read. Resets
 * all that is known of it. Returns false when it is more than the device
 * offers.
 */
bool payload_measure(const struct vr_loop *l, struct rslot *r);

/* Finds room for the first chunk. False: not now. */
bool payload_room(struct vr_loop *l, struct rslot *r);

/* The next chunk of a request that has room. False: its pages cannot be
 * mapped. */
bool payload_advance(struct vr_loop *l, struct rslot *r);

/* Gives back what payload_room() found. */
void payload_release(struct vr_loop *l, struct rslot *r);

/* Lets go of the guest's pages; bounce memory stays. */
void payload_unmap(struct vr_loop *l, struct rslot *r);

/* Gather the copy of the chunk, from or to the guest. */
void payload_fetch(struct vr_loop *l, struct rslot *r);
void payload_store(struct vr_loop *l, struct rslot *r);

/* Device address of the chunk's first byte. */
uint64_t payload_addr(const struct rslot *r);

/* Takes note of all of it, for the counters. */
void payload_note(struct vr_loop *l, const struct rslot *r);

#endif /* VR_REMOTE_H */
