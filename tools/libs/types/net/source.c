/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * With ip=, a guest sends from these addresses and no other: who speaks is
 * looked for in ARP, IPv4 and IPv6, below one VLAN tag at the most, and nothing
 * else is passed on. Called by the backend with a copy of a frame's beginning,
 * and by spec.c with the user's words. Pure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net.h"

/* ---- the user's words ---- */

static int parse_one(char *word, struct vr_net_addr *out)
{
    char *slash = strchr(word, '/');
    uint64_t bits;

    if (slash)
        *slash++ = '\0';
    if (inet_pton(AF_INET, word, out->addr) == 1)
        out->len = 4;
    else if (inet_pton(AF_INET6, word, out->addr) == 1)
        out->len = 16;
    else
        return -EINVAL;
    bits = 8 * out->len;
    if (slash && vr_parse_u64(slash, bits, &bits))
        return -EINVAL;
    out->bits = (unsigned int)bits;
    return 0;
}

int vr_net_addrs_parse(const char *s, struct vr_net_addrs *out)
{
    char word[INET6_ADDRSTRLEN + 4];

    out->n = 0;
    for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
        size_t len = strcspn(s, " ");

        if (len >= sizeof(word))
            return -EINVAL;
        if (out->n == VR_NET_ADDRS_MAX)
            return -E2BIG;
        memcpy(word, s, len);
        word[len] = '\0';
        if (parse_one(word, &out->a[out->n++]))
            return -EINVAL;
        s += len;
    }
    return 0;
}

/* ---- frames ---- */

#define TYPE_IPV4 0x0800u
#define TYPE_ARP  0x0806u
#define TYPE_VLAN 0x8100u
#define TYPE_IPV6 0x86ddu

#define ARP_LEN   28u
#define IPV4_LEN  20u
#define IPV6_LEN  40u
#define ICMPV6    58u
#define ADVERTISE 136u /* a neighbour's: "this address is mine" */

static unsigned int be16(const uint8_t *p)
{
    return (unsigned int)p[0] << 8 | p[1];
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
    unsigned int bytes = bits / 8, rest = bits % 8;

    return !memcmp(a, b, bytes) &&
           (!rest || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

static bool own(const struct vr_net_addrs *addrs, const uint8_t *addr,
                unsigned int len)
{
    const struct vr_net_addr *a;

    for (a = addrs->a; a < addrs->a + addrs->n; a++)
        if (a->len == len && same_bits(addr, a->addr, a->bits))
            return true;
    return false;
}

/* Or none: who asks for an address by DHCP, or whether one is free, has none.
 */
static bool own4(const struct vr_net_addrs *addrs, const uint8_t *addr)
{
    static const uint8_t none[4];

    return !memcmp(addr, none, sizeof(none)) || own(addrs, addr, 4);
}

/* Or none, or one of the link's, which every interface makes for itself. */
static bool own6(const struct vr_net_addrs *addrs, const uint8_t *addr)
{
    static const uint8_t none[16], link[2] = {0xfe, 0x80};

    return !memcmp(addr, none, sizeof(none)) || same_bits(addr, link, 10) ||
           own(addrs, addr, 16);
}

static bool arp_ok(const struct vr_net_addrs *addrs, const uint8_t *mac,
                   const uint8_t *p, uint32_t len)
{
    static const uint8_t ether_ipv4[] = {0, 1, 8, 0, 6, 4};

    return len >= ARP_LEN && !memcmp(p, ether_ipv4, sizeof(ether_ipv4)) &&
           !memcmp(p + 8, mac, 6) && own4(addrs, p + 14);
}

static bool ipv6_ok(const struct vr_net_addrs *addrs, const uint8_t *p,
                    uint32_t len)
{
    const uint8_t *icmp = p + IPV6_LEN;

    if (len < IPV6_LEN || !own6(addrs, p + 8))
        return false;
    if (p[6] != ICMPV6 || len == IPV6_LEN || icmp[0] != ADVERTISE)
        return true;
    return len >= IPV6_LEN + 24 && own6(addrs, icmp + 8);
}

bool vr_net_addrs_allow(const struct vr_net_addrs *addrs, const uint8_t *frame,
                        uint32_t len)
{
    const uint8_t *mac = frame + 6, *p = frame + VR_NET_ETH_LEN;
    unsigned int type;

    if (len < VR_NET_ETH_LEN + VR_NET_VLAN_LEN)
        return false;
    type = be16(frame + 12);
    len -= VR_NET_ETH_LEN;
    if (type == TYPE_VLAN) {
        type = be16(p + 2);
        p += VR_NET_VLAN_LEN;
        len -= VR_NET_VLAN_LEN;
    }
    switch (type) {
    case TYPE_ARP:
        return arp_ok(addrs, mac, p, len);
    case TYPE_IPV4:
        return len >= IPV4_LEN && own4(addrs, p + 12);
    case TYPE_IPV6:
        return ipv6_ok(addrs, p, len);
    default:
        return false;
    }
}
