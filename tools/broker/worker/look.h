/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether it pays to keep looking for a moment before going to sleep.
 *
 * A guest's accesses come in groups: the status of an interrupt is read, then
 * it is acknowledged. What was served last says a good deal about how soon the
 * next thing comes, so success is remembered for each kind by itself.
 */
#ifndef VR_LOOK_H
#define VR_LOOK_H

#include "libs/base/vr.h"

enum vr_look_kind {
    VR_LOOK_READ,  /* the guest has read a register */
    VR_LOOK_WRITE, /* ... written one */
    VR_LOOK_KICK,  /* ... notified a backend */
    VR_LOOK_IRQ,   /* the guest was sent an interrupt */
    VR_LOOK_KINDS
};

/* The most occasions that are skipped after looking in vain. Looking in vain
 * costs something only where there is no processor to spare, and there it
 * should cost little. */
#define VR_LOOK_SKIP_MAX 1023

/* All zero to begin with. */
struct vr_look {
    struct {
        uint16_t skip;    /* occasions that are to be let pass */
        uint16_t penalty; /* how many they were after the last failure */
    } kind[VR_LOOK_KINDS];
};

/** vr_look_begin() - something of @kind was served: look on after it? */
bool vr_look_begin(struct vr_look *look, enum vr_look_kind kind);

/**
 * vr_look_end() - after a vr_look_begin() that said yes: was there something
 * to find? When not, the next 1, then 3, 7 and up to VR_LOOK_SKIP_MAX
 * occasions of that kind are let pass; a find halves that.
 */
void vr_look_end(struct vr_look *look, enum vr_look_kind kind, bool found);

#endif /* VR_LOOK_H */
