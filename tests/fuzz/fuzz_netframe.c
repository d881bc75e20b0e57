/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guest sends to a network device: the features that were negotiated (8
 * bytes), how long the frame is (4), the header and the frame's beginning. And
 * the same bytes as a rate, as addresses, and as a frame.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libs/types/net/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The feature that has to be negotiated for frames that are to be cut so. */
static uint64_t offload(uint8_t gso_type)
{
    switch (gso_type & ~VR_NET_GSO_ECN) {
    case VR_NET_GSO_TCPV4:
        return VR_NET_F_HOST_TSO4;
    case VR_NET_GSO_TCPV6:
        return VR_NET_F_HOST_TSO6;
    default:
        return 0;
    }
}

static void check_frame(const uint8_t *data, size_t size)
{
    static const uint8_t mac[6] = {0, 0x16, 0x3e, 1, 2, 3};
    uint8_t front[VR_NET_HDR_LEN + VR_NET_ETH_LEN];
    const struct vr_net_hdr zero = {0};
    struct vr_net_hdr h;
    uint64_t features;
    uint32_t frame;
    size_t len;
    int rc;

    if (size < sizeof(features) + sizeof(frame))
        return;
    memcpy(&features, data, sizeof(features));
    memcpy(&frame, data + sizeof(features), sizeof(frame));
    data += sizeof(features) + sizeof(frame);
    len = size - sizeof(features) - sizeof(frame);
    if (len > sizeof(front))
        len = sizeof(front);
    memcpy(front, data, len);
    rc = vr_net_check(front, (uint32_t)len, frame, features, mac, &h);
    if (rc) {
        assert(rc == -EPROTO || rc == -EACCES);
        assert(!memcmp(&h, &zero, sizeof(h)));
        return;
    }
    /* All that the interface is told of lies within the frame, and was
     * negotiated. */
    assert(len == sizeof(front));
    assert(frame > VR_NET_ETH_LEN && frame <= VR_NET_FRAME_MAX);
    assert(!memcmp(front + VR_NET_HDR_LEN + 6, mac, 6));
    assert(!(h.flags & ~VR_NET_HDR_F_NEEDS_CSUM) && !h.num_buffers);
    if (h.flags) {
        assert(features & VR_NET_F_CSUM);
        assert(h.csum_start + h.csum_offset + 2u <= frame);
    } else {
        assert(!memcmp(&h, &zero, sizeof(h)));
    }
    if (h.gso_type) {
        assert(h.gso_size && h.hdr_len <= frame);
        assert(features & offload(h.gso_type));
    }
}

/* What is read is what there is; of IPv4 and IPv6 the source is one of these.
 */
static void check_source(const uint8_t *data, size_t size)
{
    static const uint8_t none[16], four[4] = {10, 0, 0, 7};
    struct vr_net_addrs addrs;
    uint8_t *frame;

    if (size > VR_NET_HEAD)
        size = VR_NET_HEAD;
    frame = malloc(size ? size : 1);
    assert(frame && !vr_net_addrs_parse("10.0.0.7 fd00::/8", &addrs));
    memcpy(frame, data, size);
    if (vr_net_addrs_allow(&addrs, frame, (uint32_t)size)) {
        const uint8_t *ip = frame + 14 + (frame[12] == 0x81 ? 4 : 0);

        assert(size >= 14 + 20);
        if (!memcmp(ip - 2, "\x08\x00", 2))
            assert(!memcmp(ip + 12, four, 4) || !memcmp(ip + 12, none, 4));
        else if (!memcmp(ip - 2, "\x86\xdd", 2))
            assert(ip[8] == 0xfd || ip[8] == 0xfe || !memcmp(ip + 8, none, 16));
        else
            assert(!memcmp(ip - 2, "\x08\x06", 2));
    }
    free(frame);
}

static void check_words(const uint8_t *data, size_t size)
{
    struct vr_net_addrs addrs;
    struct vr_net_rate rate;
    char text[64];
    uint8_t mac[6];
    int rc;

    if (size >= sizeof(text))
        size = sizeof(text) - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    vr_net_mac_parse(text, mac);
    rc = vr_net_addrs_parse(text, &addrs);
    assert(!rc || rc == -EINVAL || rc == -E2BIG);
    rc = vr_net_rate_parse(text, &rate);
    assert(!rc || rc == -EINVAL || rc == -ERANGE);
    if (!rc && text[0])
        assert(rate.bytes && rate.bytes <= UINT32_MAX && rate.usecs &&
               rate.usecs <= 10000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_frame(data, size);
    check_source(data, size);
    check_words(data, size);
    return 0;
}
