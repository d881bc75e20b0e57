/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two files share: remote.c, which carries out the requests of a remote
 * window, and payload.c, which knows where their data are.
 */
#ifndef VR_REMOTE_H
#define VR_REMOTE_H

#include "libs/window/bounce.h"
#include "backend/serve.h"
#include "dynmem.h"

struct remote_request {
    struct vr_request r; /* first */
    struct remote_request *next;
    enum vr_dir dir; /* which way data would go, from the lengths */
    bool started;    /* by the type */
    bool answered;   /* the copy of the status is gathered */
    bool amended;    /* ... once more, as the payload was refused */
    bool refused;    /* a copy was refused */
    bool mute;       /* ... that of the status */
    uint8_t status;
    uint32_t front_len;
    uint32_t payload, chunk; /* bytes: in all, and at once */
    uint8_t *bounce;
    void *map;
    unsigned int pages; /* of bounce or map */
    struct iovec iov[VR_CHAIN_MAX];
};

/* Requests in the order in which they came. */
struct remote_list {
    struct remote_request *first, **last;
};

struct vr_remote {
    struct vr_dynmem *mem;
    struct vr_bounce bounce;
    void *bounce_mem;
    struct remote_list fetching, storing; /* their copies are gathered */
    bool ended;
};

/*
 * What the lengths of the chain say; nothing of the request was read. Resets
 * all that is known of it. Returns false when it is more than the device
 * offers.
 */
bool vr_payload_measure(const struct vr_dev *d, struct remote_request *r);

/* Finds room for the first chunk. False: not now. */
bool vr_payload_room(struct vr_dev *d, struct remote_request *r);

/* The next chunk of a request that has room. False: its pages cannot be
 * mapped. */
bool vr_payload_advance(struct vr_dev *d, struct remote_request *r);

/* The chunk as the type sees it: iov, niov, foreign, len. */
void vr_payload_show(struct remote_request *r);

/* Gives back what vr_payload_room() found. */
void vr_payload_release(struct vr_dev *d, struct remote_request *r);

/* Lets go of the guest's pages; bounce memory stays. */
void vr_payload_unmap(struct vr_dev *d, struct remote_request *r);

/* Gather the copy of the chunk, from or to the guest. */
void vr_payload_fetch(struct vr_dev *d, struct remote_request *r);
void vr_payload_store(struct vr_dev *d, struct remote_request *r);

/* Device address of the chunk's first byte. */
uint64_t vr_payload_addr(const struct remote_request *r);

/* Takes note of all of it, for the counters. */
void vr_payload_note(struct vr_dev *d, const struct remote_request *r);

#endif /* VR_REMOTE_H */
