/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guest sends: the header in front of a frame, and the frame's first
 * bytes. The kernel of the driver domain checks what it is handed as well; but
 * what was not negotiated, or makes no sense, does not get as far as that.
 * Called by the backend with a copy. Pure.
 */
#include <errno.h>
#include <string.h>

#include "net.h"

static bool gso_ok(const struct vr_net_hdr *h, uint64_t features,
                   uint32_t frame)
{
    uint64_t need;

    switch (h->gso_type & ~VR_NET_GSO_ECN) {
    case VR_NET_GSO_NONE:
        return !h->gso_type;
    case VR_NET_GSO_TCPV4:
        need = VR_NET_F_HOST_TSO4;
        break;
    case VR_NET_GSO_TCPV6:
        need = VR_NET_F_HOST_TSO6;
        break;
    default:
        return false;
    }
    if (h->gso_type & VR_NET_GSO_ECN)
        need |= VR_NET_F_HOST_ECN;
    /* 5.1.6.2.1: only with a checksum to be made; some bytes a segment. */
    return (features & need) == need && h->flags & VR_NET_HDR_F_NEEDS_CSUM &&
           h->gso_size && h->hdr_len <= frame;
}

static bool csum_ok(const struct vr_net_hdr *h, uint64_t features,
                    uint32_t frame)
{
    uint32_t end = (uint32_t)h->csum_start + h->csum_offset + sizeof(uint16_t);

    if (!(h->flags & VR_NET_HDR_F_NEEDS_CSUM))
        return true;
    return features & VR_NET_F_CSUM && h->csum_start >= VR_NET_ETH_LEN &&
           end <= frame;
}

int vr_net_check(const uint8_t *front, uint32_t len, uint32_t frame,
                 uint64_t features, const uint8_t *mac, struct vr_net_hdr *hdr)
{
    const uint8_t *eth = front + VR_NET_HDR_LEN;
    struct vr_net_hdr h;

    memset(hdr, 0, sizeof(*hdr));
    if (len < VR_NET_HDR_LEN + VR_NET_ETH_LEN || frame <= VR_NET_ETH_LEN ||
        frame > VR_NET_FRAME_MAX)
        return -EPROTO;
    memcpy(&h, front, sizeof(h));
    if (h.flags & ~VR_NET_HDR_F_NEEDS_CSUM || !csum_ok(&h, features, frame) ||
        !gso_ok(&h, features, frame))
        return -EPROTO;
    if (memcmp(eth + 6, mac, 6))
        return -EACCES;
    hdr->flags = h.flags;
    if (h.flags & VR_NET_HDR_F_NEEDS_CSUM) {
        hdr->csum_start = h.csum_start;
        hdr->csum_offset = h.csum_offset;
    }
    if (h.gso_type) {
        hdr->gso_type = h.gso_type;
        hdr->gso_size = h.gso_size;
        hdr->hdr_len = h.hdr_len;
    }
    return 0;
}
