// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of devices with doorbells: what is to be written into them to
 * make a queue with an event channel, and to take it down. Called by doorbell.c.
 *
 * virtio_mmio and virtio_pci keep their own mappings of the registers to
 * themselves, so here is another one. While a virtio driver has the device they
 * write no register that selects a queue, or belongs to one.
 */

#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "bells.h"

/* What the register reads as: this, and the domain that serves the device. It
 * takes the selected queue's event channel, before that is enabled. */
#define VR_DOORBELL_OK		0x80000000u
#define VR_DOORBELL_DOMID	0x00007fffu

/* Where virtio_mmio has nothing. */
#define VR_MMIO_QUEUE_DOORBELL	0x0d0

/* PCI: in a capability with data of a vendor's, by the vendor's number. Not all
 * kernels have names for these. */
#define VR_PCI_CAP_VENDOR	9
#define VR_PCI_CAP_VENDOR_ID	4
#define VR_PCI_CAP_VENDOR_BAR	6
#define VR_PCI_VENDOR_XEN	0x5853
#define VR_PCI_COMMON_Q_RESET	58

static bool vr_get_domain(struct vr_bells *bells)
{
	u32 value = ioread32(bells->doorbell);

	bells->domid = value & VR_DOORBELL_DOMID;
	return value & VR_DOORBELL_OK;
}

static irqreturn_t vr_told(struct vr_bells *bells, bool config)
{
	if (config)
		virtio_config_changed(bells->vdev);
	return IRQ_HANDLED;
}

/* ---- virtio_mmio ---- */

static unsigned int vr_mmio_select(struct vr_bells *bells, unsigned int index)
{
	writel(index, bells->base + VIRTIO_MMIO_QUEUE_SEL);
	if (readl(bells->base + VIRTIO_MMIO_QUEUE_READY))
		return 0;
	return readl(bells->base + VIRTIO_MMIO_QUEUE_NUM_MAX);
}

static void vr_mmio_addr(struct vr_bells *bells, unsigned int low, u64 addr)
{
	writel((u32)addr, bells->base + low);
	writel((u32)(addr >> 32), bells->base + low + 4);
}

static void vr_mmio_start(struct vr_bells *bells, const struct vr_bell *bell)
{
	struct virtqueue *vq = bell->vq;

	writel(vq->index, bells->base + VIRTIO_MMIO_QUEUE_SEL);
	writel(virtqueue_get_vring_size(vq),
	       bells->base + VIRTIO_MMIO_QUEUE_NUM);
	vr_mmio_addr(bells, VIRTIO_MMIO_QUEUE_DESC_LOW,
		     virtqueue_get_desc_addr(vq));
	vr_mmio_addr(bells, VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		     virtqueue_get_avail_addr(vq));
	vr_mmio_addr(bells, VIRTIO_MMIO_QUEUE_USED_LOW,
		     virtqueue_get_used_addr(vq));
	writel(bell->port, bells->doorbell);
	writel(1, bells->base + VIRTIO_MMIO_QUEUE_READY);
}

static void vr_mmio_stop(struct vr_bells *bells, unsigned int index)
{
	writel(index, bells->base + VIRTIO_MMIO_QUEUE_SEL);
	writel(0, bells->base + VIRTIO_MMIO_QUEUE_READY);
	/* Whoever has the queue next may not know of the register. */
	writel(0, bells->doorbell);
}

static irqreturn_t vr_mmio_interrupt(int irq, void *data)
{
	struct vr_bells *bells = data;
	u32 status = readl(bells->base + VIRTIO_MMIO_INTERRUPT_STATUS);

	if (!status)
		return IRQ_NONE;
	writel(status, bells->base + VIRTIO_MMIO_INTERRUPT_ACK);
	return vr_told(bells, status & VIRTIO_MMIO_INT_CONFIG);
}

static int vr_mmio_listen(struct vr_bells *bells)
{
	struct device *parent = bells->vdev->dev.parent;
	int ret = request_irq(bells->irq, vr_mmio_interrupt, IRQF_SHARED,
			      dev_name(&bells->vdev->dev), bells);

	if (!ret && device_property_read_bool(parent, "wakeup-source"))
		enable_irq_wake(bells->irq);
	return ret;
}

static void vr_mmio_deafen(struct vr_bells *bells)
{
	free_irq(bells->irq, bells);
}

static const struct vr_bell_regs vr_mmio_regs = {
	.select = vr_mmio_select,
	.start = vr_mmio_start,
	.stop = vr_mmio_stop,
	.listen = vr_mmio_listen,
	.deafen = vr_mmio_deafen,
};

static bool vr_mmio_map(struct vr_bells *bells, struct platform_device *pdev)
{
	struct resource *res = platform_get_resource(pdev, IORESOURCE_MEM, 0);

	bells->regs = &vr_mmio_regs;
	bells->irq = platform_get_irq(pdev, 0);
	if (!res || resource_size(res) < VIRTIO_MMIO_CONFIG || bells->irq <= 0)
		return false;
	bells->base = ioremap(res->start, resource_size(res));
	if (!bells->base || readl(bells->base + VIRTIO_MMIO_VERSION) != 2)
		return false;
	bells->doorbell = bells->base + VR_MMIO_QUEUE_DOORBELL;
	return vr_get_domain(bells);
}

static void vr_mmio_unmap(struct vr_bells *bells)
{
	if (bells->base)
		iounmap(bells->base);
}

/* ---- virtio_pci ---- */

#ifdef CONFIG_PCI

static unsigned int vr_pci_select(struct vr_bells *bells, unsigned int index)
{
	iowrite16(index, bells->base + VIRTIO_PCI_COMMON_Q_SELECT);
	if (ioread16(bells->base + VIRTIO_PCI_COMMON_Q_ENABLE))
		return 0;
	return ioread16(bells->base + VIRTIO_PCI_COMMON_Q_SIZE);
}

static void vr_pci_addr(struct vr_bells *bells, unsigned int low, u64 addr)
{
	iowrite32((u32)addr, bells->base + low);
	iowrite32((u32)(addr >> 32), bells->base + low + 4);
}

static void vr_pci_start(struct vr_bells *bells, const struct vr_bell *bell)
{
	struct virtqueue *vq = bell->vq;

	iowrite16(vq->index, bells->base + VIRTIO_PCI_COMMON_Q_SELECT);
	iowrite16(virtqueue_get_vring_size(vq),
		  bells->base + VIRTIO_PCI_COMMON_Q_SIZE);
	vr_pci_addr(bells, VIRTIO_PCI_COMMON_Q_DESCLO,
		    virtqueue_get_desc_addr(vq));
	vr_pci_addr(bells, VIRTIO_PCI_COMMON_Q_AVAILLO,
		    virtqueue_get_avail_addr(vq));
	vr_pci_addr(bells, VIRTIO_PCI_COMMON_Q_USEDLO,
		    virtqueue_get_used_addr(vq));
	iowrite32(bell->port, bells->doorbell);
	iowrite16(1, bells->base + VIRTIO_PCI_COMMON_Q_ENABLE);
}

/* Most drivers have reset the device before, and with it its queues. */
static void vr_pci_stop(struct vr_bells *bells, unsigned int index)
{
	void __iomem *reset = bells->base + VR_PCI_COMMON_Q_RESET;

	iowrite16(index, bells->base + VIRTIO_PCI_COMMON_Q_SELECT);
	if (!ioread16(bells->base + VIRTIO_PCI_COMMON_Q_ENABLE) ||
	    !virtio_has_feature(bells->vdev, VIRTIO_F_RING_RESET))
		return;
	iowrite16(1, reset);
	while (ioread16(reset))
		msleep(1);
}

/* By a message, which is not acknowledged. */
static irqreturn_t vr_pci_message(int irq, void *data)
{
	return vr_told(data, true);
}

static irqreturn_t vr_pci_interrupt(int irq, void *data)
{
	struct vr_bells *bells = data;
	u8 isr = ioread8(bells->isr);

	if (!isr)
		return IRQ_NONE;
	return vr_told(bells, isr & VIRTIO_PCI_ISR_CONFIG);
}

static void vr_pci_deafen(struct vr_bells *bells)
{
	struct pci_dev *pdev = to_pci_dev(bells->vdev->dev.parent);

	if (pdev->msix_enabled) {
		iowrite16(VIRTIO_MSI_NO_VECTOR,
			  bells->base + VIRTIO_PCI_COMMON_MSIX);
		/* The device has it before the vector goes. */
		ioread16(bells->base + VIRTIO_PCI_COMMON_MSIX);
	}
	free_irq(bells->irq, bells);
	pci_free_irq_vectors(pdev);
}

static int vr_pci_listen(struct vr_bells *bells)
{
	struct pci_dev *pdev = to_pci_dev(bells->vdev->dev.parent);
	int ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES);

	if (ret < 0)
		return ret;
	bells->irq = pci_irq_vector(pdev, 0);
	if (pdev->msix_enabled)
		ret = request_irq(bells->irq, vr_pci_message, 0,
				  dev_name(&bells->vdev->dev), bells);
	else
		ret = request_irq(bells->irq, vr_pci_interrupt, IRQF_SHARED,
				  dev_name(&bells->vdev->dev), bells);
	if (ret) {
		pci_free_irq_vectors(pdev);
		return ret;
	}
	if (pdev->msix_enabled) {
		iowrite16(0, bells->base + VIRTIO_PCI_COMMON_MSIX);
		if (ioread16(bells->base + VIRTIO_PCI_COMMON_MSIX)) {
			vr_pci_deafen(bells);
			return -EBUSY;
		}
	}
	return 0;
}

static const struct vr_bell_regs vr_pci_regs = {
	.select = vr_pci_select,
	.start = vr_pci_start,
	.stop = vr_pci_stop,
	.listen = vr_pci_listen,
	.deafen = vr_pci_deafen,
};

/* Whether a capability tells of a structure of that kind, and in which BAR. */
static bool vr_pci_tells(struct pci_dev *pdev, int pos, u8 want, u8 *bar)
{
	u16 vendor;
	u8 kind;

	pci_read_config_byte(pdev, pos + offsetof(struct virtio_pci_cap,
						  cfg_type), &kind);
	if (kind != want)
		return false;
	if (kind != VR_PCI_CAP_VENDOR) {
		pci_read_config_byte(pdev, pos + offsetof(struct virtio_pci_cap,
							  bar), bar);
		return true;
	}
	pci_read_config_word(pdev, pos + VR_PCI_CAP_VENDOR_ID, &vendor);
	pci_read_config_byte(pdev, pos + VR_PCI_CAP_VENDOR_BAR, bar);
	return vendor == VR_PCI_VENDOR_XEN;
}

/* What the first such capability tells of, mapped; NULL: none does. */
static void __iomem *vr_pci_map_part(struct pci_dev *pdev, u8 kind, u32 size)
{
	int pos = pci_find_capability(pdev, PCI_CAP_ID_VNDR);
	u32 offset, length;
	u8 bar;

	while (pos && !vr_pci_tells(pdev, pos, kind, &bar))
		pos = pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR);
	if (!pos || bar >= PCI_STD_NUM_BARS)
		return NULL;
	pci_read_config_dword(pdev, pos + offsetof(struct virtio_pci_cap,
						   offset), &offset);
	pci_read_config_dword(pdev, pos + offsetof(struct virtio_pci_cap,
						   length), &length);
	if (length < size || pci_resource_len(pdev, bar) < (u64)offset + size)
		return NULL;
	return pci_iomap_range(pdev, bar, offset, size);
}

static bool vr_pci_map(struct vr_bells *bells, struct pci_dev *pdev)
{
	bells->regs = &vr_pci_regs;
	bells->base = vr_pci_map_part(pdev, VIRTIO_PCI_CAP_COMMON_CFG,
				      VR_PCI_COMMON_Q_RESET + sizeof(u16));
	bells->isr = vr_pci_map_part(pdev, VIRTIO_PCI_CAP_ISR_CFG, sizeof(u8));
	bells->doorbell = vr_pci_map_part(pdev, VR_PCI_CAP_VENDOR, sizeof(u32));
	return bells->base && bells->isr && bells->doorbell &&
	       vr_get_domain(bells);
}

static void vr_pci_unmap(struct vr_bells *bells, struct pci_dev *pdev)
{
	if (bells->doorbell)
		pci_iounmap(pdev, bells->doorbell);
	if (bells->isr)
		pci_iounmap(pdev, bells->isr);
	if (bells->base)
		pci_iounmap(pdev, bells->base);
}

#else

static bool vr_pci_map(struct vr_bells *bells, struct pci_dev *pdev)
{
	return false;
}

static void vr_pci_unmap(struct vr_bells *bells, struct pci_dev *pdev)
{
}

#endif /* CONFIG_PCI */

/* ---- any ---- */

/**
 * vr_bells_unmap() - let go of the registers
 * @bells: as vr_bells_map() left it
 */
void vr_bells_unmap(struct vr_bells *bells)
{
	struct device *parent = bells->vdev->dev.parent;

	if (dev_is_pci(parent))
		vr_pci_unmap(bells, to_pci_dev(parent));
	else
		vr_mmio_unmap(bells);
}

/**
 * vr_bells_map() - find the registers of a device
 * @bells: @vdev is set, whose transport's driver is bound; the rest is 0
 *
 * Return: whether its queues can have doorbells. If not, nothing is left to
 *	   undo.
 */
bool vr_bells_map(struct vr_bells *bells)
{
	struct device *parent = bells->vdev->dev.parent;
	bool can = dev_is_pci(parent) ?
			   vr_pci_map(bells, to_pci_dev(parent)) :
			   vr_mmio_map(bells, to_platform_device(parent));

	if (!can)
		vr_bells_unmap(bells);
	return can;
}
