// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a device's pool is, from firmware nodes.
 *
 * Device tree and ACPI say it in the same terms: the device's property
 * "memory-region" refers to the pool, which is "restricted-dma-pool" by its
 * property "compatible". They differ in how the pool says where it is:
 *
 *   device tree	a node in /reserved-memory, ordinary RAM that the kernel
 *			has set aside
 *   ACPI		a device with the range in its _CRS, which lies outside
 *			of the RAM that the firmware gave to the kernel
 *
 * When the device refers to none, its IOMMU may tell of one (probe.c): a range
 * that is as firmware's are, a node of /reserved-memory or outside of the
 * kernel's RAM.
 */

#include <linux/acpi.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/property.h>

#include "virtio_restricted.h"

/* Nobody has set it aside for us: the kernel must never have had it. */
static bool vr_is_kernels(const struct resource *res)
{
	return region_intersects(res->start, resource_size(res),
				 IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	       REGION_DISJOINT;
}

#ifdef CONFIG_ACPI
static int vr_acpi_range(struct device *dev, struct fwnode_handle *pool,
			 struct resource *res)
{
	struct resource_entry *entry;
	LIST_HEAD(list);
	int n;

	n = acpi_dev_get_memory_resources(to_acpi_device_node(pool), &list);
	if (n == 1) {
		entry = list_first_entry(&list, struct resource_entry, node);
		*res = *entry->res;
	}
	acpi_dev_free_resource_list(&list);
	if (n != 1) {
		dev_err(dev, "%pfw has %d memory ranges in its _CRS instead of one\n",
			pool, n);
		return -EINVAL;
	}
	if (vr_is_kernels(res)) {
		dev_err(dev, "%pfw is RAM that the kernel uses: %pR\n", pool,
			res);
		return -EBUSY;
	}
	return 0;
}
#else
static int vr_acpi_range(struct device *dev, struct fwnode_handle *pool,
			 struct resource *res)
{
	return -ENODEV;
}
#endif

static int vr_of_range(struct device *dev, struct fwnode_handle *pool,
		       struct resource *res)
{
	/* Only what the kernel has set aside, whatever the node says. */
	struct reserved_mem *mem = of_reserved_mem_lookup(to_of_node(pool));

	if (!mem) {
		dev_err(dev, "%pfw is not reserved: not a node of /reserved-memory\n",
			pool);
		return -EINVAL;
	}
	res->start = mem->base;
	res->end = mem->base + mem->size - 1;
	res->flags = IORESOURCE_MEM;
	return 0;
}

static int vr_check(struct device *dev, const struct resource *res,
		    struct vr_range *range)
{
	range->base = res->start;
	range->size = resource_size(res);
	if (!PAGE_ALIGNED(range->base) || !PAGE_ALIGNED(range->size) ||
	    range->size < VR_POOL_MIN || range->size > VR_POOL_MAX) {
		dev_err(dev, "a pool at %pR cannot be used: whole pages from 128 KiB to 1 GiB\n",
			res);
		return -EINVAL;
	}
	return 0;
}

static int vr_range(struct device *dev, struct fwnode_handle *pool,
		    struct vr_range *range)
{
	struct resource res = {};
	int ret;

	if (is_of_node(pool))
		ret = vr_of_range(dev, pool, &res);
	else
		ret = vr_acpi_range(dev, pool, &res);
	return ret ?: vr_check(dev, &res, range);
}

/*
 * Whether it is a node of /reserved-memory that is a pool. In a device tree a
 * pool is RAM, and that a virtio-iommu says so does not take it from the kernel.
 */
static bool vr_is_set_aside(const struct resource *res)
{
	struct device_node *parent = of_find_node_by_path("/reserved-memory");
	struct device_node *node;
	bool found = false;

	for_each_available_child_of_node(parent, node) {
		struct reserved_mem *mem = of_reserved_mem_lookup(node);

		found |= mem && mem->base == res->start &&
			 mem->size == resource_size(res) &&
			 of_device_is_compatible(node, "restricted-dma-pool");
	}
	of_node_put(parent);
	return found;
}

/* Firmware does not say that the device has a pool. */
static int vr_iommu_range(struct device *dev, struct vr_range *range)
{
	struct resource res;
	int ret = vr_probe_pool(dev, &res);

	if (ret)
		return ret;
	if (vr_is_kernels(&res) && !vr_is_set_aside(&res)) {
		dev_err(dev, "the pool that its IOMMU tells of is RAM that the kernel uses: %pR\n",
			&res);
		return -EBUSY;
	}
	return vr_check(dev, &res, range);
}

/**
 * vr_firmware_pool() - find the pool that firmware, or its IOMMU, gave to a
 * device
 * @dev: the device
 * @range: filled
 *
 * Return: 0, -ENOENT when the device has no pool, or another error, which has
 * been reported, when it has one that cannot be used.
 */
int vr_firmware_pool(struct device *dev, struct vr_range *range)
{
	struct fwnode_handle *pool;
	unsigned int i;
	int ret;

	/* Other regions may stand beside the pool. */
	for (i = 0;; i++) {
		pool = fwnode_find_reference(dev_fwnode(dev), "memory-region",
					     i);
		if (IS_ERR(pool))
			return vr_iommu_range(dev, range);
		if (fwnode_property_match_string(pool, "compatible",
						 "restricted-dma-pool") >= 0 &&
		    fwnode_device_is_available(pool))
			break;
		fwnode_handle_put(pool);
	}

	ret = vr_range(dev, pool, range);
	fwnode_handle_put(pool);
	return ret;
}
