// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA operations of a restricted device, for kernels whose virtio drivers
 * map memory by them: see VR_MAP_OPS.
 */

#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/scatterlist.h>

#include "virtio_restricted.h"

#if !VR_MAP_OPS

#if !defined(CONFIG_ARCH_HAS_DMA_OPS) && !defined(CONFIG_DMA_OPS)
#error "this kernel has no DMA operations per device"
#endif

static void *vr_dma_alloc(struct device *dev, size_t size, dma_addr_t *handle,
			  gfp_t gfp, unsigned long attrs)
{
	return vr_alloc(vr_device_of(dev), size, handle);
}

static void vr_dma_unmap_sg(struct device *dev, struct scatterlist *sgl, int n,
			    enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		vr_unmap_page(dev, sg_dma_address(sg), sg_dma_len(sg), dir,
			      attrs);
}

static int vr_dma_map_sg(struct device *dev, struct scatterlist *sgl, int n,
			 enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i) {
		sg->dma_address = vr_map_page(dev, sg_page(sg), sg->offset,
					      sg->length, dir, attrs);
		if (sg->dma_address == DMA_MAPPING_ERROR)
			goto undo;
		sg_dma_len(sg) = sg->length;
	}
	return n;

undo:
	vr_dma_unmap_sg(dev, sgl, i, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
	return -ENOMEM;
}

static void vr_dma_sync_sg_for_cpu(struct device *dev, struct scatterlist *sgl,
				   int n, enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		vr_sync_for_cpu(dev, sg_dma_address(sg), sg_dma_len(sg), dir);
}

static void vr_dma_sync_sg_for_device(struct device *dev,
				      struct scatterlist *sgl, int n,
				      enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		vr_sync_for_device(dev, sg_dma_address(sg), sg_dma_len(sg),
				   dir);
}

static u64 vr_last_address(struct device *dev)
{
	const struct vr_device *vd = vr_device_of(dev);
	u64 last = vd->pool.dma_base + vd->pool.range.size - 1;

	if (vd->iommu)
		last = max(last, vd->iommu->base +
			   ((u64)vd->iommu->pages << PAGE_SHIFT) - 1);
	return last;
}

static int vr_dma_supported(struct device *dev, u64 mask)
{
	return vr_last_address(dev) <= mask;
}

static u64 vr_dma_get_required_mask(struct device *dev)
{
	return DMA_BIT_MASK(fls64(vr_last_address(dev)));
}

static size_t vr_dma_max_mapping_size(struct device *dev)
{
	return vr_device_of(dev)->pool.max_mapping;
}

/* Copied into each device's vr_device: the copy's address leads there. */
static const struct dma_map_ops vr_dma_ops = {
	.alloc = vr_dma_alloc,
	.free = vr_free,
	.map_page = vr_map_page,
	.unmap_page = vr_unmap_page,
	.map_sg = vr_dma_map_sg,
	.unmap_sg = vr_dma_unmap_sg,
	.sync_single_for_cpu = vr_sync_for_cpu,
	.sync_single_for_device = vr_sync_for_device,
	.sync_sg_for_cpu = vr_dma_sync_sg_for_cpu,
	.sync_sg_for_device = vr_dma_sync_sg_for_device,
	.dma_supported = vr_dma_supported,
	.get_required_mask = vr_dma_get_required_mask,
	.max_mapping_size = vr_dma_max_mapping_size,
};

/*
 * From 6.12 on the kernel calls its IOMMU code for a device that is marked so,
 * whatever operations the device has. Before, that code was the operations.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && defined(CONFIG_IOMMU_DMA)
static bool vr_dma_iommu(const struct device *dev)
{
	return dev->dma_iommu;
}

static void vr_set_dma_iommu(struct device *dev, bool value)
{
	dev->dma_iommu = value;
}
#else
static bool vr_dma_iommu(const struct device *dev)
{
	return false;
}

static void vr_set_dma_iommu(struct device *dev, bool value)
{
}
#endif

/*
 * From 6.10 on the kernel leaves out syncs for a device for which they would do
 * nothing. It decides that when the transport's driver sets the device's mask,
 * which may be long ago, by the operations that there were.
 */
#ifdef CONFIG_DMA_NEED_SYNC
static bool vr_dma_skip_sync(const struct device *dev)
{
	return dev->dma_skip_sync;
}

static void vr_set_dma_skip_sync(struct device *dev, bool value)
{
	dev->dma_skip_sync = value;
}
#else
static bool vr_dma_skip_sync(const struct device *dev)
{
	return false;
}

static void vr_set_dma_skip_sync(struct device *dev, bool value)
{
}
#endif

/** vr_hook_init() - nothing has to be prepared */
int vr_hook_init(void)
{
	return 0;
}

/** vr_hook_exit() - nor undone */
void vr_hook_exit(void)
{
}

/** vr_hook_by_iommu() - does the kernel map by a device's IOMMU, if it has one? */
bool vr_hook_by_iommu(struct device *dev)
{
	return vr_dma_iommu(dev) || dev->dma_ops;
}

/**
 * vr_hook_other_ops() - whether somebody else maps memory for a device
 * @dev: the device
 *
 * Return: their operations, or NULL.
 */
const void *vr_hook_other_ops(struct device *dev)
{
	return device_iommu_mapped(dev) ? NULL : dev->dma_ops;
}

/**
 * vr_hook_take() - the device's DMA goes through us from here on
 * @vd: the device; no driver is bound yet
 */
void vr_hook_take(struct vr_device *vd)
{
	vd->hook.old_ops = vd->dev->dma_ops;
	vd->hook.old_dma_iommu = vr_dma_iommu(vd->dev);
	vd->hook.old_dma_skip_sync = vr_dma_skip_sync(vd->dev);
	vd->hook.ops = vr_dma_ops;
	set_dma_ops(vd->dev, &vd->hook.ops);
	vr_set_dma_iommu(vd->dev, false);
	vr_set_dma_skip_sync(vd->dev, false);
}

/**
 * vr_hook_give_back() - undo vr_hook_take()
 * @vd: the device; no driver is bound any more
 */
void vr_hook_give_back(struct vr_device *vd)
{
	/* Some kernels have taken the operations away by now. */
	if (vd->dev->dma_ops == &vd->hook.ops)
		set_dma_ops(vd->dev, vd->hook.old_ops);
	vr_set_dma_iommu(vd->dev, vd->hook.old_dma_iommu);
	vr_set_dma_skip_sync(vd->dev, vd->hook.old_dma_skip_sync);
}

#endif /* !VR_MAP_OPS */
