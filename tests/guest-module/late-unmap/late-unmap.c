// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has a virtio-mmio device behind an IOMMU unmap memory at the last moment:
 * right before Linux shuts it down, and then the IOMMU. With a lazy IOMMU the
 * unmapping has not been waited for by then.
 *
 * Linux shuts devices down in the opposite order of their registration. The one
 * that is registered here is the last one, so it is the first.
 */

#define pr_fmt(fmt) "late-unmap: " fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

/* The flush of what was unmapped earlier comes within 10 ms and some ticks. */
#define FLUSHED_MS	100

static struct platform_device *self;
static struct device *target;
static void *page;

static void late_shutdown(struct platform_device *pdev)
{
	dma_addr_t addr;

	msleep(FLUSHED_MS);
	addr = dma_map_single(target, page, PAGE_SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(target, addr)) {
		pr_err("cannot map\n");
		return;
	}
	dma_unmap_single(target, addr, PAGE_SIZE, DMA_TO_DEVICE);
	pr_warn("unmapped\n");
}

static struct platform_driver late_driver = {
	.driver.name = "late-unmap",
	.shutdown = late_shutdown,
};

static int is_target(struct device *dev, const void *data)
{
	return dev->driver && !strcmp(dev->driver->name, "virtio-mmio") &&
		device_iommu_mapped(dev);
}

static int __init late_init(void)
{
	int ret = -ENODEV;

	target = bus_find_device(&platform_bus_type, NULL, NULL, is_target);
	if (!target) {
		pr_err("there is no virtio-mmio device behind an IOMMU\n");
		return ret;
	}
	ret = -ENOMEM;
	page = (void *)__get_free_page(GFP_KERNEL);
	if (!page)
		goto out_target;
	ret = platform_driver_register(&late_driver);
	if (ret)
		goto out_page;
	self = platform_device_register_simple("late-unmap", -1, NULL, 0);
	ret = PTR_ERR_OR_ZERO(self);
	if (!ret)
		return 0;
	platform_driver_unregister(&late_driver);
out_page:
	free_page((unsigned long)page);
out_target:
	put_device(target);
	return ret;
}
module_init(late_init);

MODULE_DESCRIPTION("Unmaps memory right before a device is shut down");
MODULE_LICENSE("GPL");
