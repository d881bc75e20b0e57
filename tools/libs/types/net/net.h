/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What virtio 1.2, 5.1 says of network devices, as far as it concerns us, and
 * what is made of the user's words. Pure.
 */
#ifndef VR_NET_H
#define VR_NET_H

#include <string.h>

#include "libs/types/dev.h"

/* Feature bits (5.1.3) */
#define VR_NET_F_CSUM       (UINT64_C(1) << 0)
#define VR_NET_F_GUEST_CSUM (UINT64_C(1) << 1)
#define VR_NET_F_MTU        (UINT64_C(1) << 3)
#define VR_NET_F_MAC        (UINT64_C(1) << 5)
#define VR_NET_F_GUEST_TSO4 (UINT64_C(1) << 7)
#define VR_NET_F_GUEST_TSO6 (UINT64_C(1) << 8)
#define VR_NET_F_GUEST_ECN  (UINT64_C(1) << 9)
#define VR_NET_F_HOST_TSO4  (UINT64_C(1) << 11)
#define VR_NET_F_HOST_TSO6  (UINT64_C(1) << 12)
#define VR_NET_F_HOST_ECN   (UINT64_C(1) << 13)
#define VR_NET_F_MRG_RXBUF  (UINT64_C(1) << 15)
#define VR_NET_F_STATUS     (UINT64_C(1) << 16)
#define VR_NET_F_CTRL_VQ    (UINT64_C(1) << 17)
#define VR_NET_F_CTRL_RX    (UINT64_C(1) << 18)
#define VR_NET_F_MQ         (UINT64_C(1) << 22)
#define VR_NET_F_CTRL_MAC   (UINT64_C(1) << 23) /* CTRL_MAC_ADDR */

/* Offered with several pairs of queues. */
#define VR_NET_CONTROL                                                         \
    (VR_NET_F_CTRL_VQ | VR_NET_F_CTRL_RX | VR_NET_F_MQ | VR_NET_F_CTRL_MAC)

#define VR_NET_OFFLOADS                                                        \
    (VR_NET_F_CSUM | VR_NET_F_GUEST_CSUM | VR_NET_F_GUEST_TSO4 |               \
     VR_NET_F_GUEST_TSO6 | VR_NET_F_GUEST_ECN | VR_NET_F_HOST_TSO4 |           \
     VR_NET_F_HOST_TSO6 | VR_NET_F_HOST_ECN)

/* struct virtio_net_config (5.1.4), little endian as we are. */
struct vr_net_config {
    uint8_t mac[6];
    uint16_t status;
    uint16_t max_pairs;
    uint16_t mtu;
};

#define VR_NET_S_LINK_UP 1u

/* struct virtio_net_hdr (5.1.6) of a device of version 1. */
struct vr_net_hdr {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
};

#define VR_NET_HDR_LEN 12u
_Static_assert(sizeof(struct vr_net_hdr) == VR_NET_HDR_LEN, "virtio 1.2, 5.1");

#define VR_NET_HDR_F_NEEDS_CSUM 1u
#define VR_NET_GSO_NONE         0u
#define VR_NET_GSO_TCPV4        1u
#define VR_NET_GSO_TCPV6        4u
#define VR_NET_GSO_ECN          0x80u

#define VR_NET_ETH_LEN  14u
#define VR_NET_VLAN_LEN 4u
/* The longest frame, with all that may be in front of 64 KiB of IP. */
#define VR_NET_FRAME_MAX (65535u + VR_NET_ETH_LEN + VR_NET_VLAN_LEN)

#define VR_NET_MTU_MIN 68u
#define VR_NET_MTU_MAX 65521u

/* Pairs of a receive and a transmit queue, and behind several of them the
 * control queue (5.1.2). */
#define VR_NET_PAIRS_MAX ((VR_MAX_QUEUES - 1) / 2)

static inline unsigned int vr_net_queues(unsigned int pairs)
{
    return pairs > 1 ? 2 * pairs + 1 : 2;
}

static inline unsigned int vr_net_pairs(const struct vr_dev_cfg *cfg)
{
    return cfg->queues / 2;
}

/* Linux stops a queue that has no room for a frame of 17 fragments, its head
 * and its header, and would never start one that is smaller. */
#define VR_NET_QUEUE_SIZE_MIN 64u

/* Figures of its own (struct vr_ctrl_counters), by number. */
enum vr_net_counter {
    VR_NET_TO_GUEST,     /* frames */
    VR_NET_FROM_GUEST,   /* frames */
    VR_NET_TO_DROPPED,   /* there was no room for them */
    VR_NET_FROM_DROPPED, /* the interface did not take them */
    VR_NET_FROM_BAD,     /* header or form was not that of a frame */
    VR_NET_FROM_SPOOFED, /* not from the device's address */
    VR_NET_TO_GSO,       /* frames that are longer than the MTU */
    VR_NET_FROM_GSO,
};

/* Of target_io: whether the kernel serves the queues, how many pairs are in
 * use, and which start of the device that is of (the epoch of its queue 0). */
#define VR_NET_IO_VHOST     1u
#define VR_NET_IO_PAIRS(io) ((unsigned int)((io) >> 8 & 0xff))
#define VR_NET_IO_EPOCH(io) ((uint32_t)((io) >> 32))
#define VR_NET_IO(epoch, pairs, vhost)                                         \
    ((uint64_t)(epoch) << 32 | (uint64_t)(pairs) << 8 | (vhost))

/* vhost=: where it can / or the device does not work / never. */
#define VR_NET_VHOST_AUTO "auto"
#define VR_NET_VHOST_ON   "on"
#define VR_NET_VHOST_OFF  "off"

/** vr_net_may_vhost() - may the kernel serve the device's queues? It reaches
 * them where they are mapped as a whole, limits no rate, and does not look for
 * addresses of IP. */
static inline bool vr_net_may_vhost(const struct vr_dev_cfg *cfg)
{
    return cfg->mode == VR_MODE_STATIC && !cfg->rate[0] && !cfg->ip[0] &&
           strcmp(cfg->vhost, VR_NET_VHOST_OFF);
}

/** vr_net_mac_parse() - "00:16:3e:00:00:01" as 6 bytes. Returns 0 or -EINVAL.
 */
int vr_net_mac_parse(const char *s, uint8_t *mac);

/* What a guest may send: so many bytes in each period. */
struct vr_net_rate {
    uint64_t bytes; /* 0: any */
    uint32_t usecs;
};

/**
 * vr_net_rate_parse() - as xl has it: "10Mb/s", "1MB/s@20ms"; "": no limit.
 * Returns 0, -EINVAL (none of this form) or -ERANGE.
 */
int vr_net_rate_parse(const char *s, struct vr_net_rate *out);

#define VR_NET_ADDRS_MAX 16u

/* Where a guest may send from, beside its Ethernet address. */
struct vr_net_addrs {
    unsigned int n; /* 0: anywhere */
    struct vr_net_addr {
        uint8_t addr[16];
        unsigned int len;  /* bytes: 4 or 16 */
        unsigned int bits; /* that count */
    } a[VR_NET_ADDRS_MAX];
};

/**
 * vr_net_addrs_parse() - addresses and networks, with blanks between them.
 * Returns 0, -EINVAL (one of them is none) or -E2BIG (too many).
 */
int vr_net_addrs_parse(const char *s, struct vr_net_addrs *out);

/* As much as is looked at of a frame for them: up to the target of a neighbour
 * advertisement. */
#define VR_NET_HEAD (VR_NET_ETH_LEN + VR_NET_VLAN_LEN + 40u + 24u)

/**
 * vr_net_addrs_allow() - is a frame that has this beginning, and its Ethernet
 * address right, from one of @addrs?
 * @len: bytes of it, VR_NET_HEAD or all there are.
 */
bool vr_net_addrs_allow(const struct vr_net_addrs *addrs, const uint8_t *frame,
                        uint32_t len);

/** vr_net_pool_min() - the least pool for which no queue can starve: bytes. */
uint64_t vr_net_pool_min(const struct vr_dev_cfg *cfg);

/**
 * vr_net_check() - is what the guest sent a frame that may be passed on?
 * @front: a copy of its first bytes, header and Ethernet's; @len: how many
 * those are. @frame: bytes behind the header, in all.
 * @features: as negotiated. @mac: the device's address.
 * @hdr: what is to be handed to the interface: what was not looked at is 0.
 *
 * Returns 0, -EPROTO (no frame) or -EACCES (from an address that is not the
 * guest's).
 */
int vr_net_check(const uint8_t *front, uint32_t len, uint32_t frame,
                 uint64_t features, const uint8_t *mac, struct vr_net_hdr *hdr);

/* ---- the control queue ---- */

#define VR_NET_CTRL_HDR 2u /* class and command */
#define VR_NET_CTRL_OK  0u /* what a command is answered */
#define VR_NET_CTRL_ERR 1u
/* Addresses that are filtered by; with more there is no filter. */
#define VR_NET_FILTERED 64u
/* No command that is listened to is longer; Linux sends none that is. */
#define VR_NET_CTRL_MAX 4096u

/* What a driver has asked for. */
struct vr_net_control {
    unsigned int pairs;
    bool promisc, allmulti; /* frames for all, for all groups */
    bool many;              /* more addresses than we remember */
    unsigned int naddr;
    uint8_t addr[VR_NET_FILTERED][6]; /* beside its own */
};

void vr_net_control_init(struct vr_net_control *c);

/* What a command was about: */
#define VR_NET_CTRL_FILTER 1
#define VR_NET_CTRL_PAIRS  2

/**
 * vr_net_control() - a command of the driver's, @len bytes of a copy, goes
 * into @c. @max_pairs, @mac: of the device.
 * Returns what it was about, 0 if nothing is to be done, or -EPROTO: it is no
 * command, or asks for what cannot be; @c is as it was.
 */
int vr_net_control(struct vr_net_control *c, const uint8_t *cmd, size_t len,
                   unsigned int max_pairs, const uint8_t *mac);

#endif /* VR_NET_H */
