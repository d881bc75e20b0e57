/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The requests of a virtio-iommu (virtio 1.2 and later, 5.13): bytes in, bytes
 * out. Pure: the page table is reached through a table of operations, memory
 * for the bookkeeping is the caller's, nothing is allocated, no time is kept.
 * What a request costs depends neither on the number of mappings nor, but for
 * one step per 64 pages of the range that it names, on the window's size.
 *
 * Each endpoint has a window of I/O virtual addresses (IOVA) of its own, and
 * is told by PROBE that all the rest of the input range is reserved. A domain
 * is given to the endpoint that is attached to it, and because no two windows
 * have an address in common, to that endpoint alone: another one's ATTACH is
 * answered UNSUPP. A domain exists from that ATTACH to the endpoint's DETACH.
 * There is no bypass: an endpoint that is not attached reaches nothing.
 *
 * Access cannot always be taken back at once, because another domain may be
 * in the middle of using it. But the answer to UNMAP, DETACH or ATTACH promises
 * that it has been. So vr_viommu_request() returns PENDING until it has, and
 * the caller brings the same request again later. Meanwhile:
 *
 * - Pages already taken back do not count as mapped any more; the others do. So
 *   the bookkeeping agrees with the page table at any time.
 * - No later request is begun. (It would do no harm if one were.)
 * - A device reset may come: then the caller drops the request without an
 *   answer and calls vr_viommu_reset(), which takes back everything.
 *
 * A request that is answered with anything but OK has changed nothing.
 */
#ifndef VR_VIOMMU_H
#define VR_VIOMMU_H

#include "libs/window/iovamap.h"

#define VR_VIOMMU_DEVICE_ID 23
#define VR_VIOMMU_REQUESTQ  0
#define VR_VIOMMU_EVENTQ    1
#define VR_VIOMMU_NQUEUES   2

/* Feature bits (5.13.3) */
#define VR_VIOMMU_F_INPUT_RANGE   (UINT64_C(1) << 0)
#define VR_VIOMMU_F_DOMAIN_RANGE  (UINT64_C(1) << 1)
#define VR_VIOMMU_F_MAP_UNMAP     (UINT64_C(1) << 2)
#define VR_VIOMMU_F_BYPASS        (UINT64_C(1) << 3) /* never offered */
#define VR_VIOMMU_F_PROBE         (UINT64_C(1) << 4)
#define VR_VIOMMU_F_MMIO          (UINT64_C(1) << 5) /* never offered */
#define VR_VIOMMU_F_BYPASS_CONFIG (UINT64_C(1) << 6) /* never offered */
/* What the device offers, apart from the transport's bits. */
#define VR_VIOMMU_FEATURES                                                     \
    (VR_VIOMMU_F_INPUT_RANGE | VR_VIOMMU_F_DOMAIN_RANGE |                      \
     VR_VIOMMU_F_MAP_UNMAP | VR_VIOMMU_F_PROBE)

/* Request types and status codes (5.13.6) */
#define VR_VIOMMU_T_ATTACH 1
#define VR_VIOMMU_T_DETACH 2
#define VR_VIOMMU_T_MAP    3
#define VR_VIOMMU_T_UNMAP  4
#define VR_VIOMMU_T_PROBE  5

#define VR_VIOMMU_S_OK     0
#define VR_VIOMMU_S_IOERR  1
#define VR_VIOMMU_S_UNSUPP 2
#define VR_VIOMMU_S_DEVERR 3
#define VR_VIOMMU_S_INVAL  4
#define VR_VIOMMU_S_RANGE  5
#define VR_VIOMMU_S_NOENT  6
#define VR_VIOMMU_S_FAULT  7
#define VR_VIOMMU_S_NOMEM  8

/* MAP's flags (5.13.6.5) */
#define VR_VIOMMU_MAP_READ  1u
#define VR_VIOMMU_MAP_WRITE 2u

/* A fault's reasons and flags (5.13.6.9) */
#define VR_VIOMMU_FAULT_R_UNKNOWN 0
#define VR_VIOMMU_FAULT_R_DOMAIN  1
#define VR_VIOMMU_FAULT_R_MAPPING 2
#define VR_VIOMMU_FAULT_READ      1u
#define VR_VIOMMU_FAULT_WRITE     2u
#define VR_VIOMMU_FAULT_ADDRESS   0x100u

/* A property of a PROBE answer that is not the standard's: the endpoint's pool
 * (docs/proposals/restricted-dma-pool.md has its layout, and why this number).
 */
#define VR_VIOMMU_PROBE_T_POOL   0xfffu
#define VR_VIOMMU_POOL_SIGNATURE "VRDP"

#define VR_VIOMMU_CONFIG_LEN 40u
#define VR_VIOMMU_PROBE_SIZE 512u
#define VR_VIOMMU_FAULT_LEN  24u
/* The longest request, PROBE: no more of a device-readable part is looked at,
 * and no more of a device-writable part, with its tail, is written. */
#define VR_VIOMMU_IN_MAX  72u
#define VR_VIOMMU_OUT_MAX (VR_VIOMMU_PROBE_SIZE + 4u)

enum vr_viommu_result {
    VR_VIOMMU_DONE,
    VR_VIOMMU_PENDING, /* access is still being taken back: call again */
};

/* The page table. Pages are numbered from the start of the endpoint's window;
 * ranges are never empty and never leave it. Operations must not call back
 * into the processor. */
struct vr_viommu_ops {
    /*
     * Let the endpoint's device reach @npages consecutive guest frames from
     * @gfn on, at the pages from @first on. Called only for pages that are not
     * mapped. @gfn is any 52-bit number and may be no RAM of the guest's.
     *
     * Returns 0, or a negative value when nothing has changed: -EINVAL (a
     * frame is not the guest's own ordinary RAM), -EBUSY (the first page's
     * entry in the page table is not free), -ENOMEM. Returns n > 0 when a
     * later page's entry turned out not to be free: the first n pages are open
     * then, and the processor takes them back by unmap() before it answers.
     */
    int (*map)(void *ctx, unsigned int ep, uint32_t first, uint32_t npages,
               uint64_t gfn, bool readonly);
    /*
     * Take back as many as possible of @npages (1 to 64) pages from @first on.
     * Called only for pages that map() has opened and that have not been taken
     * back yet.
     * @now: the endpoint is being detached, so no access of its device has to
     * be completed; otherwise an access under way may end first.
     *
     * Returns the pages that may still be reached, bit 0 being @first; the
     * processor will ask for these again. 0: none can be reached any more, for
     * certain.
     */
    uint64_t (*unmap)(void *ctx, unsigned int ep, uint32_t first,
                      uint32_t npages, bool now);
};

struct vr_viommu_ep_desc {
    bool present;    /* false: there is no endpoint of this number */
    uint64_t base;   /* first address of its window, a multiple of 4096 */
    uint32_t npages; /* 1 .. VR_IOVAMAP_MAX_PAGES */
    /* What PROBE says of its pool, guest physical, whole pages. Size 0:
     * nothing, because it has none or firmware has told already. */
    uint64_t pool_base, pool_size;
    /* Where its messages go to, which are no accesses to memory: the driver
     * need not map that. Size 0: nothing is to be said of it. */
    uint64_t msi_base, msi_size;
};

/* Ends of ranges are inclusive, as in the config space. */
struct vr_viommu_desc {
    uint64_t input_start, input_end; /* whole pages */
    uint32_t domain_start, domain_end;
    unsigned int neps; /* 1 .. VR_MAX_DEVICES; index = endpoint id */
    struct vr_viommu_ep_desc ep[VR_MAX_DEVICES];
};

struct vr_viommu_ep {
    struct vr_iovamap map;
    uint64_t base, last;           /* window, as byte addresses, inclusive */
    uint64_t pool_base, pool_size; /* for PROBE; size 0: says nothing */
    uint64_t msi_base, msi_size;   /* the same */
    uint32_t domain;               /* when attached */
    bool present;
    bool attached;
    bool leaving; /* being detached: not all is taken back yet */
};

struct vr_viommu {
    /* private to viommu.c */
    const struct vr_viommu_ops *ops;
    void *ctx;
    uint64_t features; /* negotiated */
    unsigned int neps;
    bool resetting; /* not all is taken back yet */
    /* Where a MAP failed half-way: to be taken back. NULL: there is none. */
    struct vr_viommu_ep *undo;
    uint32_t undo_first, undo_last;
    uint64_t input_start, input_end;
    uint32_t domain_start, domain_end;
    uint8_t hint[VR_MAX_DEVICES]; /* where to look first, by domain */
    struct vr_viommu_ep ep[VR_MAX_DEVICES];
};

/**
 * vr_viommu_memory() - bytes of memory for the bookkeeping: 2 bits per page of
 * each window, rounded up to 16 bytes for each window.
 */
size_t vr_viommu_memory(const struct vr_viommu_desc *desc);

/**
 * vr_viommu_init() - a device after power-on: no endpoint attached, no feature
 * negotiated.
 * @ops: kept, not copied.
 * @mem: @size bytes, aligned for uint64_t; stays the caller's and must outlive
 * @v.
 *
 * Returns 0, -EINVAL when the description is not sound (a window that is
 * empty, too large, unaligned, outside of the input range, or overlaps another
 * one; a pool that is not of whole pages, reaches beyond 64 bits or overlaps
 * its endpoint's window; a range whose end lies before its start; no endpoint
 * at all), or -ENOSPC when @size is less than vr_viommu_memory() says.
 */
int vr_viommu_init(struct vr_viommu *v, const struct vr_viommu_desc *desc,
                   const struct vr_viommu_ops *ops, void *ctx, void *mem,
                   size_t size);

/**
 * vr_viommu_negotiated() - the driver has set FEATURES_OK.
 * @features: what it accepted. Requests that belong to a feature are not known
 * without it: they are returned unwritten (5.13.6.5, 5.13.6.6, 5.13.3).
 */
void vr_viommu_negotiated(struct vr_viommu *v, uint64_t features);

/**
 * vr_viommu_request() - process one request.
 * @in: private copy of the device-readable part: nobody may change it
 * meanwhile. @in_len: its length; what stands behind VR_VIOMMU_IN_MAX bytes
 * need not be there.
 * @out: private buffer of VR_VIOMMU_OUT_MAX bytes, or of @out_cap if that is
 * less; what goes into the device-writable part.
 * @out_cap: length of the guest's device-writable part; it says where the tail
 * of a PROBE stands, see put_probe() in viommu.c.
 * @out_len: set to the used length: so many bytes of @out are to be copied to
 * the guest. 0 for a request that must be returned unwritten (5.13.6: too
 * small for a tail, or of no known type).
 *
 * Returns VR_VIOMMU_DONE, or VR_VIOMMU_PENDING with *@out_len = 0: see above.
 */
enum vr_viommu_result vr_viommu_request(struct vr_viommu *v, const uint8_t *in,
                                        size_t in_len, uint8_t *out,
                                        size_t out_cap, size_t *out_len);

/**
 * vr_viommu_reset() - device reset (5.13.5): every endpoint is detached, all
 * access is taken back, no feature is negotiated any more. A request that was
 * pending is forgotten.
 *
 * Returns VR_VIOMMU_PENDING when that is not complete yet: call it again, and
 * do not tell the guest before that the reset is done. A request that comes
 * earlier all the same is held back in the same way (VR_VIOMMU_PENDING).
 */
enum vr_viommu_result vr_viommu_reset(struct vr_viommu *v);

/**
 * vr_viommu_attached() - is endpoint @ep attached to a domain?
 * Not from the moment on when a DETACH, an ATTACH to another domain or a
 * device reset begins. @ep: any value; false for an unknown one.
 */
bool vr_viommu_attached(const struct vr_viommu *v, unsigned int ep);

/**
 * vr_viommu_mapped_pages(), vr_viommu_peak_pages() - pages of the endpoint's
 * window that are mapped, or not yet taken back; the most that ever were.
 * @ep: any value; 0 for an unknown one.
 */
uint32_t vr_viommu_mapped_pages(const struct vr_viommu *v, unsigned int ep);
uint32_t vr_viommu_peak_pages(const struct vr_viommu *v, unsigned int ep);

/**
 * vr_viommu_next_mapping() - the first mapping of endpoint @ep that begins at
 * page @from or later: for (p = 0; vr_viommu_next_mapping(v, ep, p, &first,
 * &n); p = first + n). What is not yet taken back is among them.
 * @ep, @from: any value. Returns false when there is none.
 */
bool vr_viommu_next_mapping(const struct vr_viommu *v, unsigned int ep,
                            uint32_t from, uint32_t *first, uint32_t *npages);

/** vr_viommu_config() - the config space (5.13.4). */
void vr_viommu_config(const struct vr_viommu *v,
                      uint8_t out[VR_VIOMMU_CONFIG_LEN]);

/**
 * vr_viommu_fault() - a record for the event queue (5.13.6.9).
 * @ep: endpoint; any value.
 * @flags: VR_VIOMMU_FAULT_*; others are dropped. With READ or WRITE the reason
 * is an access while not attached (DOMAIN) or to what is not mapped so
 * (MAPPING), without both it is something else that befell the endpoint
 * (UNKNOWN).
 * @address: of the access, when @flags has ADDRESS; otherwise not looked at.
 * @cap: room in @out; the length of the guest's buffer.
 *
 * Returns the length written, VR_VIOMMU_FAULT_LEN, or 0 when there is nothing
 * to report with (no such endpoint, or too little room: there is no older,
 * shorter format to fall back to).
 */
size_t vr_viommu_fault(const struct vr_viommu *v, unsigned int ep,
                       uint32_t flags, uint64_t address, uint8_t *out,
                       size_t cap);

#endif /* VR_VIOMMU_H */
