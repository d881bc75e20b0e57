// SPDX-License-Identifier: GPL-2.0-only
/*
 * Doorbells: event channels between the driver's queues and the device's
 * backend, in place of the registers that Linux accesses for a request
 * (virtio_mmio: QueueNotify, InterruptStatus, InterruptACK; virtio_pci: the
 * first, and without messages the second), each of which leaves the guest for
 * the toolstack's domain.
 *
 * The device stays virtio_mmio's or virtio_pci's. Before a virtio driver is
 * bound to it, the operations by which drivers make and remove queues are
 * exchanged; everything else (features, status, config space, reset) is done as
 * before. The queues' registers are written here as the transport's driver does
 * (bellregs.c), and one more, which names the queue's event channel
 * (docs/proposals/doorbell.md). A device without that register is left alone.
 *
 * An event channel is made by the guest, for the backend's domain and for no
 * other. When the backend's process goes, it is as it was before somebody came,
 * and the next process takes its place.
 */

#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include <xen/events.h>
#include <xen/xen.h>
#include <asm/xen/hypercall.h>

#include "bells.h"
#include "virtio_restricted.h"

/* How long a network device's control queue may take for a command. */
#define VR_CONTROL_WAIT_S	30

static bool vr_doorbells = true;
module_param_named(doorbells, vr_doorbells, bool, 0644);
MODULE_PARM_DESC(doorbells, "notify devices' backends by event channels, where that is possible; for queues made from then on");

/* Guards the list, and each one's @n and @bell against who shows them. */
static DEFINE_MUTEX(vr_bells_lock);
static LIST_HEAD(vr_bells_list);

static struct vr_bells *vr_bells_of(struct virtio_device *vdev)
{
	return container_of(vdev->config, struct vr_bells, ops);
}

/* ---- while the device works ---- */

static bool vr_ring(struct virtqueue *vq)
{
	struct vr_bell *bell = vq->priv;

	bell->kicks++;
	notify_remote_via_evtchn(bell->port);
	return true;
}

/*
 * Linux' network driver waits for the answer to each command, without an end,
 * while it holds a lock that all of the guest's interfaces share. It stops when
 * the queue is broken.
 */
static bool vr_ring_control(struct virtqueue *vq)
{
	mod_delayed_work(system_wq, &vr_bells_of(vq->vdev)->overdue,
			 VR_CONTROL_WAIT_S * HZ);
	return vr_ring(vq);
}

static void vr_overdue(struct work_struct *work)
{
	struct vr_bells *bells = container_of(to_delayed_work(work),
					      struct vr_bells, overdue);
	struct virtqueue *vq = bells->control;

	if (vq->num_free == virtqueue_get_vring_size(vq))
		return;
	dev_err(&bells->vdev->dev,
		"no answer to a command for %u s: given up until its driver is bound again\n",
		VR_CONTROL_WAIT_S);
	virtio_break_device(bells->vdev);
}

static bool vr_is_control(const struct virtio_device *vdev, const char *name)
{
	return vdev->id.device == VIRTIO_ID_NET && !strcmp(name, "control");
}

static irqreturn_t vr_rung(int irq, void *data)
{
	struct vr_bell *bell = data;
	unsigned int flags = 0;

	/* The kernel then waits for its next tick, from the second on. */
	if (vring_interrupt(irq, bell->vq) == IRQ_HANDLED) {
		bell->interrupts++;
	} else {
		bell->spurious++;
		flags = XEN_EOI_FLAG_SPURIOUS;
	}
	xen_irq_lateeoi(irq, flags);
	return IRQ_HANDLED;
}

/* ---- event channels ---- */

static int vr_bell_open(struct vr_bells *bells, struct vr_bell *bell)
{
	struct evtchn_alloc_unbound alloc = {
		.dom = DOMID_SELF,
		.remote_dom = bells->domid,
	};
	int ret = HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);

	if (ret)
		return ret;
	bell->port = alloc.port;
	ret = bind_evtchn_to_irqhandler_lateeoi(bell->port, vr_rung, 0,
						dev_name(&bells->vdev->dev),
						bell);
	if (ret < 0)
		return ret;
	bell->irq = ret;
	/* As far as they are there. */
	irq_set_affinity(bell->irq, bell->cpus);
	return 0;
}

/* Nobody rings any more when it returns. */
static void vr_bell_close(struct vr_bell *bell)
{
	struct evtchn_close close = { .port = bell->port };

	/* The port goes with the interrupt. */
	if (bell->irq)
		unbind_from_irqhandler(bell->irq, bell);
	else if (bell->port)
		(void)HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
	bell->irq = 0;
	bell->port = 0;
}

/* ---- queues ---- */

/* A queue as the virtio drivers want it. */
struct vr_queue {
	const char *name;
	void (*callback)(struct virtqueue *vq);
	bool ctx;
};

static struct virtqueue *vr_make_queue(struct vr_bells *bells,
				       const struct vr_queue *queue)
{
	bool control = vr_is_control(bells->vdev, queue->name);
	unsigned int index = bells->n, size;
	struct vr_bell *bell = &bells->bell[index];
	int ret;

	size = bells->regs->select(bells, index);
	if (!size)
		return ERR_PTR(-ENOENT);
	bell->vq = vring_create_virtqueue(index, size, PAGE_SIZE, bells->vdev,
					  true, true, queue->ctx,
					  control ? vr_ring_control : vr_ring,
					  queue->callback, queue->name);
	if (!bell->vq)
		return ERR_PTR(-ENOMEM);
	bell->vq->num_max = size;
	bell->vq->priv = bell;
	ret = vr_bell_open(bells, bell);
	if (ret) {
		vr_bell_close(bell);
		vring_del_virtqueue(bell->vq);
		return ERR_PTR(ret);
	}
	if (control)
		bells->control = bell->vq;
	bells->n++;
	return bell->vq;
}

static void vr_del_queue(struct vr_bells *bells, struct vr_bell *bell)
{
	bells->regs->stop(bells, bell->vq->index);
	/* The backend has let go of it. Closed before, a backend that is started
	 * anew at this moment would be refused, and the device fail. */
	vr_bell_close(bell);
	vring_del_virtqueue(bell->vq);
}

static void vr_del_queues(struct vr_bells *bells)
{
	cancel_delayed_work_sync(&bells->overdue);
	bells->control = NULL;
	mutex_lock(&vr_bells_lock);
	while (bells->n)
		vr_del_queue(bells, &bells->bell[--bells->n]);
	kfree(bells->bell);
	bells->bell = NULL;
	mutex_unlock(&vr_bells_lock);
}

static void vr_del_vqs(struct virtio_device *vdev)
{
	struct vr_bells *bells = vr_bells_of(vdev);

	if (!bells->bell) {
		bells->old->del_vqs(vdev);
		return;
	}
	bells->regs->deafen(bells);
	vr_del_queues(bells);
}

/* The CPUs in as many parts as there are queues, or the queues in parts. */
static void vr_spread(struct vr_bells *bells, struct cpumask *cpus,
		      unsigned int n)
{
	unsigned int i, k = 0, all = num_possible_cpus();
	int cpu;

	for (i = 0; i < n; i++)
		bells->bell[i].cpus = &cpus[i];
	for_each_possible_cpu(cpu) {
		for (i = k * n / all; i < max((k + 1) * n / all, k * n / all + 1);
		     i++)
			cpumask_set_cpu(cpu, &cpus[i]);
		k++;
	}
}

static int vr_make_bells(struct vr_bells *bells, unsigned int n)
{
	struct cpumask *cpus;

	bells->bell = kzalloc(n * (sizeof(*bells->bell) + sizeof(*cpus)),
			      GFP_KERNEL);
	if (!bells->bell)
		return -ENOMEM;
	vr_spread(bells, (struct cpumask *)(bells->bell + n), n);
	bells->n = 0;
	return 0;
}

/* @vqs: NULL where @queues has no name. */
static int vr_try_queues(struct vr_bells *bells, unsigned int n,
			 const struct vr_queue *queues,
			 struct virtqueue *vqs[])
{
	unsigned int i;
	int ret;

	mutex_lock(&vr_bells_lock);
	ret = vr_make_bells(bells, n);
	for (i = 0; !ret && i < n; i++) {
		vqs[i] = queues[i].name ? vr_make_queue(bells, &queues[i]) :
					  NULL;
		ret = PTR_ERR_OR_ZERO(vqs[i]);
	}
	mutex_unlock(&vr_bells_lock);
	if (!ret)
		ret = bells->regs->listen(bells);
	if (ret) {
		vr_del_queues(bells);
		return ret;
	}
	/* From here on nothing fails: virtio_pci could not make them again. */
	for (i = 0; i < bells->n; i++)
		bells->regs->start(bells, &bells->bell[i]);
	return 0;
}

/* NULL: they are to be the transport's own. */
static struct vr_queue *vr_queues(unsigned int n)
{
	return READ_ONCE(vr_doorbells) ?
		       kcalloc(n, sizeof(struct vr_queue), GFP_KERNEL) :
		       NULL;
}

/* Takes @queues; false: they are to be the transport's own after all. */
static bool vr_make_queues(struct vr_bells *bells, unsigned int n,
			   struct vr_queue *queues, struct virtqueue *vqs[])
{
	int ret;

	if (!queues)
		return false;
	ret = vr_try_queues(bells, n, queues, vqs);
	kfree(queues);
	if (ret)
		dev_warn(&bells->vdev->dev,
			 "no doorbells (%d): it goes on without\n", ret);
	return !ret;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static int vr_find_vqs(struct virtio_device *vdev, unsigned int n,
		       struct virtqueue *vqs[], struct virtqueue_info infos[],
		       struct irq_affinity *desc)
{
	struct vr_bells *bells = vr_bells_of(vdev);
	struct vr_queue *queues = vr_queues(n);
	unsigned int i;

	for (i = 0; queues && i < n; i++)
		queues[i] = (struct vr_queue){ infos[i].name,
					       infos[i].callback,
					       infos[i].ctx };
	if (vr_make_queues(bells, n, queues, vqs))
		return 0;
	return bells->old->find_vqs(vdev, n, vqs, infos, desc);
}
#else
static int vr_find_vqs(struct virtio_device *vdev, unsigned int n,
		       struct virtqueue *vqs[], vq_callback_t *callbacks[],
		       const char * const names[], const bool *ctx,
		       struct irq_affinity *desc)
{
	struct vr_bells *bells = vr_bells_of(vdev);
	struct vr_queue *queues = vr_queues(n);
	unsigned int i;

	for (i = 0; queues && i < n; i++)
		queues[i] = (struct vr_queue){ names[i], callbacks[i],
					       ctx && ctx[i] };
	if (vr_make_queues(bells, n, queues, vqs))
		return 0;
	return bells->old->find_vqs(vdev, n, vqs, callbacks, names, ctx, desc);
}
#endif

static void vr_synchronize_cbs(struct virtio_device *vdev)
{
	struct vr_bells *bells = vr_bells_of(vdev);
	unsigned int i;

	if (!bells->bell) {
		bells->old->synchronize_cbs(vdev);
		return;
	}
	synchronize_irq(bells->irq);
	for (i = 0; i < bells->n; i++)
		synchronize_irq(bells->bell[i].irq);
}

static int vr_set_vq_affinity(struct virtqueue *vq, const struct cpumask *cpus)
{
	struct vr_bells *bells = vr_bells_of(vq->vdev);
	struct vr_bell *bell = vq->priv;

	if (!bells->bell)
		return bells->old->set_vq_affinity ?
			       bells->old->set_vq_affinity(vq, cpus) :
			       -EINVAL;
	return irq_set_affinity(bell->irq, cpus ?: cpu_possible_mask);
}

static const struct cpumask *vr_get_vq_affinity(struct virtio_device *vdev,
						int index)
{
	struct vr_bells *bells = vr_bells_of(vdev);

	if (!bells->bell)
		return bells->old->get_vq_affinity ?
			       bells->old->get_vq_affinity(vdev, index) :
			       NULL;
	return index >= 0 && index < bells->n ? bells->bell[index].cpus : NULL;
}

/* ---- devices ---- */

/* A queue by itself is not made anew, for which the transport's driver would
 * look for its own. Its driver goes on with the queue that it has. */
static int vr_disable_vq(struct virtqueue *vq)
{
	struct vr_bells *bells = vr_bells_of(vq->vdev);

	return bells->bell ? -ENOENT : bells->old->disable_vq_and_reset(vq);
}

static struct vr_bells *vr_bells_new(struct virtio_device *vdev)
{
	struct vr_bells *bells = kzalloc(sizeof(*bells), GFP_KERNEL);

	if (!bells)
		return NULL;
	bells->vdev = vdev;
	if (!vr_bells_map(bells)) {
		kfree(bells);
		return NULL;
	}
	INIT_DELAYED_WORK(&bells->overdue, vr_overdue);
	bells->old = vdev->config;
	bells->ops = *vdev->config;
	bells->ops.find_vqs = vr_find_vqs;
	bells->ops.del_vqs = vr_del_vqs;
	bells->ops.synchronize_cbs = vr_synchronize_cbs;
	bells->ops.set_vq_affinity = vr_set_vq_affinity;
	bells->ops.get_vq_affinity = vr_get_vq_affinity;
	if (bells->ops.disable_vq_and_reset)
		bells->ops.disable_vq_and_reset = vr_disable_vq;
	return bells;
}

/* A driver is about to be bound. */
static void vr_bells_take(struct virtio_device *vdev)
{
	struct device *parent = vdev->dev.parent;
	struct vr_bells *bells;

	if (!xen_domain() || !vr_is_transport(parent) ||
	    vdev->config->find_vqs == vr_find_vqs)
		return;
	/* Fails while the module is being removed. */
	if (!try_module_get(THIS_MODULE))
		return;
	bells = vr_bells_new(vdev);
	if (!bells) {
		module_put(THIS_MODULE);
		return;
	}
	mutex_lock(&vr_bells_lock);
	list_add(&bells->node, &vr_bells_list);
	mutex_unlock(&vr_bells_lock);
	vdev->config = &bells->ops;
	dev_info(parent, "rings domain %u's doorbells itself\n", bells->domid);
}

/* The device is not registered any more: nobody calls its operations. */
static void vr_bells_give(struct virtio_device *vdev)
{
	struct vr_bells *bells;

	if (vdev->config->find_vqs != vr_find_vqs)
		return;
	bells = vr_bells_of(vdev);
	vdev->config = bells->old;
	mutex_lock(&vr_bells_lock);
	list_del(&bells->node);
	mutex_unlock(&vr_bells_lock);
	vr_bells_unmap(bells);
	kfree(bells);
	module_put(THIS_MODULE);
}

static int vr_bells_notify(struct notifier_block *nb, unsigned long action,
			   void *data)
{
	struct virtio_device *vdev = dev_to_virtio((struct device *)data);

	if (action == BUS_NOTIFY_BIND_DRIVER)
		vr_bells_take(vdev);
	else if (action == BUS_NOTIFY_REMOVED_DEVICE)
		vr_bells_give(vdev);
	return NOTIFY_DONE;
}

static struct notifier_block vr_bells_notifier = {
	.notifier_call = vr_bells_notify,
};

/**
 * vr_bells_show() - the counters, a line for each queue
 * @file: where to
 */
void vr_bells_show(struct seq_file *file)
{
	struct vr_bells *bells;
	unsigned int i;

	mutex_lock(&vr_bells_lock);
	list_for_each_entry(bells, &vr_bells_list, node) {
		for (i = 0; i < bells->n; i++) {
			const struct vr_bell *bell = &bells->bell[i];

			seq_printf(file, "%s queue %u domain %u port %u irq %d kicks %llu interrupts %llu spurious %llu\n",
				   dev_name(bells->vdev->dev.parent), i,
				   bells->domid, bell->port, bell->irq,
				   READ_ONCE(bell->kicks),
				   READ_ONCE(bell->interrupts),
				   READ_ONCE(bell->spurious));
		}
	}
	mutex_unlock(&vr_bells_lock);
}

/* For no device: what is wanted is the bus, which is not exported. */
static const struct virtio_device_id vr_bells_no_ids[] = { {} };
static struct virtio_driver vr_bells_no_driver = {
	.driver.name = "virtio_restricted_doorbells",
	.id_table = vr_bells_no_ids,
};

/**
 * vr_bells_init() - listen for virtio devices
 *
 * Return: 0 or a negative error.
 */
int vr_bells_init(void)
{
	int ret = register_virtio_driver(&vr_bells_no_driver);

	if (ret)
		return ret;
	ret = bus_register_notifier(vr_bells_no_driver.driver.bus,
				    &vr_bells_notifier);
	if (ret)
		unregister_virtio_driver(&vr_bells_no_driver);
	return ret;
}

/** vr_bells_exit() - undo it; no device is left, each has a reference to us */
void vr_bells_exit(void)
{
	bus_unregister_notifier(vr_bells_no_driver.driver.bus,
				&vr_bells_notifier);
	unregister_virtio_driver(&vr_bells_no_driver);
}
