// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the devices to be restricted, and lets them go.
 *
 * The driver core tells of a device that is about to be bound after the bus
 * has set up the device's DMA, and before the driver's probe function runs:
 * the one moment when operations can be exchanged (dmaops.c, mapops.c). They
 * are taken away again after the driver has let go of the device.
 */

#include <linux/device.h>
#include <linux/dma-direct.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "virtio_restricted.h"

/* Guards the list; taken while a device is bound or unbound. */
static DEFINE_MUTEX(vr_lock);
static LIST_HEAD(vr_devices);

/**
 * vr_is_transport() - is it a device that virtio_mmio or virtio_pci serves?
 * @dev: the device, for which virtio drivers map memory
 */
bool vr_is_transport(const struct device *dev)
{
	return dev->driver && (!strcmp(dev->driver->name, "virtio-mmio") ||
			       !strcmp(dev->driver->name, "virtio-pci"));
}

/* Whether the kernel maps memory for the device through its IOMMU. */
static bool vr_by_iommu(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type & __IOMMU_DOMAIN_DMA_API &&
	       vr_hook_by_iommu(dev);
}

/* Whether something else than this module decides over the device's DMA. */
static bool vr_is_taken(struct device *dev)
{
	if (is_swiotlb_for_alloc(dev)) {
		dev_info(dev, "the kernel restricts it to its pool itself\n");
		return true;
	}
	if (device_iommu_mapped(dev) && !vr_by_iommu(dev)) {
		dev_err(dev, "its IOMMU does not translate: its pool is not used\n");
		return true;
	}
	if (vr_hook_other_ops(dev)) {
		dev_err(dev, "has other DMA operations (%ps): its pool is not used\n",
			vr_hook_other_ops(dev));
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

static void vr_tell(const struct vr_device *vd)
{
	const struct vr_pool *pool = &vd->pool;

	dev_info(vd->dev, "restricted to its pool: %zu KiB at %pa, mappings up to %zu KiB\n",
		 pool->range.size >> 10, &pool->range.base,
		 pool->max_mapping >> 10);
	if (vd->iommu)
		dev_info(vd->dev, "long buffers are mapped by its IOMMU: %u KiB of addresses from %pad on, whole pages, %u bytes or more\n",
			 vd->iommu->pages << (PAGE_SHIFT - 10),
			 &vd->iommu->base, READ_ONCE(vr_threshold));
}

static int vr_attach_pool(struct device *dev, const struct vr_range *range)
{
	struct vr_device *vd = vr_overlapping(range);
	bool iommu = device_iommu_mapped(dev);
	dma_addr_t dma_base;
	int ret;

	if (vd) {
		dev_err(dev, "its pool at %pa overlaps that of %s: not used\n",
			&range->base, dev_name(vd->dev));
		return -EBUSY;
	}
	dma_base = phys_to_dma_unencrypted(dev, range->base);
	if (dma_base == DMA_MAPPING_ERROR ||
	    phys_to_dma_unencrypted(dev, range->base + range->size - 1) !=
	    dma_base + range->size - 1) {
		dev_err(dev, "cannot reach all of its pool at %pa\n",
			&range->base);
		return -ERANGE;
	}

	vd = kzalloc(sizeof(*vd), GFP_KERNEL);
	if (!vd)
		return -ENOMEM;
	vd->dev = dev;
	vd->stats = alloc_percpu(struct vr_stats);
	ret = vd->stats ? vr_pool_init(&vd->pool, range, dma_base, iommu) :
			  -ENOMEM;
	if (ret) {
		dev_err(dev, "no memory to manage its pool at %pa\n",
			&range->base);
		goto fail;
	}
	if (iommu) {
		vd->iommu = vr_iommu_attach(dev, &vd->pool, vd->stats);
		if (IS_ERR(vd->iommu)) {
			ret = PTR_ERR(vd->iommu);
			goto fail_pool;
		}
	}
	vr_hook_take(vd);
	list_add(&vd->node, &vr_devices);
	vr_debugfs_add(vd);
	vr_tell(vd);
	return 0;

fail_pool:
	vr_pool_exit(&vd->pool);
fail:
	free_percpu(vd->stats);
	kfree(vd);
	return ret;
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
	if (!found)
		goto out;

	/* In the list until the end: nobody else may begin with the pool. */
	vr_hook_give_back(found);
	used = vr_pool_used(&found->pool);
	if (found->iommu)
		used += (unsigned long)found->iommu->used << PAGE_SHIFT;
	if (used)
		dev_warn(dev, "its driver left %lu bytes mapped\n", used);
	vr_debugfs_remove(found);
	if (found->iommu)
		vr_iommu_detach(dev, found->iommu);
	vr_pool_exit(&found->pool);
	list_del(&found->node);
	free_percpu(found->stats);
	kfree(found);
	module_put(THIS_MODULE);
out:
	mutex_unlock(&vr_lock);
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
		if (vr_is_transport(dev))
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

#ifdef CONFIG_PCI
static struct notifier_block vr_pci_notifier = {
	.notifier_call = vr_notify,
};
#endif

/** vr_is_ours() - is the device restricted by this module? */
bool vr_is_ours(struct device *dev)
{
	struct vr_device *vd;
	bool ours = false;

	mutex_lock(&vr_lock);
	list_for_each_entry(vd, &vr_devices, node)
		ours |= vd->dev == dev;
	mutex_unlock(&vr_lock);
	return ours;
}

/*
 * Nothing is mapped for a virtio device before its own driver is bound, so it is
 * early enough until then: virtio_pci and virtio_mmio may be built into a kernel
 * and be bound before any module can be loaded.
 */
static bool vr_attach_late(struct device *dev)
{
	struct device *child = device_find_any_child(dev);
	bool idle;

	if (!child)
		return false;
	device_lock(child);
	idle = !child->driver;
	if (idle)
		vr_attach(dev);
	device_unlock(child);
	put_device(child);
	return idle;
}

/* A device that was bound before the notifier was there. */
static int vr_late(struct device *dev, void *unused)
{
	struct vr_range range;

	device_lock(dev);
	if (vr_is_transport(dev) && !vr_is_ours(dev) &&
	    !vr_hook_other_ops(dev) && !is_swiotlb_for_alloc(dev) &&
	    !vr_firmware_pool(dev, &range) && !vr_attach_late(dev))
		dev_warn(dev, "was bound before virtio_restricted was loaded: its pool is not used; load the module before the virtio drivers, or write %s to /sys/bus/%s/drivers/%s/unbind and then to bind\n",
			 dev_name(dev), dev->bus->name, dev->driver->name);
	device_unlock(dev);
	return 0;
}

#ifdef CONFIG_PCI
static int vr_pci_init(void)
{
	return bus_register_notifier(&pci_bus_type, &vr_pci_notifier);
}

static void vr_pci_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &vr_pci_notifier);
}

static void vr_pci_late(void)
{
	bus_for_each_dev(&pci_bus_type, NULL, NULL, vr_late);
}
#else
static int vr_pci_init(void)
{
	return 0;
}

static void vr_pci_exit(void)
{
}

static void vr_pci_late(void)
{
}
#endif

static int __init vr_init(void)
{
	int ret;

	ret = vr_probe_init();
	if (ret)
		return ret;
	ret = vr_hook_init();
	if (ret)
		goto fail_probe;
	ret = vr_bells_init();
	if (ret)
		goto fail_hook;
	vr_debugfs_init();
	ret = bus_register_notifier(&platform_bus_type, &vr_notifier);
	if (ret)
		goto fail_debugfs;
	ret = vr_pci_init();
	if (ret)
		goto fail_notifier;
	vr_grants_init();
	bus_for_each_dev(&platform_bus_type, NULL, NULL, vr_late);
	vr_pci_late();
	return 0;

fail_notifier:
	bus_unregister_notifier(&platform_bus_type, &vr_notifier);
fail_debugfs:
	vr_debugfs_exit();
	vr_bells_exit();
fail_hook:
	vr_hook_exit();
fail_probe:
	vr_probe_exit();
	return ret;
}

static void __exit vr_exit(void)
{
	/* No device is left: each has a reference to the module. */
	vr_pci_exit();
	bus_unregister_notifier(&platform_bus_type, &vr_notifier);
	vr_grants_exit();
	vr_debugfs_exit();
	vr_bells_exit();
	vr_hook_exit();
	vr_probe_exit();
}

module_init(vr_init);
module_exit(vr_exit);

MODULE_DESCRIPTION("Restricted DMA pools for virtio devices");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
