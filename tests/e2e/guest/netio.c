/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sends and receives over a network, and knows what has to arrive:
 *
 *   netio recv PORT BYTES        a TCP connection, from whoever comes
 *   netio send ADDRESS PORT BYTES [MS]  ... with a pause after each PAUSE bytes
 *   netio sink PORT COUNT [GROUP ADDRESS]
 *                                UDP: how many of COUNT datagrams arrive;
 *                                sent to a GROUP by the interface with ADDRESS
 *   netio cast ADDRESS PORT COUNT LENGTH
 *   netio about INTERFACE        what ethtool asks for: driver, the offloads
 *                                that are on, how many counters there are
 *   netio pairs INTERFACE NUMBER TIMES
 *                                pairs of queues in use: 1 to NUMBER in turns,
 *                                so often; NUMBER at the end
 *
 * Byte n of a connection is a function of n. IPv4 and IPv6.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE (128u << 10)
#define PAUSE 4096u

static uint8_t buf[PIECE];

static int die(const char *what)
{
    fprintf(stderr, "netio: %s: %s\n", what, strerror(errno));
    return 1;
}

static uint8_t byte_at(uint64_t n)
{
    return (uint8_t)(n * 167 + (n >> 8) * 13 + (n >> 16));
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static socklen_t address(struct sockaddr_storage *a, const char *text,
                         const char *port)
{
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)a;
    struct sockaddr_in *four = (struct sockaddr_in *)a;
    uint16_t number = htons((uint16_t)atoi(port));

    memset(a, 0, sizeof(*a));
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = number;
        return sizeof(*four);
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
        exit(die(text));
    six->sin6_family = AF_INET6;
    six->sin6_port = number;
    return sizeof(*six);
}

/* Bound to any address, of IPv6 as well where the kernel has that. */
static int bound(const char *port, int type)
{
    struct sockaddr_storage a;
    int one = 1, off = 0, s = socket(AF_INET6, type, 0);
    socklen_t len = address(&a, s < 0 ? "0.0.0.0" : "::", port);

    if (s < 0)
        s = socket(AF_INET, type, 0);
    else
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (s < 0 || bind(s, (struct sockaddr *)&a, len))
        exit(die("bind"));
    return s;
}

static int do_recv(const char *port, uint64_t want)
{
    int s = bound(port, SOCK_STREAM), c;
    uint64_t at = 0;
    ssize_t n, i;
    double begin;

    if (listen(s, 1) || (c = accept(s, NULL, NULL)) < 0)
        return die("accept");
    printf("connected\n");
    fflush(stdout);
    begin = now();
    while ((n = recv(c, buf, sizeof(buf), 0)) > 0) {
        for (i = 0; i < n; i++, at++) {
            if (buf[i] == byte_at(at))
                continue;
            printf("byte %llu is %u, not %u\n", (unsigned long long)at, buf[i],
                   byte_at(at));
            return 1;
        }
    }
    if (n < 0)
        return die("recv");
    printf("received %llu in %.2f s\n", (unsigned long long)at, now() - begin);
    return at != want;
}

static int do_send(const char *to, const char *port, uint64_t len,
                   unsigned int ms)
{
    const size_t piece = ms ? PAUSE : PIECE;
    struct sockaddr_storage a;
    socklen_t alen = address(&a, to, port);
    double end = now() + 20;
    uint64_t at = 0;
    int s;

    for (;;) {
        s = socket(a.ss_family, SOCK_STREAM, 0);
        if (!connect(s, (struct sockaddr *)&a, alen))
            break;
        if (now() > end)
            return die("connect");
        close(s);
        usleep(200000);
    }
    while (at < len) {
        size_t n = len - at < piece ? len - at : piece, i, done = 0;

        for (i = 0; i < n; i++)
            buf[i] = byte_at(at + i);
        while (done < n) {
            ssize_t r = send(s, buf + done, n - done, 0);

            if (r < 0)
                return die("send");
            done += (size_t)r;
        }
        at += n;
        usleep(1000 * ms);
    }
    shutdown(s, SHUT_WR);
    /* Until the other end has it all. */
    if (recv(s, buf, 1, 0) < 0)
        return die("end");
    printf("sent %llu\n", (unsigned long long)at);
    return 0;
}

static int do_sink(const char *port, unsigned int count, const char *group,
                   const char *by)
{
    int s = bound(port, SOCK_DGRAM);
    struct pollfd p = {.fd = s, .events = POLLIN};
    unsigned int n = 0, bad = 0;
    ssize_t len, i;

    if (group) {
        struct ip_mreq m = {{inet_addr(group)}, {inet_addr(by)}};

        if (setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)))
            return die(group);
    }

    /* The first may take a while. */
    while (n < count && poll(&p, 1, n ? 3000 : 30000) == 1) {
        len = recv(s, buf, sizeof(buf), 0);
        if (len < 0)
            return die("recv");
        n++;
        for (i = 0; i < len; i++)
            if (buf[i] != byte_at((uint64_t)i)) {
                bad++;
                break;
            }
    }
    printf("%u datagrams, %u wrong\n", n, bad);
    return bad != 0;
}

static int do_cast(const char *to, const char *port, unsigned int count,
                   size_t len)
{
    struct sockaddr_storage a;
    socklen_t alen = address(&a, to, port);
    int s = socket(a.ss_family, SOCK_DGRAM, 0);
    unsigned int i;

    for (i = 0; i < len && i < PIECE; i++)
        buf[i] = byte_at(i);
    for (i = 0; i < count; i++)
        if (sendto(s, buf, len, 0, (struct sockaddr *)&a, alen) < 0 &&
            errno != ENOBUFS)
            return die("sendto");
    return 0;
}

#define NAMES 256u /* of offloads, or counters, at the most */

static int ask(int s, const char *name, void *what)
{
    struct ifreq ifr = {.ifr_data = what};

    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    return ioctl(s, SIOCETHTOOL, &ifr);
}

static int do_about(const char *name)
{
    union {
        struct ethtool_gstrings head;
        uint8_t room[sizeof(struct ethtool_gstrings) + NAMES * ETH_GSTRING_LEN];
    } names = {.head = {ETHTOOL_GSTRINGS, ETH_SS_FEATURES, 0}};
    union {
        struct ethtool_gfeatures head;
        uint8_t room[sizeof(struct ethtool_gfeatures) +
                     NAMES / 32 * sizeof(struct ethtool_get_features_block)];
    } on = {.head = {ETHTOOL_GFEATURES, NAMES / 32}};
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned int i;

    if (ask(s, name, &info) || ask(s, name, &names) || ask(s, name, &on))
        return die(name);
    printf("driver: %s\ncounters: %u\non:", info.driver, info.n_stats);
    for (i = 0; i < names.head.len && i < NAMES; i++)
        if (on.head.features[i / 32].active >> i % 32 & 1)
            printf(" %.32s", names.head.data + i * ETH_GSTRING_LEN);
    printf("\n");
    return 0;
}

static int do_pairs(const char *name, unsigned int number, unsigned int times)
{
    struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    if (ask(s, name, &c))
        return die(name);
    c.cmd = ETHTOOL_SCHANNELS;
    while (times--) {
        c.combined_count = number - times % number;
        if (ask(s, name, &c))
            return die(name);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "recv"))
        return do_recv(argv[2], strtoull(argv[3], NULL, 0));
    if ((argc == 5 || argc == 6) && !strcmp(argv[1], "send"))
        return do_send(argv[2], argv[3], strtoull(argv[4], NULL, 0),
                       argc == 6 ? (unsigned int)atoi(argv[5]) : 0);
    if ((argc == 4 || argc == 6) && !strcmp(argv[1], "sink"))
        return do_sink(argv[2], (unsigned int)atoi(argv[3]), argv[4],
                       argc == 6 ? argv[5] : NULL);
    if (argc == 3 && !strcmp(argv[1], "about"))
        return do_about(argv[2]);
    if (argc == 5 && !strcmp(argv[1], "pairs"))
        return do_pairs(argv[2], (unsigned int)atoi(argv[3]),
                        (unsigned int)atoi(argv[4]));
    if (argc == 6 && !strcmp(argv[1], "cast"))
        return do_cast(argv[2], argv[3], (unsigned int)atoi(argv[4]),
                       (size_t)atoi(argv[5]));
    fprintf(stderr, "netio: recv | send | sink | cast | about | pairs\n");
    return 2;
}
