/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interrupts of a guest on x86, see arch.h. */
#if defined(__x86_64__) || defined(__i386__)
#include <errno.h>
#include <string.h>

/* First: it asks Xen's public headers for the toolstack's part. */
#include <xenctrl.h>

#include "bus.h"
#include "libs/guest/hvm.h"
#include "libs/xen/compat.h"

/* What the interrupt's way leads through: Xen follows it without looking. */
#define EMULATED (XEN_X86_EMU_IOAPIC | XEN_X86_EMU_PIC)

/*
 * XEN_DMOP_set_pci_intx_level is accepted for a PVH guest, which has no I/O
 * APIC, and takes the hypervisor down with it (seen with 4.17.7). The plug-in
 * refuses such guests; this process must not rely on its record to be right.
 */
static int x86_check(uint32_t domid, struct vr_err *err)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    xc_domaininfo_t info;
    int rc = xch ? vr_domain_info(xch, domid, &info) : -errno;

    if (xch)
        xc_interface_close(xch);
    if (rc) {
        vr_err_set(err, "broker: cannot ask for the guest's type: %s",
                   strerror(-rc));
        return rc;
    }
    if (info.flags & XEN_DOMINF_hvm_guest &&
        (info.arch_config.emulation_flags & EMULATED) == EMULATED)
        return 0;
    vr_err_set(err, "broker: the guest has no I/O APIC to take interrupts by: "
                    "use type=\"hvm\"");
    return -ENOTSUP;
}

/* A line of a PCI device that is not there, level-triggered. It may be shared
 * with one that is: Xen counts who asserts a GSI. */
static int x86_irq(xendevicemodel_handle *dm, domid_t domid, uint32_t irq,
                   bool raise)
{
    unsigned int dev, intx;

    if (vr_hvm_intx(irq, &dev, &intx)) {
        errno = ERANGE;
        return -1;
    }
    return xendevicemodel_set_pci_intx_level(dm, domid, 0, 0, dev, intx, raise);
}

const struct vr_arch vr_arch = {
    .name = "x86",
    .level = true,
    .bus = &bus_hvm,
    .check = x86_check,
    .irq = x86_irq,
};

#endif
