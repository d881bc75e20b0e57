/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The domain's kernel serves the queues of a static device itself (vhost-net):
 * it reads the guest's rings in the pool, as it is mapped here, and moves
 * frames between there and the interface. This process sees none of them. It
 * sets things up, and passes on who has to be woken:
 *
 *   kick   an event of the guest's becomes a write to an eventfd
 *   call   vhost writes another one, which becomes an event for the guest
 *
 * Kernel and guest agree in the rings on when that is needed at all, as any
 * device and driver do. So while frames stream there are few of either.
 *
 * vhost reaches memory by this process' address space and has no other. It
 * answers in order, so the used ring says where a queue is to go on.
 */
#ifndef VR_NET_VHOST_H
#define VR_NET_VHOST_H

#include "net.h"

/**
 * vr_vhost_new() - @pairs of queues. @fd: /dev/vhost-net, opened for each;
 * these are its own from here on. @iface: the name of the interface.
 * Returns NULL with @err.
 */
struct vr_vhost *vr_vhost_new(unsigned int pairs, const int *fd,
                              const char *iface, struct vr_err *err);

/** vr_vhost_begin() - by the process whose memory it is to be. What vhost says
 * comes as events of @epoll, for vr_vhost_heard(). Returns 0 or -errno with
 * @err. */
int vr_vhost_begin(struct vr_vhost *v, int epoll, struct vr_err *err);

void vr_vhost_free(struct vr_vhost *v);

/* As serve.h has them: */
void vr_vhost_pool(struct vr_dev *d, void *va, size_t len);
bool vr_vhost_lends(const struct vr_dev *d, unsigned int i);
int vr_vhost_lend(struct vr_dev *d, unsigned int i, bool again);
bool vr_vhost_kick(struct vr_dev *d, uint64_t queues);
void vr_vhost_recall(struct vr_dev *d, unsigned int i);

/** vr_vhost_heard() - an event, by its number. */
void vr_vhost_heard(struct vr_dev *d, uint32_t number);

/** vr_vhost_set_pairs() - only so many are in use. Returns 0 or -errno. */
int vr_vhost_set_pairs(struct vr_dev *d, unsigned int pairs);

/** vr_vhost_count() - the interface's figures into the control page. */
void vr_vhost_count(struct vr_dev *d);

#endif /* VR_NET_VHOST_H */
