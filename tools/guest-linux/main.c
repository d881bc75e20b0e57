// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gives virtio-mmio devices their DMA operations.
 *
 * The driver core tells of a device that is about to be bound after the bus
 * has set up the device's DMA, and before the driver's probe function runs:
 * the one moment when operations can be exchanged. They are taken away again
 * after the driver has let go of the device.
 */

#include <linux/device.h>
#include <linux/dma-direct.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "virtio_restricted.h"

/* Guards the list; taken while a device is bound or unbound. */
static DEFINE_MUTEX(vr_lock);
static LIST_HEAD(vr_devices);

static bool vr_is_virtio_mmio(const struct device *dev)
{
	return dev->driver && !strcmp(dev->driver->name, "virtio-mmio");
}

/* Whether something else than this module decides over the device's DMA. */
static bool vr_is_taken(struct device *dev)
{
	if (is_swiotlb_for_alloc(dev)) {
		dev_info(dev, "the kernel restricts it to its pool itself\n");
		return true;
	}
	if (device_iommu_mapped(dev)) {
		dev_info(dev, "has a pool and an IOMMU: its pool is not used\n");
		return true;
	}
	if (dev->dma_ops) {
		dev_err(dev, "has other DMA operations (%ps): its pool is not used\n",
			dev->dma_ops);
		return true;
	}
	if (!dev_is_dma_coherent(dev)) {
		dev_err(dev, "is not DMA coherent: its pool is not used\n");
		return true;
	}
	return false;
}

static struct vr_device *vr_overlapping(const struct vr_range *range)
{
	struct vr_device *vd;

	list_for_each_entry(vd, &vr_devices, node) {
		const struct vr_range *other = &vd->pool.range;

		if (range->base < other->base + other->size &&
		    other->base < range->base + range->size)
			return vd;
	}
	return NULL;
}

static int vr_attach_pool(struct device *dev, const struct vr_range *range)
{
	struct vr_device *vd = vr_overlapping(range);
	dma_addr_t dma_base;
	int ret;

	if (vd) {
		dev_err(dev, "its pool at %pa overlaps that of %s: not used\n",
			&range->base, dev_name(vd->dev));
		return -EBUSY;
	}
	dma_base = phys_to_dma_unencrypted(dev, range->base);
	if (dma_base == DMA_MAPPING_ERROR) {
		dev_err(dev, "cannot reach its pool at %pa\n", &range->base);
		return -ERANGE;
	}

	vd = kzalloc(sizeof(*vd), GFP_KERNEL);
	if (!vd)
		return -ENOMEM;
	ret = vr_pool_init(&vd->pool, range, dma_base);
	if (ret) {
		dev_err(dev, "no memory to manage its pool at %pa\n",
			&range->base);
		kfree(vd);
		return ret;
	}
	vd->dev = dev;
	vd->ops = vr_dma_ops;
	list_add(&vd->node, &vr_devices);
	set_dma_ops(dev, &vd->ops);
	vr_debugfs_add(vd);
	dev_info(dev, "restricted to its pool: %zu KiB at %pa, %u area(s), mappings up to %zu KiB\n",
		 range->size >> 10, &range->base, vd->pool.n_areas,
		 vd->pool.max_mapping >> 10);
	return 0;
}

static void vr_detach(struct device *dev)
{
	struct vr_device *vd, *found = NULL;
	unsigned long used;

	mutex_lock(&vr_lock);
	list_for_each_entry(vd, &vr_devices, node) {
		if (vd->dev == dev)
			found = vd;
	}
	if (found)
		list_del(&found->node);
	mutex_unlock(&vr_lock);
	if (!found)
		return;

	/* Some kernels have done it by now. */
	if (dev->dma_ops == &found->ops)
		set_dma_ops(dev, NULL);
	used = vr_pool_used(&found->pool);
	if (used)
		dev_warn(dev, "its driver left %lu bytes mapped\n", used);
	vr_debugfs_remove(found);
	vr_pool_exit(&found->pool);
	kfree(found);
	module_put(THIS_MODULE);
}

static void vr_attach(struct device *dev)
{
	struct vr_range range;

	/* Nothing, unless the core binds twice in a row to test drivers. */
	vr_detach(dev);
	if (vr_firmware_pool(dev, &range) || vr_is_taken(dev))
		return;
	/* Fails while the module is being removed. */
	if (!try_module_get(THIS_MODULE))
		return;
	mutex_lock(&vr_lock);
	if (vr_attach_pool(dev, &range))
		module_put(THIS_MODULE);
	mutex_unlock(&vr_lock);
}

static int vr_notify(struct notifier_block *nb, unsigned long action,
		     void *data)
{
	struct device *dev = data;

	switch (action) {
	case BUS_NOTIFY_BIND_DRIVER:
		if (vr_is_virtio_mmio(dev))
			vr_attach(dev);
		break;
	case BUS_NOTIFY_DRIVER_NOT_BOUND:
	case BUS_NOTIFY_UNBOUND_DRIVER:
		vr_detach(dev);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block vr_notifier = {
	.notifier_call = vr_notify,
};

/* A device that was bound before the notifier was there. */
static int vr_tell_late(struct device *dev, void *unused)
{
	struct vr_range range;

	device_lock(dev);
	if (vr_is_virtio_mmio(dev) && !dev->dma_ops &&
	    !device_iommu_mapped(dev) && !is_swiotlb_for_alloc(dev) &&
	    !vr_firmware_pool(dev, &range))
		dev_warn(dev, "was bound before virtio_restricted was loaded: its pool is not used; load the module before virtio_mmio, or write %s to /sys/bus/platform/drivers/virtio-mmio/unbind and then to bind\n",
			 dev_name(dev));
	device_unlock(dev);
	return 0;
}

static int __init vr_init(void)
{
	int ret;

	vr_debugfs_init();
	ret = bus_register_notifier(&platform_bus_type, &vr_notifier);
	if (ret) {
		vr_debugfs_exit();
		return ret;
	}
	bus_for_each_dev(&platform_bus_type, NULL, NULL, vr_tell_late);
	return 0;
}

static void __exit vr_exit(void)
{
	/* No device is left: each has a reference to the module. */
	bus_unregister_notifier(&platform_bus_type, &vr_notifier);
	vr_debugfs_exit();
}

module_init(vr_init);
module_exit(vr_exit);

MODULE_DESCRIPTION("Restricted DMA pools for virtio-mmio devices");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
