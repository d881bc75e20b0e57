/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Doorbells: doorbell.c has the queues and their event channels, bellregs.c the
 * registers of the device, which are virtio_mmio's or virtio_pci's.
 */
#ifndef VIRTIO_RESTRICTED_BELLS_H
#define VIRTIO_RESTRICTED_BELLS_H

#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>

#include <xen/interface/event_channel.h>
#include <xen/interface/xen.h>

struct vr_bells;

/**
 * struct vr_bell - a queue's doorbell
 * @vq: the queue
 * @port: event channel; 0: none
 * @irq: of @port; 0: none
 * @cpus: whose requests the queue is meant for
 * @kicks: how often the backend was told of buffers
 * @interrupts: how often it told of buffers that it has used
 * @spurious: how often there was nothing
 */
struct vr_bell {
	struct virtqueue *vq;
	evtchn_port_t port;
	int irq;
	struct cpumask *cpus;
	u64 kicks;
	u64 interrupts;
	u64 spurious;
};

/**
 * struct vr_bell_regs - the registers of a transport
 * @select: selects a queue. Returns how large it may be; 0: there is none, or it
 *	    is in use
 * @start: tells the device of a queue, and of the event channel to it
 * @stop: takes a queue out of service. When it returns, the device has let go of
 *	  the event channel
 * @listen: changes of the device's configuration are told from here on. Returns 0
 *	    or a negative error
 * @deafen: and from here on they are not
 */
struct vr_bell_regs {
	unsigned int (*select)(struct vr_bells *bells, unsigned int index);
	void (*start)(struct vr_bells *bells, const struct vr_bell *bell);
	void (*stop)(struct vr_bells *bells, unsigned int index);
	int (*listen)(struct vr_bells *bells);
	void (*deafen)(struct vr_bells *bells);
};

/**
 * struct vr_bells - of a device
 * @node: in the list of all of them
 * @ops: the device's operations; their address leads here
 * @old: the transport's
 * @vdev: the device
 * @regs: how its registers are reached
 * @base: they; of a PCI function, its common configuration
 * @isr: of a PCI function, what it interrupts for
 * @doorbell: the register that names a queue's event channel
 * @domid: who serves the device
 * @irq: the device's own interrupt
 * @n: how many of @bell are in use
 * @bell: the queues' doorbells; NULL: the queues are the transport's own
 * @control: the queue that its driver waits for; NULL: none
 * @overdue: runs when that has taken too long
 */
struct vr_bells {
	struct list_head node;
	struct virtio_config_ops ops;
	const struct virtio_config_ops *old;
	struct virtio_device *vdev;
	const struct vr_bell_regs *regs;
	void __iomem *base;
	void __iomem *isr;
	void __iomem *doorbell;
	domid_t domid;
	int irq;
	unsigned int n;
	struct vr_bell *bell;
	struct virtqueue *control;
	struct delayed_work overdue;
};

bool vr_bells_map(struct vr_bells *bells);
void vr_bells_unmap(struct vr_bells *bells);

#endif /* VIRTIO_RESTRICTED_BELLS_H */
