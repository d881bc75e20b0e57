// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does on purpose what the kernel's checks have to notice, so that a test can
 * tell "no report" from "nobody looks": insmod misuse.ko device=NAME does all
 * of it, with a mapping of that device.
 */

#define pr_fmt(fmt) "misuse: " fmt

#include <linux/compiler.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/preempt.h>
#include <linux/slab.h>

static char *device;
module_param(device, charp, 0400);

static DEFINE_MUTEX(one);
static DEFINE_MUTEX(other);

/* A mapping that is given back twice. */
static int mappings(u8 *buffer)
{
	struct device *dev;
	dma_addr_t addr;

	dev = bus_find_device_by_name(&platform_bus_type, NULL, device);
	if (!dev)
		return -ENODEV;
	addr = dma_map_single(dev, buffer, 512, DMA_TO_DEVICE);
	if (!dma_mapping_error(dev, addr)) {
		dma_unmap_single(dev, addr, 512, DMA_TO_DEVICE);
		dma_unmap_single(dev, addr, 512, DMA_TO_DEVICE);
	}
	put_device(dev);
	return 0;
}

/* A byte behind the buffer, and still within its slab. */
static void bounds(u8 *buffer, size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	WRITE_ONCE(buffer[size], 1);
}

static void sleeping(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static void order(void)
{
	mutex_lock(&one);
	mutex_lock(&other);
	mutex_unlock(&other);
	mutex_unlock(&one);

	mutex_lock(&other);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&other);
}

static int __init misuse_init(void)
{
	u8 *buffer = kmalloc(520, GFP_KERNEL);
	int ret;

	if (!buffer)
		return -ENOMEM;
	order(); /* first: lockdep gives up when anything else is wrong */
	ret = mappings(buffer);
	bounds(buffer, 520);
	sleeping();
	kfree(buffer);
	pr_info("done\n");
	return ret;
}

static void __exit misuse_exit(void)
{
}

module_init(misuse_init);
module_exit(misuse_exit);

MODULE_DESCRIPTION("Misuses the kernel, to see that it notices");
MODULE_LICENSE("GPL");
