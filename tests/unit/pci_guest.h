/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's accesses to a PCI function, for tests of the broker's worker. Where
 * the function is, they say before they include this: CONFIG, the address of
 * its configuration space, and CONFIG_TYPE, what such an access is to Xen; BAR,
 * where the guest puts that; MESSAGE_ADDR and MESSAGE_DATA of its first
 * message.
 */
#ifndef TEST_PCI_GUEST_H
#define TEST_PCI_GUEST_H

static ioreq_t request(uint64_t addr, unsigned int size, int dir,
                       uint64_t value, uint8_t type)
{
    const ioreq_t req = {.addr = addr,
                         .data = value,
                         .count = 1,
                         .size = size,
                         .dir = dir,
                         .type = type};

    return req;
}

static uint64_t read_by(uint64_t addr, unsigned int size, uint8_t type)
{
    ioreq_t req = request(addr, size, IOREQ_READ, 0, type);
    const unsigned int before = ww.vcpu[0].answers;

    assert_true(ww_access(0, &req));
    ww_run(0);
    assert_true(ww.vcpu[0].answers != before);
    return ww.vcpu[0].value;
}

static bool write_by(unsigned int v, uint64_t addr, unsigned int size,
                     uint64_t value, uint8_t type)
{
    ioreq_t req = request(addr, size, IOREQ_WRITE, value, type);
    const unsigned int before = ww.vcpu[v].answers;

    if (!ww_access(v, &req))
        return false;
    ww_run(0);
    return ww.vcpu[v].answers != before;
}

static uint64_t get(uint64_t addr, unsigned int size)
{
    return read_by(addr, size, IOREQ_TYPE_COPY);
}

/* False: vCPU @v has to wait for the answer. */
static bool put(unsigned int v, uint64_t addr, unsigned int size,
                uint64_t value)
{
    return write_by(v, addr, size, value, IOREQ_TYPE_COPY);
}

static uint64_t config_get(unsigned int off, unsigned int size)
{
    return read_by(CONFIG + off, size, CONFIG_TYPE);
}

static bool config_put(unsigned int v, unsigned int off, unsigned int size,
                       uint64_t value)
{
    return write_by(v, CONFIG + off, size, value, CONFIG_TYPE);
}

/* What Linux does, up to DRIVER_OK, with messages. */
static void drive(void)
{
    const uint64_t pool = ww_rec.devs[0].pool.base;
    unsigned int i;

    config_put(0, VR_PCI_BAR0, 4, BAR);
    config_put(0, VR_PCI_COMMAND, 2, 6);
    put(0, BAR + VR_PCI_DEVICE_STATUS, 1, 3);
    for (i = 0; i < 2; i++) {
        put(0, BAR + VR_PCI_DEVICE_FEATURE_SELECT, 4, i);
        put(0, BAR + VR_PCI_DRIVER_FEATURE_SELECT, 4, i);
        put(0, BAR + VR_PCI_DRIVER_FEATURE, 4,
            get(BAR + VR_PCI_DEVICE_FEATURE, 4));
    }
    put(0, BAR + VR_PCI_DEVICE_STATUS, 1, 11);
    for (i = 0; i < 3; i++) {
        put(0, BAR + VR_PCI_AT_TABLE + 16 * i, 8, MESSAGE_ADDR);
        put(0, BAR + VR_PCI_AT_TABLE + 16 * i + 8, 8, MESSAGE_DATA + i);
    }
    config_put(0, VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE);
    put(0, BAR + VR_PCI_QUEUE_SIZE, 2, 16);
    put(0, BAR + VR_PCI_QUEUE_DESC, 8, pool);
    put(0, BAR + VR_PCI_QUEUE_DRIVER, 8, pool + 0x800);
    put(0, BAR + VR_PCI_QUEUE_DEVICE, 8, pool + 0xa00);
    put(0, BAR + VR_PCI_QUEUE_VECTOR, 2, 1);
    put(0, BAR + VR_PCI_QUEUE_ENABLE, 2, 1);
    put(0, BAR + VR_PCI_DEVICE_STATUS, 1, 15);
    assert_int_equal(get(BAR + VR_PCI_DEVICE_STATUS, 1), 15);
    ww_serve(0);
    ww_run(10);
}

#endif /* TEST_PCI_GUEST_H */
