// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters, below /sys/kernel/debug: virtio_restricted/DEVICE, one line each;
 * virtio_restricted_doorbells, a line for each queue that has one.
 */

#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/seq_file.h>

#include "virtio_restricted.h"

static struct dentry *vr_debugfs_dir, *vr_debugfs_bells;

static void vr_iommu_show(struct seq_file *file, const struct vr_iommu *io,
			  const struct vr_stats *sum)
{
	seq_printf(file, "iova_base %#llx\n", (u64)io->base);
	seq_printf(file, "iova_size %llu\n", (u64)io->pages << PAGE_SHIFT);
	seq_printf(file, "iova_used %llu\n",
		   (u64)READ_ONCE(io->used) << PAGE_SHIFT);
	seq_printf(file, "mapped %llu\n", sum->mapped);
	seq_printf(file, "mapped_bytes %llu\n", sum->mapped_bytes);
	seq_printf(file, "batches %llu\n", sum->batches);
	seq_printf(file, "maps %llu\n", sum->maps);
	seq_printf(file, "unmaps %llu\n", sum->unmaps);
	seq_printf(file, "fallbacks %llu\n", sum->fallbacks);
	seq_printf(file, "lost %llu\n", sum->lost);
}

static int vr_stats_show(struct seq_file *file, void *unused)
{
	struct vr_device *vd = file->private;
	struct vr_pool *pool = &vd->pool;
	struct vr_stats sum;

	vr_stats_sum(vd, &sum);
	seq_printf(file, "base %#llx\n", (u64)pool->range.base);
	seq_printf(file, "size %zu\n", pool->range.size);
	seq_printf(file, "max_mapping %zu\n", pool->max_mapping);
	seq_printf(file, "used %lu\n", vr_pool_used(pool));
	seq_printf(file, "high_water %lu\n",
		   vr_pool_high_water(pool));
	seq_printf(file, "mappings %llu\n",
		   sum.allocated + sum.copied);
	seq_printf(file, "failed %lld\n", (s64)atomic64_read(&pool->failed));
	seq_printf(file, "copied %llu\n", sum.copied);
	seq_printf(file, "copied_bytes %llu\n", sum.copied_bytes);
	if (vd->iommu)
		vr_iommu_show(file, vd->iommu, &sum);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vr_stats);

static int vr_doorbells_show(struct seq_file *file, void *unused)
{
	vr_bells_show(file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vr_doorbells);

/** vr_debugfs_init() - make folder and file; without debugfs nothing is shown */
void vr_debugfs_init(void)
{
	vr_debugfs_dir = debugfs_create_dir("virtio_restricted", NULL);
	vr_debugfs_bells = debugfs_create_file("virtio_restricted_doorbells",
					       0400, NULL, NULL,
					       &vr_doorbells_fops);
}

/** vr_debugfs_exit() - remove them */
void vr_debugfs_exit(void)
{
	debugfs_remove(vr_debugfs_bells);
	debugfs_remove(vr_debugfs_dir);
}

/** vr_debugfs_add() - show a device's counters */
void vr_debugfs_add(struct vr_device *vd)
{
	vd->file = debugfs_create_file(dev_name(vd->dev), 0400, vr_debugfs_dir,
				       vd, &vr_stats_fops);
}

/** vr_debugfs_remove() - hide them; returns when nobody reads them any more */
void vr_debugfs_remove(struct vr_device *vd)
{
	debugfs_remove(vd->file);
}
