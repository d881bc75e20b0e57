/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a survey finds of a running device: how large its buffers are, how they
 * lie in pages, how much of them is under way. The backend counts them
 * (count.h) and shows them in the control page; the broker hands them on; vrctl
 * makes a recommendation of them (advice.h). They are a driver domain's words:
 * whoever reads them bears any values.
 */
#ifndef VR_SURVEY_FIGURES_H
#define VR_SURVEY_FIGURES_H

#include "libs/base/vr.h"

/* Buffers from 0 bytes on, from 128 on, 256, ... 2 MiB. */
#define VR_SURVEY_SIZES 16u
#define VR_SURVEY_LEAST UINT64_C(64)
/* Requests that take less than 2 us, 4 us, ... 32 ms, and longer ones. */
#define VR_SURVEY_TIMES 16u
/* Buffers whose page was that of one of the last 3, 15, 63, 255, 1023, or of an
 * earlier one; and those of which one cannot tell. */
#define VR_SURVEY_AGAIN 7u
/* Bytes between two buffers of a page: less than 64, 256, 1024, 4096. */
#define VR_SURVEY_APART 4u
/* Buffers that begin at a page, at 512 bytes, at 16, anywhere else. */
#define VR_SURVEY_ALIGN 4u

struct vr_survey_size {
    uint64_t buffers;
    uint64_t bytes;
    uint64_t whole; /* bytes of those that are whole pages */
    uint64_t pages; /* that the buffers touch, each by itself */
};

struct vr_survey_figures {
    uint64_t session; /* which survey it is; 0: none yet */
    uint64_t ns;      /* since it began */
    uint64_t requests;
    uint64_t out_bytes, in_bytes; /* that the device reads, and writes */
    uint64_t looked;              /* requests whose buffers are in these: */
    struct vr_survey_size size[VR_SURVEY_SIZES];
    uint64_t align[VR_SURVEY_ALIGN];
    uint64_t again[VR_SURVEY_AGAIN];
    uint64_t apart[VR_SURVEY_APART];
    uint64_t time[VR_SURVEY_TIMES]; /* of all requests, until they are done */
    /* The most that was under way at once: */
    uint64_t most_requests;
    uint64_t most_bytes;
    uint64_t most_small; /* buffers that are small (below) */
    uint64_t most_pages; /* of the others, each in pages of its own */
};

/* What a pool has smaller slots for than a page. Tables of buffers (indirect
 * descriptors) count as buffers where room is meant. */
#define VR_SURVEY_SMALL 1024u

/**
 * vr_survey_class() - which of @n classes has @value: class i > 0 begins at
 * @least << i, class 0 at nothing.
 */
static inline unsigned int vr_survey_class(uint64_t value, uint64_t least,
                                           unsigned int n)
{
    unsigned int i = 63 - (unsigned int)__builtin_clzll(value / least | 1);

    return i < n ? i : n - 1;
}

#endif /* VR_SURVEY_FIGURES_H */
