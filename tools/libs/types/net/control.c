/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of a network device's control queue (virtio 1.2, 5.1.6.5): what the
 * driver asks for, from a copy. Called by the backend. Pure. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "net.h"

/* Classes, and commands of each. */
enum class { CLASS_RX = 0, CLASS_MAC = 1, CLASS_MQ = 4 };
enum { RX_PROMISC = 0, RX_ALLMULTI = 1 };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1 };
enum { MQ_PAIRS_SET = 0 };

#define MAC_LEN 6u

static int set_bool(bool *what, const uint8_t *data, size_t len)
{
    if (len != 1 || data[0] > 1)
        return -EPROTO;
    *what = data[0];
    return VR_NET_CTRL_FILTER;
}

/* One of the two tables at @*data, of which @*len bytes are left. Returns how
 * many addresses it has, or -EPROTO; both are moved behind it. */
static int64_t take_table(const uint8_t **data, size_t *len, const uint8_t **at)
{
    uint32_t n;

    if (*len < sizeof(n))
        return -EPROTO;
    memcpy(&n, *data, sizeof(n));
    n = le32toh(n);
    *at = *data + sizeof(n);
    *len -= sizeof(n);
    if (n > *len / MAC_LEN)
        return -EPROTO;
    *data = *at + n * MAC_LEN;
    *len -= n * MAC_LEN;
    return n;
}

/* Those of single interfaces, then those of groups. */
static int set_table(struct vr_net_control *c, const uint8_t *data, size_t len)
{
    const uint8_t *at[2];
    int64_t n[2];
    unsigned int i;

    for (i = 0; i < 2; i++) {
        n[i] = take_table(&data, &len, &at[i]);
        if (n[i] < 0)
            return -EPROTO;
    }
    if (len)
        return -EPROTO;
    c->many = n[0] + n[1] > VR_NET_FILTERED;
    c->naddr = 0;
    for (i = 0; i < 2 && !c->many; i++) {
        memcpy(c->addr[c->naddr], at[i], (size_t)n[i] * MAC_LEN);
        c->naddr += (unsigned int)n[i];
    }
    return VR_NET_CTRL_FILTER;
}

static int set_pairs(struct vr_net_control *c, const uint8_t *data, size_t len,
                     unsigned int max)
{
    uint16_t n;

    if (len != sizeof(n))
        return -EPROTO;
    memcpy(&n, data, sizeof(n));
    n = le16toh(n);
    if (!n || n > max)
        return -EPROTO;
    c->pairs = n;
    return VR_NET_CTRL_PAIRS;
}

void vr_net_control_init(struct vr_net_control *c)
{
    memset(c, 0, sizeof(*c));
    c->pairs = 1;
    /* Drivers that know nothing of filters get all there is. */
    c->promisc = true;
}

int vr_net_control(struct vr_net_control *c, const uint8_t *cmd, size_t len,
                   unsigned int max_pairs, const uint8_t *mac)
{
    if (len < VR_NET_CTRL_HDR)
        return -EPROTO;
    len -= VR_NET_CTRL_HDR;
    switch (cmd[0] << 8 | cmd[1]) {
    case CLASS_RX << 8 | RX_PROMISC:
        return set_bool(&c->promisc, cmd + VR_NET_CTRL_HDR, len);
    case CLASS_RX << 8 | RX_ALLMULTI:
        return set_bool(&c->allmulti, cmd + VR_NET_CTRL_HDR, len);
    case CLASS_MAC << 8 | MAC_TABLE_SET:
        return set_table(c, cmd + VR_NET_CTRL_HDR, len);
    case CLASS_MAC << 8 | MAC_ADDR_SET:
        /* Any other would be dropped by what protects the others: better that
         * the guest hears of it. */
        return len == MAC_LEN && !memcmp(cmd + VR_NET_CTRL_HDR, mac, MAC_LEN)
                   ? 0
                   : -EPROTO;
    case CLASS_MQ << 8 | MQ_PAIRS_SET:
        return set_pairs(c, cmd + VR_NET_CTRL_HDR, len, max_pairs);
    default:
        return -EPROTO;
    }
}
