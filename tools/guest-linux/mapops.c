// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapping operations of a restricted device's virtio device, for kernels
 * that have some: see VR_MAP_OPS.
 *
 * They are put in when the virtio device is registered, which virtio_mmio does
 * when it is bound to the platform device, or, where that was before this module
 * was loaded, when its driver is bound; nobody has mapped anything by then.
 * They end with the virtio device. All that they are told is the platform
 * device, of which nothing is free for others but its DMA parameters: these are
 * exchanged for a copy in the vr_device, whose address leads there.
 */

#include <linux/device.h>
#include <linux/notifier.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include "virtio_restricted.h"

#if VR_MAP_OPS

static void *vr_valloc(union virtio_map map, size_t size, dma_addr_t *handle,
		       gfp_t gfp)
{
	return vr_alloc(vr_device_of(map), size, handle);
}

static bool vr_vneed_sync(union virtio_map map, dma_addr_t addr)
{
	return true;
}

static int vr_vmapping_error(union virtio_map map, dma_addr_t addr)
{
	return addr == DMA_MAPPING_ERROR ? -ENOMEM : 0;
}

static size_t vr_vmax_mapping_size(union virtio_map map)
{
	return vr_device_of(map)->pool.max_mapping;
}

static const struct virtio_map_ops vr_map_ops = {
	.map_page = vr_map_page,
	.unmap_page = vr_unmap_page,
	.sync_single_for_cpu = vr_sync_for_cpu,
	.sync_single_for_device = vr_sync_for_device,
	.alloc = vr_valloc,
	.free = vr_free,
	.need_sync = vr_vneed_sync,
	.mapping_error = vr_vmapping_error,
	.max_mapping_size = vr_vmax_mapping_size,
};

static int vr_hook_notify(struct notifier_block *nb, unsigned long action,
			  void *data)
{
	struct virtio_device *vdev = dev_to_virtio((struct device *)data);

	if ((action == BUS_NOTIFY_ADD_DEVICE ||
	     action == BUS_NOTIFY_BIND_DRIVER) &&
	    vr_is_ours(vdev->dev.parent)) {
		vdev->map = &vr_map_ops;
		vdev->vmap.dma_dev = vdev->dev.parent;
	}
	return NOTIFY_DONE;
}

static struct notifier_block vr_hook_notifier = {
	.notifier_call = vr_hook_notify,
};

/* For no device: what is wanted is the bus, which is not exported. */
static const struct virtio_device_id vr_hook_no_ids[] = { {} };
static struct virtio_driver vr_hook_no_driver = {
	.driver.name = "virtio_restricted_map",
	.id_table = vr_hook_no_ids,
};

/** vr_hook_init() - begin to listen to virtio devices */
int vr_hook_init(void)
{
	int ret = register_virtio_driver(&vr_hook_no_driver);

	if (ret)
		return ret;
	ret = bus_register_notifier(vr_hook_no_driver.driver.bus,
				    &vr_hook_notifier);
	if (ret)
		unregister_virtio_driver(&vr_hook_no_driver);
	return ret;
}

/** vr_hook_exit() - undo vr_hook_init() */
void vr_hook_exit(void)
{
	bus_unregister_notifier(vr_hook_no_driver.driver.bus,
				&vr_hook_notifier);
	unregister_virtio_driver(&vr_hook_no_driver);
}

/** vr_hook_by_iommu() - does the kernel map by a device's IOMMU, if it has one? */
bool vr_hook_by_iommu(struct device *dev)
{
	return true;
}

/**
 * vr_hook_other_ops() - whether somebody else maps memory for a device
 * @dev: the device
 *
 * Return: their operations, or NULL.
 */
const void *vr_hook_other_ops(struct device *dev)
{
#ifdef CONFIG_ARCH_HAS_DMA_OPS
	return device_iommu_mapped(dev) ? NULL : dev->dma_ops;
#else
	return NULL;
#endif
}

/**
 * vr_hook_take() - the device's virtio device is to map through us
 * @vd: the device; no driver is bound yet
 */
void vr_hook_take(struct vr_device *vd)
{
	struct device *dev = vd->dev;

	vd->hook.old_parms = dev->dma_parms;
	if (dev->dma_parms)
		vd->hook.parms = *dev->dma_parms;
	dev->dma_parms = &vd->hook.parms;
}

/**
 * vr_hook_give_back() - undo vr_hook_take()
 * @vd: the device; no driver is bound any more
 */
void vr_hook_give_back(struct vr_device *vd)
{
	vd->dev->dma_parms = vd->hook.old_parms;
}

#endif /* VR_MAP_OPS */
