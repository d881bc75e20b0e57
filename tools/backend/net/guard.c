/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose frames an interface takes from its guest. What vr-backend moves it
 * checks itself; what vhost moves goes from the guest's memory into the
 * kernel's network, with no place for us between. So the kernel is told at the
 * interface (traffic control, as "tc qdisc add dev NAME ingress" and "tc
 * filter"): a frame from the device's address passes, any other is dropped
 * before anybody sees it.
 *
 * Offsets are from behind the Ethernet header: the sender's address begins 8
 * bytes in front of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_gact.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "keeper.h"

#define SENDER  (-8)
#define INGRESS TC_H_MAKE(TC_H_INGRESS, 0)
#define KEYS    2 /* of 4 bytes each, that are compared at most */
#define WAIT_S  10

union message {
    struct nlmsghdr head;
    uint8_t bytes[1024]; /* more than any of them has */
};

static void begin(union message *m, uint16_t type, const struct tcmsg *tc)
{
    memset(m, 0, sizeof(*m));
    m->head.nlmsg_type = type;
    m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    m->head.nlmsg_len = NLMSG_LENGTH(sizeof(*tc));
    memcpy(NLMSG_DATA(&m->head), tc, sizeof(*tc));
}

/* An attribute at the end. Returns it; what follows can be made part of it. */
static struct rtattr *put(union message *m, uint16_t type, const void *data,
                          size_t len)
{
    struct rtattr *a =
        (struct rtattr *)(void *)(m->bytes + NLMSG_ALIGN(m->head.nlmsg_len));

    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(len);
    if (len)
        memcpy(RTA_DATA(a), data, len);
    m->head.nlmsg_len =
        NLMSG_ALIGN(m->head.nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
    return a;
}

static struct rtattr *open_nest(union message *m, uint16_t type)
{
    return put(m, type, NULL, 0);
}

static void close_nest(const union message *m, struct rtattr *a)
{
    a->rta_len = (uint16_t)(m->bytes + m->head.nlmsg_len - (const uint8_t *)a);
}

/* Returns the kernel's answer. */
static int ask(int sock, const union message *m)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr err;
        uint8_t rest[1024];
    } reply;

    if (send(sock, m, m->head.nlmsg_len, 0) < 0 ||
        recv(sock, &reply, sizeof(reply), 0) < 0)
        return -errno;
    return reply.head.nlmsg_type == NLMSG_ERROR ? reply.err.error : -EPROTO;
}

static int add_ingress(int sock, int index)
{
    const struct tcmsg tc = {.tcm_ifindex = index,
                             .tcm_handle = INGRESS,
                             .tcm_parent = TC_H_INGRESS};
    union message m;

    begin(&m, RTM_NEWQDISC, &tc);
    put(&m, TCA_KIND, "ingress", sizeof("ingress"));
    return ask(sock, &m);
}

/* The @prio-th filter: where all @n @keys are in a frame, @action ends it. */
static int add_filter(int sock, int index, uint32_t prio,
                      const struct tc_u32_key *keys, uint8_t n, int action)
{
    const struct tcmsg tc = {.tcm_ifindex = index,
                             .tcm_parent = INGRESS,
                             .tcm_info =
                                 TC_H_MAKE(prio << 16, htons(ETH_P_ALL))};
    const struct tc_gact gact = {.action = action};
    union {
        struct tc_u32_sel sel;
        uint8_t room[sizeof(struct tc_u32_sel) + KEYS * sizeof(*keys)];
    } s = {.sel = {.flags = TC_U32_TERMINAL, .nkeys = n}};
    struct rtattr *options, *acts, *act, *params;
    union message m;

    memcpy(s.room + sizeof(s.sel), keys, n * sizeof(*keys));
    begin(&m, RTM_NEWTFILTER, &tc);
    put(&m, TCA_KIND, "u32", sizeof("u32"));
    options = open_nest(&m, TCA_OPTIONS);
    put(&m, TCA_U32_SEL, &s, sizeof(s.sel) + n * sizeof(*keys));
    acts = open_nest(&m, TCA_U32_ACT);
    act = open_nest(&m, 1);
    put(&m, TCA_ACT_KIND, "gact", sizeof("gact"));
    params = open_nest(&m, TCA_ACT_OPTIONS);
    put(&m, TCA_GACT_PARMS, &gact, sizeof(gact));
    close_nest(&m, params);
    close_nest(&m, act);
    close_nest(&m, acts);
    close_nest(&m, options);
    return ask(sock, &m);
}

int vr_guard_put(const char *name, const uint8_t *mac)
{
    struct tc_u32_key own[KEYS] = {
        {.mask = 0xffffffff, .off = SENDER},
        {.mask = htonl(0xffff0000), .off = SENDER + 4}};
    const struct tc_u32_key any = {.off = SENDER};
    const struct timeval wait = {.tv_sec = WAIT_S};
    int index = (int)if_nametoindex(name), sock, rc;

    if (!index)
        return -errno;
    memcpy(&own[0].val, mac, 4);
    memcpy(&own[1].val, mac + 4, 2);
    sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (sock < 0)
        return -errno;
    rc = setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait))
             ? -errno
             : add_ingress(sock, index);
    /* What drops comes first. */
    if (!rc)
        rc = add_filter(sock, index, 2, &any, 1, TC_ACT_SHOT);
    if (!rc)
        rc = add_filter(sock, index, 1, own, KEYS, TC_ACT_OK);
    close(sock);
    return rc;
}
