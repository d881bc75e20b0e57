/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an ACPI guest is told of its devices, as tables for hvmloader:
 *
 *   SSDT  \_SB.VR00...  the devices, one virtio-mmio device (LNRO0005) each, in
 *                       order and numbered in hexadecimal; a device that has a
 *                       pool names it in _DSD: memory-region (not with
 *                       pool_unnamed)
 *         \_SB.VP00...  the pool of the device with the same number
 *         \_SB.VRIO     the virtio-iommu, a virtio-mmio device as well
 *         \_SB.PCI0.Sxx a PCI function's slot, a device in hvmloader's DSDT for
 *                       QEMU (upstream, not qemu-xen-traditional): gets _DSD,
 *                       as VRxx would
 *   VIOT  the virtio-iommu and, as endpoints, the devices behind it: by the
 *         base of their registers, or by the functions' numbers; only when
 *         there is an IOMMU
 *
 * docs/bindings/acpi.md shows their source. The device terms are compiled from
 * tools/libs/guest/acpi/ by iasl when the project is built (aml.sh), and get
 * their addresses and names here.
 *
 * hvmloader takes one file of tables (acpi_firmware=). A user's own go before
 * ours into that file, so they are checked first: hvmloader believes every
 * length in it. Pure: plain memory in and out.
 */
#ifndef VR_ACPI_H
#define VR_ACPI_H

#include "desc.h"
#include "libs/base/vr.h"

/*
 * Tables in the file, the user's and ours. hvmloader has room for 15 besides
 * FADT and DSDT (tools/libacpi/build.c, ACPI_MAX_SECONDARY_TABLES and a
 * terminator; the same from Xen 4.17 to 4.20), makes up to 11 itself before it
 * looks at the file (MADT, HPET, WAET, SSDTs for battery, S3, S4 and slate
 * mode, two for a TPM, SRAT, SLIT), and silently drops those that do not fit.
 */
#define VR_ACPI_MAX_TABLES 4

/* Bytes in the file, for the user's tables and ours. hvmloader's memory for
 * tables is 1020 KiB (ACPI_MEMORY_DYNAMIC_START) and its own are in it as well;
 * when it is used up the guest dies before its first instruction. */
#define VR_ACPI_MAX_SIZE (UINT32_C(512) << 10)

/**
 * vr_acpi_check() - can a user's tables share a file with ours?
 * @user: the file of acpi_firmware=, tables one behind the other; may be NULL.
 * @size: its length in bytes.
 * @need_viot: a virtio-iommu will be described.
 *
 * Checked are: each table's header, length and checksum; that no bytes are
 * left behind the last; no VIOT if we need one (Linux reads only the first); no
 * SSDT with our OEM table id; in SSDTs, none of our devices' names (looked for
 * as bytes: a name in a string or below another device counts too); number and
 * size with ours.
 * Returns 0, -EINVAL (broken, or collides) or -E2BIG (too many, too large),
 * with @err, which does not name the file.
 */
int vr_acpi_check(const void *user, size_t size, bool need_viot,
                  struct vr_err *err);

/**
 * vr_acpi_build() - the user's tables, then our SSDT, then VIOT.
 * @devs: mmio_base below 4 GiB; of a PCI function one of which vr_pci_slot()
 *        knows the slot (libs/transport/pci/bus.h); irq: a GSI, described
 *        like a PCI interrupt (level, active low, shared), since a PCI device
 *        may share its pin. Endpoints are the devices behind the virtio-iommu.
 * @n: 1 to VR_MAX_DEVICES.
 * @iommu: NULL when no device is behind it; then there is no VIOT.
 * @user, @user_size: as for vr_acpi_check(), which is called.
 * @out: malloc()ed, the caller frees. @out_size: its bytes. Neither is touched
 *       on failure.
 *
 * Returns 0, what vr_acpi_check() returns, -EINVAL (a device with neither pool
 * nor IOMMU, registers not below 4 GiB, a pool that is empty or not of whole
 * pages or beyond 2^64, a device behind an @iommu that is NULL, two endpoints
 * with one number, two devices with the same registers), -E2BIG (@n) or
 * -ENOMEM, with @err.
 */
int vr_acpi_build(const struct vr_desc_dev *devs, unsigned int n,
                  const struct vr_desc_iommu *iommu, const void *user,
                  size_t user_size, void **out, size_t *out_size,
                  struct vr_err *err);

#endif /* VR_ACPI_H */
