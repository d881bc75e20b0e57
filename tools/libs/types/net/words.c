/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the user says of a network device, as numbers; what follows from it.
 * Called by spec.c and by the backend. Pure. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int vr_net_mac_parse(const char *s, uint8_t *mac)
{
    unsigned int i;

    for (i = 0; i < 6; i++, s += 3) {
        int high = hex(s[0]), low = high < 0 ? -1 : hex(s[1]);

        if (low < 0 || s[2] != (i < 5 ? ':' : '\0'))
            return -EINVAL;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

/* A whole number in front of *@s, which is moved behind it. */
static int number(const char **s, uint64_t max, uint64_t *out)
{
    size_t len = strspn(*s, "0123456789");
    char digits[24];
    int rc;

    if (!len || len >= sizeof(digits))
        return len ? -ERANGE : -EINVAL;
    memcpy(digits, *s, len);
    digits[len] = '\0';
    rc = vr_parse_u64(digits, max, out);
    *s += len;
    return rc;
}

/* xl's own: how often the account is filled, unless it is said. */
#define PERIOD_US 50000u
/* Longer, and a guest could send for longer than anybody means. */
#define PERIOD_US_MAX 10000000u

static int period(const char *s, uint32_t *usecs)
{
    static const struct {
        const char *unit;
        uint32_t usecs;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    unsigned int i;
    uint64_t n;
    int rc;

    *usecs = PERIOD_US;
    if (!*s)
        return 0;
    if (*s++ != '@')
        return -EINVAL;
    rc = number(&s, PERIOD_US_MAX, &n);
    for (i = 0; !rc && i < VR_ARRAY_SIZE(units); i++) {
        if (strcmp(s, units[i].unit))
            continue;
        if (!n || n > PERIOD_US_MAX / units[i].usecs)
            return -ERANGE;
        *usecs = (uint32_t)n * units[i].usecs;
        return 0;
    }
    return rc ? rc : -EINVAL;
}

int vr_net_rate_parse(const char *s, struct vr_net_rate *out)
{
    uint64_t n, unit = 1;
    int rc;

    *out = (struct vr_net_rate){0, 0};
    if (!*s)
        return 0;
    rc = number(&s, UINT32_MAX, &n);
    if (rc)
        return rc;
    if (*s == 'K' || *s == 'M' || *s == 'G')
        unit = *s == 'K' ? 1000 : *s == 'M' ? 1000000 : 1000000000;
    s += unit > 1;
    if (*s != 'b' && *s != 'B')
        return -EINVAL;
    n *= unit;
    if (*s++ == 'b')
        n /= 8;
    if (strncmp(s, "/s", 2))
        return -EINVAL;
    rc = period(s + 2, &out->usecs);
    if (rc)
        return rc;
    if (n > UINT64_MAX / PERIOD_US_MAX)
        return -ERANGE;
    out->bytes = n * out->usecs / 1000000;
    /* A limit has to let one frame of the usual length pass. */
    return out->bytes && out->bytes <= UINT32_MAX ? 0 : -ERANGE;
}

/*
 * A receive queue without a buffer makes Linux try again without a pause, and
 * nothing arrives. So there is room for all of its buffers, whatever is being
 * sent: of a driver that merges them each is at most a page, of one that does
 * not each holds a frame of the MTU. Frames to be sent for which there is no
 * room are dropped, so a few of the longest will do. The rings take two pages
 * a queue or more.
 */
#define LONGEST_SENT (UINT64_C(72) << 10)
#define SENT_AT_ONCE 4u
#define RINGS        (UINT64_C(16) << 10)
#define ROUND        (UINT64_C(64) << 10)

uint64_t vr_net_pool_min(const struct vr_dev_cfg *cfg)
{
    uint64_t frame =
        cfg->mtu + VR_NET_ETH_LEN + VR_NET_VLAN_LEN + VR_NET_HDR_LEN;
    uint64_t buffer = (frame + VR_PAGE_SIZE - 1) & ~(VR_PAGE_SIZE - 1);
    uint64_t pair =
        cfg->queue_size * buffer + SENT_AT_ONCE * LONGEST_SENT + 2 * RINGS;
    uint64_t all = vr_net_pairs(cfg) * pair + (cfg->queues & 1) * RINGS;

    return (all + ROUND - 1) & ~(ROUND - 1);
}
