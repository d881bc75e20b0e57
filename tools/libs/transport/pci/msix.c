/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A function's interrupts: messages by MSI-X (PCI 3.0, 6.8.2), or INTA. Called
 * by regs.c for what the driver does, and through the model's operations for
 * what the device has to say. Pure.
 */
#include "pci_int.h"

#define ENTRY  16u
#define MASKED 1u

bool vr_pci_by_message(const struct vr_pci *p)
{
    return pci_get(p, VR_PCI_MSIX_CONTROL, 2) & VR_PCI_MSIX_ENABLE;
}

/*
 * A guest that Xen lets have event channels in place of messages (features:
 * XENFEAT_hvm_pirqs) writes the address of one, and no vector. Linux does not
 * clear the mask bit of such an entry: Xen has the masking.
 */
static bool is_masked(const struct vr_pci *p, const struct vr_pci_vector *vec)
{
    const bool pirq =
        p->ops->pirqs && vec->addr_low >> 20 == 0xfee && !(vec->data & 0xff);

    return vec->control & MASKED && !pirq;
}

/* May the function send messages at all? */
static bool may_send(const struct vr_pci *p)
{
    uint32_t control = pci_get(p, VR_PCI_MSIX_CONTROL, 2);

    return control & VR_PCI_MSIX_ENABLE && !(control & VR_PCI_MSIX_MASKALL) &&
           pci_get(p, VR_PCI_COMMAND, 2) & VR_PCI_COMMAND_MASTER;
}

static void send(struct vr_pci *p, unsigned int v)
{
    const struct vr_pci_vector *vec = &p->vector[v];
    const uint64_t bit = UINT64_C(1) << v;

    if (!may_send(p) || is_masked(p, vec)) {
        p->pending |= bit;
        return;
    }
    p->pending &= ~bit;
    p->ops->message(p->ctx, (uint64_t)vec->addr_high << 32 | vec->addr_low,
                    vec->data);
}

static void send_pending(struct vr_pci *p)
{
    unsigned int v;

    for (v = 0; p->pending && v < msix_vectors(p); v++)
        if (p->pending & UINT64_C(1) << v)
            send(p, v);
}

bool vr_pci_message(struct vr_pci *p, uint32_t cause, uint32_t queues)
{
    uint64_t vectors = 0;
    unsigned int i;

    if (!vr_pci_by_message(p))
        return false;
    if (cause & VR_INT_CONFIG) {
        p->m->isr |= VR_INT_CONFIG; /* 4.1.4.5.1: MUST, before the message */
        if (p->config_vector != VR_PCI_NO_VECTOR)
            vectors |= UINT64_C(1) << p->config_vector;
    }
    for (i = 0; i < p->m->desc.nqueues; i++)
        if (queues & UINT32_C(1) << i && p->queue_vector[i] != VR_PCI_NO_VECTOR)
            vectors |= UINT64_C(1) << p->queue_vector[i];
    /* One message for all queues that share a vector. */
    for (i = 0; vectors; i++, vectors >>= 1)
        if (vectors & 1)
            send(p, i);
    return true;
}

/* May INTA be asserted? */
static bool may_assert(const struct vr_pci *p)
{
    return !vr_pci_by_message(p) &&
           !(pci_get(p, VR_PCI_COMMAND, 2) & VR_PCI_COMMAND_NO_INTX);
}

static void drive_line(struct vr_pci *p, bool raise)
{
    p->line = raise;
    p->ops->intx(p->ctx, raise);
}

/* For an edge-triggered line each new cause is one. */
void vr_pci_irq(struct vr_pci *p, bool raise)
{
    if (raise ? may_assert(p) : p->line)
        drive_line(p, raise);
}

void msix_update(struct vr_pci *p)
{
    const bool want = p->m->isr && may_assert(p);

    if (p->line != want)
        drive_line(p, want);
    if (may_send(p))
        send_pending(p);
    else if (!vr_pci_by_message(p))
        p->pending = 0;
}

void msix_unbind(struct vr_pci *p)
{
    unsigned int i;

    p->config_vector = VR_PCI_NO_VECTOR;
    for (i = 0; i < VR_MAX_QUEUES; i++)
        p->queue_vector[i] = VR_PCI_NO_VECTOR;
}

void msix_reset(struct vr_pci *p)
{
    unsigned int i;

    msix_unbind(p);
    p->pending = 0;
    for (i = 0; i < VR_PCI_VECTORS_MAX; i++)
        p->vector[i] = (struct vr_pci_vector){.control = MASKED};
}

uint16_t msix_choice(const struct vr_pci *p, uint32_t value)
{
    return value < msix_vectors(p) ? value : VR_PCI_NO_VECTOR;
}

static uint32_t *word(struct vr_pci_vector *vec, unsigned int off)
{
    switch (off % ENTRY) {
    case 0:
        return &vec->addr_low;
    case 4:
        return &vec->addr_high;
    case 8:
        return &vec->data;
    default:
        return &vec->control;
    }
}

/* 6.8.2: whole words, aligned, or two of them at once. */
static bool table_has(const struct vr_pci *p, unsigned int off,
                      unsigned int size)
{
    return (size == 4 || size == 8) && !(off % size) &&
           off / ENTRY < msix_vectors(p);
}

uint64_t msix_table_read(const struct vr_pci *p, unsigned int off,
                         unsigned int size)
{
    struct vr_pci_vector vec;
    uint64_t value;

    if (!table_has(p, off, size))
        return 0;
    vec = p->vector[off / ENTRY];
    value = *word(&vec, off);
    if (size == 8)
        value |= (uint64_t)*word(&vec, off + 4) << 32;
    return value;
}

void msix_table_write(struct vr_pci *p, unsigned int off, unsigned int size,
                      uint64_t value)
{
    struct vr_pci_vector *vec;

    if (!table_has(p, off, size)) {
        p->m->stats->bad_accesses++;
        return;
    }
    vec = &p->vector[off / ENTRY];
    *word(vec, off) = value;
    if (size == 8)
        *word(vec, off + 4) = value >> 32;
    vec->addr_low &= ~UINT32_C(3); /* 6.8.2.3: zero */
    vec->control &= MASKED;
    if (p->pending & UINT64_C(1) << off / ENTRY)
        send(p, off / ENTRY);
}

uint64_t msix_pending_read(const struct vr_pci *p, unsigned int off,
                           unsigned int size)
{
    if ((size != 4 && size != 8) || off % size || off >= 8)
        return 0;
    return p->pending >> (8 * off);
}
