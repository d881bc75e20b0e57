// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the kernel's own grants out of the devices' windows.
 *
 * What lets a backend reach a device's memory are entries at the end of this
 * guest's grant table, which the toolstack has written. The kernel knows nothing
 * of them: it takes the whole table for free, and its PV drivers would write
 * their grants over them. So the references from the first window on are
 * allocated here and never used. Xenstore tells where the windows are.
 *
 * The kernel hands references out as they come. To get at those at the end, all
 * that are free have to be taken for a moment, and the others given back. A
 * driver that asks in that moment is told that there are none, as it is when the
 * table is full, so the module had better be loaded before there is much to do.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/notifier.h>
#include <linux/printk.h>
#include <linux/slab.h>

#include <xen/grant_table.h>
#include <xen/page.h>
#include <xen/platform_pci.h>
#include <xen/xen.h>
#include <xen/xenbus.h>

#include "virtio_restricted.h"

#define VR_DEVICES		"device/virtio_restricted"
/* Held at version 1 by the toolstack. */
#define VR_GRANTS_PER_FRAME	(XEN_PAGE_SIZE / sizeof(struct grant_entry_v1))
/* By one call, whose argument has 16 bits. */
#define VR_GRANTS_MAX		SZ_32K

/* A list as the kernel makes it, and how many are in it. */
static grant_ref_t vr_held;
static unsigned int vr_n_held;

static unsigned int vr_first_of(const char *device)
{
	char *path = kasprintf(GFP_KERNEL, VR_DEVICES "/%s", device);
	unsigned int pool, iova;

	if (!path)
		return UINT_MAX;
	pool = xenbus_read_unsigned(path, "pool-gref", UINT_MAX);
	iova = xenbus_read_unsigned(path, "iova-gref", UINT_MAX);
	kfree(path);
	return min(pool, iova);
}

/* The first reference of all windows; UINT_MAX when there are none. */
static unsigned int vr_first_gref(void)
{
	unsigned int i, n, first = UINT_MAX;
	char **devices;

	devices = xenbus_directory(XBT_NIL, VR_DEVICES, "", &n);
	if (IS_ERR(devices))
		return UINT_MAX;
	for (i = 0; i < n; i++)
		first = min(first, vr_first_of(devices[i]));
	kfree(devices);
	return first;
}

/* Those from @first on are held, the others go to the list @low. */
static void vr_sort(grant_ref_t ref, grant_ref_t first, grant_ref_t *low)
{
	if (ref < first) {
		gnttab_release_grant_reference(low, ref);
	} else {
		gnttab_release_grant_reference(&vr_held, ref);
		vr_n_held++;
	}
}

/*
 * Takes @n references. Returns the highest, or -ENOSPC when there are not so
 * many.
 */
static int vr_take(unsigned int n, grant_ref_t first, grant_ref_t *low)
{
	grant_ref_t head;
	int ref, last = 0;

	if (gnttab_alloc_grant_references(n, &head))
		return -ENOSPC;
	while (!gnttab_empty_grant_references(&head)) {
		ref = gnttab_claim_grant_reference(&head);
		last = max(last, ref);
		vr_sort(ref, first, low);
	}
	return last;
}

/*
 * Takes all references of a table of @end, which comes to its full size by that,
 * and gives back those below @first. New ones come in ascending order, behind
 * those that are free already. A table that has its full size already may have
 * its last reference anywhere: then it goes on, as long as a window's reference
 * is missing and any is free.
 */
static int vr_hold(grant_ref_t first, grant_ref_t end)
{
	unsigned int n = VR_GRANTS_PER_FRAME;
	grant_ref_t low;
	int ref, last = 0;

	/* Two empty lists: what is left of one when its only member is taken. */
	if (gnttab_alloc_grant_references(1, &low))
		return -ENOSPC;
	ref = gnttab_claim_grant_reference(&low);
	vr_held = low;
	vr_sort(ref, first, &low);

	while (vr_n_held < end - first && n) {
		ref = vr_take(n, first, &low);
		if (ref < 0) {
			n /= 2; /* somebody else has taken some meanwhile */
			continue;
		}
		last = max(last, ref);
		n = last < end - 1 ? end - 1 - last : end - first - vr_n_held;
		n = min_t(unsigned int, n, VR_GRANTS_MAX);
	}
	gnttab_free_grant_references(low);
	return 0;
}

static int vr_xenstore_ready(struct notifier_block *nb, unsigned long event,
			     void *data)
{
	unsigned int first = vr_first_gref();
	unsigned int end = gnttab_max_grant_frames() * VR_GRANTS_PER_FRAME;

	if (first < GNTTAB_NR_RESERVED_ENTRIES || first >= end || vr_n_held)
		return NOTIFY_DONE;
	if (vr_hold(first, end))
		vr_n_held = 0;
	if (vr_n_held == end - first)
		pr_info("holds grants %u-%u, which are the devices' windows\n",
			first, end - 1);
	else
		pr_warn("holds %u of the grants %u-%u, which are the devices' windows: others are in use; load the module earlier\n",
			vr_n_held, first, end - 1);
	return NOTIFY_DONE;
}

static struct notifier_block vr_xenstore_nb = {
	.notifier_call = vr_xenstore_ready,
};

void vr_grants_init(void)
{
	/* Without PV devices the kernel has no grant table, nor any grants. */
	if (xen_domain() && xen_has_pv_devices())
		register_xenstore_notifier(&vr_xenstore_nb);
}

void vr_grants_exit(void)
{
	if (!xen_domain() || !xen_has_pv_devices())
		return;
	unregister_xenstore_notifier(&vr_xenstore_nb);
	if (vr_n_held)
		gnttab_free_grant_references(vr_held);
}
