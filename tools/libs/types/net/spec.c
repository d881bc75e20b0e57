/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * type=net, a network interface: its keys, which are those that xl's vif= has,
 * its config space once it has a driver, and how it is shown. Reached by the
 * table of types alone. Pure.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libs/types/types.h"
#include "net.h"

/* Where Xen has its scripts, in the driver domain. */
#define SCRIPTS "/etc/xen/scripts/"

static int parse_mac(struct vr_parser *p, const struct vr_key *key,
                     const char *value)
{
    uint8_t m[6];

    (void)key;
    if (vr_net_mac_parse(value, m))
        return vr_parse_fail(p,
                             "mac=%s is not an Ethernet address: use six bytes "
                             "such as 00:16:3e:12:34:56",
                             vr_shown(value).text);
    if (m[0] & 1 || !(m[0] | m[1] | m[2] | m[3] | m[4] | m[5]))
        return vr_parse_fail(p,
                             "mac=%s cannot be an interface's: it is a group's "
                             "address or 0; use one such as "
                             "00:16:3e:12:34:56",
                             vr_shown(value).text);
    snprintf(p->cfg->mac, sizeof(p->cfg->mac), "%02x:%02x:%02x:%02x:%02x:%02x",
             m[0], m[1], m[2], m[3], m[4], m[5]);
    return 0;
}

/* Of an interface of Linux; where several are named, a colon stands between
 * name and trunk of Open vSwitch, a dot before its tag. */
static int parse_name(struct vr_parser *p, const struct vr_key *key,
                      const char *value)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._:";

    if (strlen(value) >= key->size || value[strspn(value, allowed)] ||
        !strcmp(value, ".") || !strcmp(value, ".."))
        return vr_parse_fail(
            p,
            "%s=%s is not the name of an interface: use 1 to %zu letters, "
            "digits or characters of -._",
            key->name, vr_shown(value).text, key->size - 1);
    strcpy((char *)p->cfg + key->offset, value);
    return 0;
}

static int parse_vifname(struct vr_parser *p, const struct vr_key *key,
                         const char *value)
{
    if (strchr(value, ':'))
        return vr_parse_fail(p,
                             "vifname=%s: the name of an interface has no "
                             "colon: take it out",
                             vr_shown(value).text);
    return parse_name(p, key, value);
}

/* A name is one of Xen's own, as in vif=. */
static int parse_script(struct vr_parser *p, const struct vr_key *key,
                        const char *value)
{
    char path[VR_PATH_LEN + 1];
    int n;

    if (value[0] == '/')
        return vr_key_path(p, key, value);
    n = snprintf(path, sizeof(path), SCRIPTS "%s", value);
    if (n >= (int)sizeof(path) || strchr(value, '/'))
        return vr_parse_fail(p,
                             "script=%s is neither a path nor the name of a "
                             "script in " SCRIPTS
                             ": use one of them, such as vif-bridge",
                             vr_shown(value).text);
    return vr_key_path(p, key, path);
}

static int parse_mtu(struct vr_parser *p, const struct vr_key *key,
                     const char *value)
{
    uint64_t v;

    (void)key;
    if (vr_parse_u64(value, VR_NET_MTU_MAX, &v) || v < VR_NET_MTU_MIN)
        return vr_parse_fail(p,
                             "mtu=%s is out of range: use a number from %u to "
                             "%u",
                             vr_shown(value).text, VR_NET_MTU_MIN,
                             VR_NET_MTU_MAX);
    p->cfg->mtu = (unsigned int)v;
    return 0;
}

static int parse_ip(struct vr_parser *p, const struct vr_key *key,
                    const char *value)
{
    struct vr_net_addrs addrs;
    int rc =
        strlen(value) < key->size ? vr_net_addrs_parse(value, &addrs) : -E2BIG;

    if (rc == -E2BIG)
        return vr_parse_fail(p,
                             "ip=%s is too long: use at most %u addresses or "
                             "networks and %zu characters",
                             vr_shown(value).text, VR_NET_ADDRS_MAX,
                             key->size - 1);
    if (rc)
        return vr_parse_fail(p,
                             "ip=%s is no list of addresses: use addresses or "
                             "networks with blanks between them, such as "
                             "192.168.0.7 fd00::7",
                             vr_shown(value).text);
    strcpy(p->cfg->ip, value);
    return 0;
}

static int parse_rate(struct vr_parser *p, const struct vr_key *key,
                      const char *value)
{
    struct vr_net_rate rate;
    int rc =
        strlen(value) < key->size ? vr_net_rate_parse(value, &rate) : -EINVAL;

    if (rc == -ERANGE)
        return vr_parse_fail(p,
                             "rate=%s comes to no byte a period, or to more "
                             "than 4 GiB: use a rate such as 10Mb/s, with a "
                             "period of at most 10s",
                             vr_shown(value).text);
    if (rc)
        return vr_parse_fail(p,
                             "rate=%s is not a rate: use one such as 10Mb/s, "
                             "250KB/s or 1MB/s@20ms",
                             vr_shown(value).text);
    strcpy(p->cfg->rate, value);
    return 0;
}

/* Of pairs; a control queue comes with more than one. */
static int parse_queues(struct vr_parser *p, const struct vr_key *key,
                        const char *value)
{
    uint64_t v;

    (void)key;
    if (vr_parse_u64(value, VR_NET_PAIRS_MAX, &v) || !v)
        return vr_parse_fail(p,
                             "queues=%s is out of range: use a number from 1 "
                             "to %u, of pairs of queues",
                             vr_shown(value).text, VR_NET_PAIRS_MAX);
    p->cfg->queues = vr_net_queues((unsigned int)v);
    return 0;
}

static int parse_vhost(struct vr_parser *p, const struct vr_key *key,
                       const char *value)
{
    (void)key;
    if (strcmp(value, VR_NET_VHOST_AUTO) && strcmp(value, VR_NET_VHOST_ON) &&
        strcmp(value, VR_NET_VHOST_OFF))
        return vr_parse_fail(p,
                             "vhost=%s is unknown: use " VR_NET_VHOST_AUTO
                             ", " VR_NET_VHOST_ON " or " VR_NET_VHOST_OFF,
                             vr_shown(value).text);
    strcpy(p->cfg->vhost, value);
    return 0;
}

static const struct vr_key keys[] = {
    {.name = "mac",
     .parse = parse_mac,
     .example = "00:16:3e:12:34:56",
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(mac),
     .node = "mac"},
    {.name = "bridge",
     .parse = parse_name,
     .example = "xenbr0",
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(bridge),
     .node = "bridge"},
    {.name = "gatewaydev",
     .parse = parse_name,
     .example = "eth0",
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(gatewaydev),
     .node = "gatewaydev"},
    {.name = "ip",
     .parse = parse_ip,
     .example = "192.168.0.7",
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(ip),
     .node = "ip"},
    {.name = "script",
     .parse = parse_script,
     .example = "vif-route",
     .fallback = "vif-bridge",
     .kind = VR_KEY_PATH,
     VR_KEY_FIELD(script),
     .node = "script"},
    {.name = "vifname",
     .parse = parse_vifname,
     .example = "web0",
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(vifname),
     .node = "vifname"},
    {.name = "mtu",
     .parse = parse_mtu,
     .example = "9000",
     .kind = VR_KEY_COUNT,
     VR_KEY_FIELD(mtu),
     .max = VR_NET_MTU_MAX,
     .node = "mtu"},
    {.name = "rate",
     .parse = parse_rate,
     .example = "10Mb/s",
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(rate),
     .node = "rate"},
    {.name = "offload",
     .parse = vr_key_choice,
     .example = "off",
     .fallback = "on",
     .kind = VR_KEY_CHOICE,
     VR_KEY_FIELD(offload),
     .words = {"off", "on"},
     .node = "offload",
     .bits = true},
    {.name = "vhost",
     .parse = parse_vhost,
     .example = VR_NET_VHOST_OFF,
     .fallback = VR_NET_VHOST_AUTO,
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(vhost),
     .node = "vhost"},
    {.name = "queues",
     .parse = parse_queues,
     .example = "4",
     .fallback = "1",
     .kind = VR_KEY_COUNT,
     VR_KEY_FIELD(queues),
     .min = 1,
     .max = VR_MAX_QUEUES},
};

static void begin(struct vr_dev_cfg *cfg)
{
    cfg->queues = vr_net_queues(1);
}

static int check(struct vr_parser *p)
{
    if (p->cfg->queue_size < VR_NET_QUEUE_SIZE_MIN)
        return vr_parse_fail(p,
                             "queue_size=%u is too small for type=net, Linux "
                             "would never send a long frame: use %u, 128 or "
                             "256",
                             p->cfg->queue_size, VR_NET_QUEUE_SIZE_MIN);
    if (!strcmp(p->cfg->vhost, VR_NET_VHOST_ON) && !vr_net_may_vhost(p->cfg))
        return vr_parse_fail(p, "vhost=on goes with mode=static and without "
                                "rate= and ip= only: leave one of them out, or "
                                "use vhost=auto");
    return 0;
}

/* xl's vendor, and three bytes that are another guest's, or device's, with a
 * chance of one in 16 million: FNV-1a. */
static void complete(struct vr_dev_cfg *cfg, const char *uuid)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const char *text[] = {uuid, "/", cfg->id}, *s;
    unsigned int i;

    if (cfg->mac[0])
        return;
    for (i = 0; i < VR_ARRAY_SIZE(text); i++)
        for (s = text[i]; *s; s++)
            hash = (hash ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    snprintf(cfg->mac, sizeof(cfg->mac), "00:16:3e:%02x:%02x:%02x",
             (unsigned int)(hash >> 16 & 0x7f),
             (unsigned int)(hash >> 8 & 0xff), (unsigned int)(hash & 0xff));
}

static bool same_text(const char *a, const char *b)
{
    return a[0] && !strcmp(a, b);
}

static bool shares(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b)
{
    return !same_text(a->mac, b->mac) && !same_text(a->vifname, b->vifname);
}

static void about(const struct vr_dev_cfg *cfg, char *buf, size_t size)
{
    snprintf(buf, size, "mac=%s%s%s", cfg->mac,
             cfg->vifname[0] ? " or vifname=" : "", cfg->vifname);
}

/* The link may go up and down; address and MTU are the driver's for good. */
static bool renew(uint8_t *config, const uint8_t *fresh)
{
    const size_t at = offsetof(struct vr_net_config, status);

    if ((fresh[at] & VR_NET_S_LINK_UP) == config[at])
        return false;
    config[at] ^= VR_NET_S_LINK_UP;
    return true;
}

static void get_config(const struct vr_seen *seen, struct vr_net_config *c)
{
    memcpy(c, seen->config, sizeof(*c));
}

static const struct {
    const char *name;
    enum vr_net_counter number;
} counters[] = {
    {"packets_to_guest", VR_NET_TO_GUEST},
    {"packets_from_guest", VR_NET_FROM_GUEST},
    {"dropped_to_guest", VR_NET_TO_DROPPED},
    {"dropped_from_guest", VR_NET_FROM_DROPPED},
    {"bad_from_guest", VR_NET_FROM_BAD},
    {"spoofed_from_guest", VR_NET_FROM_SPOOFED},
    {"long_to_guest", VR_NET_TO_GSO},
    {"long_from_guest", VR_NET_FROM_GSO},
};

static bool by_vhost(const struct vr_seen *seen)
{
    return seen->target_io & VR_NET_IO_VHOST;
}

static void show(const struct vr_seen *seen, const struct vr_show *to)
{
    const struct vr_dev_cfg *c = seen->cfg;
    const uint64_t *n = seen->own;
    struct vr_net_config now;

    to->line(to->ctx, "mac", "%s%s", c->mac,
             c->offload ? "" : ", without offloads");
    to->line(to->ctx, "script", "%s%s%s%s%s", c->script,
             c->bridge[0] ? ", bridge " : "", c->bridge,
             c->ip[0] ? ", ip " : "", c->ip);
    if (c->rate[0])
        to->line(to->ctx, "rate", "%s", c->rate);
    if (!seen->config)
        return;
    to->line(to->ctx, "frames", "moved by %s; %u of %u queue pairs in use",
             by_vhost(seen) ? "the driver domain's kernel (vhost-net)"
                            : "vr-backend",
             VR_NET_IO_PAIRS(seen->target_io), vr_net_pairs(c));
    get_config(seen, &now);
    to->line(to->ctx, "link", "%s, MTU %u",
             now.status & VR_NET_S_LINK_UP ? "up" : "down", now.mtu);
    to->line(to->ctx, "to guest",
             "%" PRIu64 " packets, %" PRIu64 " of them long; %" PRIu64
             " dropped",
             n[VR_NET_TO_GUEST], n[VR_NET_TO_GSO], n[VR_NET_TO_DROPPED]);
    to->line(to->ctx, "from guest",
             "%" PRIu64 " packets, %" PRIu64 " of them long; %" PRIu64
             " dropped, %" PRIu64 " bad, %" PRIu64 " from other addresses",
             n[VR_NET_FROM_GUEST], n[VR_NET_FROM_GSO], n[VR_NET_FROM_DROPPED],
             n[VR_NET_FROM_BAD], n[VR_NET_FROM_SPOOFED]);
}

static void json(const struct vr_seen *seen, const struct vr_show *to)
{
    const struct vr_dev_cfg *c = seen->cfg;
    struct vr_net_config now;
    unsigned int i;

    to->text(to->ctx, "mac", c->mac);
    to->text(to->ctx, "script", c->script);
    to->text(to->ctx, "bridge", c->bridge);
    to->text(to->ctx, "ip", c->ip);
    to->text(to->ctx, "rate", c->rate);
    to->flag(to->ctx, "offload", c->offload);
    to->text(to->ctx, "vhost", c->vhost);
    if (!seen->config)
        return;
    get_config(seen, &now);
    to->flag(to->ctx, "vhost_used", by_vhost(seen));
    to->number(to->ctx, "queue_pairs", vr_net_pairs(c));
    to->number(to->ctx, "queue_pairs_used", VR_NET_IO_PAIRS(seen->target_io));
    to->flag(to->ctx, "link", now.status & VR_NET_S_LINK_UP);
    to->number(to->ctx, "mtu", now.mtu);
    for (i = 0; i < VR_ARRAY_SIZE(counters); i++)
        to->number(to->ctx, counters[i].name, seen->own[counters[i].number]);
}

const struct vr_type_spec vr_spec_net = {
    .name = "net",
    .type = VR_TYPE_net,
    .keys = keys,
    .nkeys = VR_ARRAY_SIZE(keys),
    .begin = begin,
    .pool_min = vr_net_pool_min,
    .check = check,
    .complete = complete,
    .shares = shares,
    .about = about,
    .renew = renew,
    .show = show,
    .json = json,
};
