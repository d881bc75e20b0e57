// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools that a virtio-iommu tells of in its answers to PROBE, for devices of
 * which firmware says nothing (docs/proposals/restricted-dma-pool.md).
 *
 * The kernel's driver asks for each endpoint and passes nothing on of what it
 * does not know. So each endpoint is asked once more: when a driver is about to
 * be bound to a virtio-iommu, the device is set up, asked, and reset, so that
 * the driver finds it untouched. What it said is kept for the time when the
 * endpoints' own drivers are bound.
 *
 * The answers decide where data goes: they are checked as if they came from
 * anybody.
 */

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/property.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include <uapi/linux/virtio_iommu.h>

#include "virtio_restricted.h"

/* Endpoints are slots of virtio-mmio devices, which are few. */
#define VR_ENDPOINTS	32
/* For all of them. A device that takes longer is not waited for. */
#define VR_PROBE_TIME	(2 * HZ)
#define VR_ANSWER_MAX	SZ_64K

#define VR_PROP_TYPE	0xfff
#define VR_PROP_LENGTH	20

/* Guest physical, whole pages; @length and the rest as in the binding. */
struct vr_prop {
	__le16 type;
	__le16 length;
	u8 signature[4];
	__le64 base;
	__le64 size;
} __packed;

/**
 * struct vr_told - what a virtio-iommu said of an endpoint
 * @node: in the list of all of them
 * @iommu: the IOMMU's firmware node
 * @endpoint: its number there
 * @base: of the pool
 * @size: of the pool
 */
struct vr_told {
	struct list_head node;
	struct fwnode_handle *iommu;
	u32 endpoint;
	u64 base;
	u64 size;
};

static bool vr_probe_pools;
module_param_named(probe_pools, vr_probe_pools, bool, 0444);
MODULE_PARM_DESC(probe_pools, "look for pools in what a virtio-iommu says of its endpoints, too (default: no)");

static DEFINE_MUTEX(vr_told_lock);
static LIST_HEAD(vr_told_list);

static void vr_forget(const struct fwnode_handle *iommu)
{
	struct vr_told *told, *next;

	mutex_lock(&vr_told_lock);
	list_for_each_entry_safe(told, next, &vr_told_list, node) {
		if (iommu && told->iommu != iommu)
			continue;
		list_del(&told->node);
		fwnode_handle_put(told->iommu);
		kfree(told);
	}
	mutex_unlock(&vr_told_lock);
}

static int vr_keep(struct device *iommu, u32 endpoint, u64 base, u64 size)
{
	struct vr_told *told = kzalloc(sizeof(*told), GFP_KERNEL);

	if (!told)
		return -ENOMEM;
	told->iommu = fwnode_handle_get(dev_fwnode(iommu));
	told->endpoint = endpoint;
	told->base = base;
	told->size = size;
	mutex_lock(&vr_told_lock);
	list_add_tail(&told->node, &vr_told_list);
	mutex_unlock(&vr_told_lock);
	return 0;
}

/*
 * The property among @size bytes of them; 0 and *found filled, or -ENOENT, or
 * -EINVAL for what cannot be understood.
 */
static int vr_find_prop(const u8 *props, size_t size, struct vr_prop *found)
{
	struct virtio_iommu_probe_property head;
	size_t at = 0;
	int ret = -ENOENT;

	while (size - at >= sizeof(head)) {
		u16 type, length;

		memcpy(&head, props + at, sizeof(head));
		type = le16_to_cpu(head.type) & VIRTIO_IOMMU_PROBE_T_MASK;
		length = le16_to_cpu(head.length);
		if (type == VIRTIO_IOMMU_PROBE_T_NONE)
			break;
		if (length > size - at - sizeof(head))
			return -EINVAL;
		if (type == VR_PROP_TYPE && length == VR_PROP_LENGTH &&
		    !memcmp(props + at + sizeof(head), "VRDP", 4)) {
			if (!ret)
				return -EINVAL; /* a second one */
			memcpy(found, props + at, sizeof(*found));
			ret = 0;
		}
		at += sizeof(head) + length;
	}
	return ret;
}

/**
 * struct vr_asking - one request and what it needs
 * @vdev: the virtio-iommu
 * @vq: its request queue
 * @end: when to give up, jiffies
 * @size: bytes of properties in an answer
 * @head: what the device reads
 * @answer: what it writes: properties and status
 */
struct vr_asking {
	struct virtio_device *vdev;
	struct virtqueue *vq;
	unsigned long end;
	u32 size;
	struct virtio_iommu_req_probe *head;
	u8 *answer;
};

/* Properties are in @a->answer after 0, which is also -ENOENT's case. */
static int vr_ask(struct vr_asking *a, u32 endpoint)
{
	struct virtio_iommu_req_tail *tail = (void *)(a->answer + a->size);
	struct scatterlist out, in, *sgs[] = { &out, &in };
	unsigned int len;
	int ret;

	memset(a->head, 0, sizeof(*a->head));
	a->head->head.type = VIRTIO_IOMMU_T_PROBE;
	a->head->endpoint = cpu_to_le32(endpoint);
	memset(a->answer, 0, a->size);
	memset(tail, 0xff, sizeof(*tail));

	sg_init_one(&out, a->head, sizeof(*a->head));
	sg_init_one(&in, a->answer, a->size + sizeof(*tail));
	ret = virtqueue_add_sgs(a->vq, sgs, 1, 1, a, GFP_KERNEL);
	if (ret)
		return ret;
	if (!virtqueue_kick(a->vq))
		return -EIO;
	while (!virtqueue_get_buf(a->vq, &len)) {
		if (virtqueue_is_broken(a->vq))
			return -EIO;
		if (time_after(jiffies, a->end))
			return -ETIMEDOUT;
		usleep_range(50, 100);
	}
	return tail->status == VIRTIO_IOMMU_S_OK ? 0 : -ENOENT;
}

static int vr_ask_all(struct vr_asking *a)
{
	struct device *iommu = a->vdev->dev.parent;
	u32 endpoint;

	a->end = jiffies + VR_PROBE_TIME;
	for (endpoint = 0; endpoint < VR_ENDPOINTS; endpoint++) {
		struct vr_prop prop;
		int ret = vr_ask(a, endpoint);

		if (!ret)
			ret = vr_find_prop(a->answer, a->size, &prop);
		if (ret == -EINVAL)
			dev_err(iommu, "what it says of endpoint %u cannot be understood\n",
				endpoint);
		else if (ret && ret != -ENOENT)
			return ret;
		if (ret)
			continue;
		ret = vr_keep(iommu, endpoint, le64_to_cpu(prop.base),
			      le64_to_cpu(prop.size));
		if (ret)
			return ret;
	}
	return 0;
}

/* What a driver's probe does, with a queue and features of our choice. */
static int vr_set_up(struct vr_asking *a)
{
	struct virtio_device *vdev = a->vdev;
	__le32 size;
	int ret;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	vdev->features = vdev->config->get_features(vdev) &
			 (BIT_ULL(VIRTIO_F_VERSION_1) |
			  BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |
			  BIT_ULL(VIRTIO_IOMMU_F_PROBE));
	if (!(vdev->features & BIT_ULL(VIRTIO_F_VERSION_1)) ||
	    !(vdev->features & BIT_ULL(VIRTIO_IOMMU_F_PROBE)))
		return -ENOENT;
	ret = vdev->config->finalize_features(vdev);
	if (ret)
		return ret;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;

	vdev->config->get(vdev, offsetof(struct virtio_iommu_config, probe_size),
			  &size, sizeof(size));
	a->size = le32_to_cpu(size);
	if (a->size < sizeof(struct vr_prop))
		return -ENOENT;
	if (a->size > VR_ANSWER_MAX)
		return -EMSGSIZE;
	a->head = kzalloc(sizeof(*a->head), GFP_KERNEL);
	a->answer = kzalloc(a->size + sizeof(struct virtio_iommu_req_tail),
			    GFP_KERNEL);
	if (!a->head || !a->answer)
		return -ENOMEM;
	a->vq = virtio_find_single_vq(vdev, NULL, "request");
	if (IS_ERR(a->vq)) {
		ret = PTR_ERR(a->vq);
		a->vq = NULL;
		return ret;
	}
	virtio_device_ready(vdev);
	return 0;
}

static void vr_read(struct virtio_device *vdev)
{
	struct vr_asking a = { .vdev = vdev };
	struct device *iommu = vdev->dev.parent;
	int ret;

	if (!dev_fwnode(iommu))
		return;
	vr_forget(dev_fwnode(iommu));
	ret = vr_set_up(&a);
	if (!ret)
		ret = vr_ask_all(&a);
	if (ret && ret != -ENOENT)
		dev_err(iommu, "its endpoints' pools could not be read (%d)\n",
			ret);

	/* As the driver expects it. Nothing is under way after the reset. */
	virtio_reset_device(vdev);
	if (a.vq) {
		virtqueue_detach_unused_buf(a.vq); /* when it did not answer */
		vdev->config->del_vqs(vdev);
	}
	vdev->features = 0;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	kfree(a.answer);
	kfree(a.head);
}

static int vr_probe_notify(struct notifier_block *nb, unsigned long action,
			   void *data)
{
	struct virtio_device *vdev = dev_to_virtio((struct device *)data);

	if (action == BUS_NOTIFY_BIND_DRIVER &&
	    vdev->id.device == VIRTIO_ID_IOMMU)
		vr_read(vdev);
	return NOTIFY_DONE;
}

static struct notifier_block vr_probe_notifier = {
	.notifier_call = vr_probe_notify,
};

/* For no device: what is wanted is the bus, which is not exported. */
static const struct virtio_device_id vr_no_ids[] = { {} };
static struct virtio_driver vr_no_driver = {
	.driver.name = "virtio_restricted",
	.id_table = vr_no_ids,
};

static int vr_tell_bound(struct device *dev, void *unused)
{
	device_lock(dev);
	if (dev->driver && dev_to_virtio(dev)->id.device == VIRTIO_ID_IOMMU)
		dev_warn(dev, "was bound before virtio_restricted was loaded: what it says of pools is not known\n");
	device_unlock(dev);
	return 0;
}

/** vr_probe_init() - begin to listen to virtio-iommus, if that is wanted */
int vr_probe_init(void)
{
	int ret;

	if (!vr_probe_pools)
		return 0;
	ret = register_virtio_driver(&vr_no_driver);
	if (ret)
		return ret;
	ret = bus_register_notifier(vr_no_driver.driver.bus,
				    &vr_probe_notifier);
	if (ret) {
		unregister_virtio_driver(&vr_no_driver);
		return ret;
	}
	bus_for_each_dev(vr_no_driver.driver.bus, NULL, NULL, vr_tell_bound);
	return 0;
}

/** vr_probe_exit() - undo vr_probe_init() */
void vr_probe_exit(void)
{
	if (!vr_probe_pools)
		return;
	bus_unregister_notifier(vr_no_driver.driver.bus, &vr_probe_notifier);
	unregister_virtio_driver(&vr_no_driver);
	vr_forget(NULL);
}

/**
 * vr_probe_pool() - find the pool that a device's IOMMU told of
 * @dev: the device
 * @res: filled
 *
 * Return: 0, or -ENOENT when there is none.
 */
int vr_probe_pool(struct device *dev, struct resource *res)
{
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(dev);
	struct vr_told *told;
	int ret = -ENOENT;

	if (!vr_probe_pools || !fwspec || !fwspec->num_ids)
		return -ENOENT;
	mutex_lock(&vr_told_lock);
	list_for_each_entry(told, &vr_told_list, node) {
		if (told->iommu == fwspec->iommu_fwnode &&
		    told->endpoint == fwspec->ids[0] && told->size &&
		    told->base + told->size - 1 >= told->base) {
			*res = DEFINE_RES_MEM(told->base, told->size);
			ret = 0;
		}
	}
	mutex_unlock(&vr_told_lock);
	return ret;
}
