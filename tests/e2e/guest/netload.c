/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads for networks. The content is nothing, and nobody looks at it.
 *
 *   netload sink PORT                  a TCP connection, until its end
 *   netload pour ADDRESS PORT BYTES
 *   netload echo PORT                  TCP and UDP: answers what comes, for
 * ever netload ask udp|tcp ADDRESS PORT COUNT
 *                                      ... one byte at a time
 *   netload count PORT                 UDP: how many come, until there is a
 *                                      pause
 *   netload shoot ADDRESS PORT COUNT LENGTH
 *
 * Those that measure print a number and the seconds that it took.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE    (64u << 10)
#define FIRST_MS 20000
#define PAUSE_MS 300
#define ASK_MS   500

static uint8_t buf[PIECE];

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int tell(unsigned long n, double secs)
{
    printf("%lu %.9f\n", n, secs);
    return 0;
}

static void __attribute__((noreturn)) die(const char *what)
{
    perror(what);
    exit(1);
}

static int bound(const char *port, int type)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)atoi(port))};
    int one = 1, s = socket(AF_INET, type, 0);

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (struct sockaddr *)&a, sizeof(a)))
        die("bind");
    return s;
}

static int connected(const char *to, const char *port, int type)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)atoi(port))};
    unsigned int tries = 50;
    int s;

    a.sin_addr.s_addr = inet_addr(to);
    for (;;) {
        s = socket(AF_INET, type, 0);
        if (!connect(s, (struct sockaddr *)&a, sizeof(a)))
            return s;
        if (!--tries)
            die(to);
        close(s);
        usleep(100000);
    }
}

static int do_sink(const char *port)
{
    int s = bound(port, SOCK_STREAM), c;
    unsigned long got = 0;
    double begin = 0;
    ssize_t n;

    if (listen(s, 1) || (c = accept(s, NULL, NULL)) < 0)
        die("accept");
    while ((n = recv(c, buf, sizeof(buf), 0)) > 0) {
        if (!got)
            begin = now();
        got += (unsigned long)n;
    }
    if (n < 0)
        die("recv");
    return tell(got, now() - begin);
}

static int do_pour(const char *to, const char *port, unsigned long len)
{
    int s = connected(to, port, SOCK_STREAM);
    double begin = now();
    unsigned long at = 0;
    ssize_t n;

    for (; at < len; at += (unsigned long)n) {
        n = send(s, buf, len - at < PIECE ? len - at : PIECE, 0);
        if (n < 0)
            die("send");
    }
    shutdown(s, SHUT_WR);
    if (recv(s, buf, 1, 0) < 0)
        die("end");
    return tell(at, now() - begin);
}

static void __attribute__((noreturn)) echo_tcp(const char *port)
{
    int s = bound(port, SOCK_STREAM), one = 1, c;
    ssize_t n;

    if (listen(s, 1))
        die("listen");
    for (;;) {
        c = accept(s, NULL, NULL);
        if (c < 0)
            die("accept");
        setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        while ((n = recv(c, buf, sizeof(buf), 0)) > 0)
            send(c, buf, (size_t)n, 0);
        close(c);
    }
}

static void __attribute__((noreturn)) do_echo(const char *port)
{
    struct sockaddr_in from;
    socklen_t len;
    ssize_t n;
    int s;

    if (!fork())
        echo_tcp(port);
    s = bound(port, SOCK_DGRAM);
    for (;;) {
        len = sizeof(from);
        n = recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
        if (n >= 0)
            sendto(s, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}

static int do_ask(int type, const char *to, const char *port,
                  unsigned int count)
{
    int s = connected(to, port, type), one = 1;
    struct pollfd p = {.fd = s, .events = POLLIN};
    double begin = now();
    unsigned int i = 0;

    if (type == SOCK_STREAM)
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    while (i < count) {
        send(s, buf, 1, 0);
        if (poll(&p, 1, ASK_MS) == 1 && recv(s, buf, 1, 0) == 1)
            i++;
        else if (now() - begin > 60)
            die("no answer");
    }
    return tell(count, now() - begin);
}

static int do_count(const char *port)
{
    int s = bound(port, SOCK_DGRAM), size = 4 << 20;
    struct pollfd p = {.fd = s, .events = POLLIN};
    double begin = 0, end = 0;
    unsigned long n = 0;

    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    while (poll(&p, 1, n ? PAUSE_MS : FIRST_MS) == 1) {
        if (!n)
            begin = now();
        while (recv(s, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
            n++;
        end = now();
    }
    return tell(n, end - begin);
}

static int do_shoot(const char *to, const char *port, unsigned int count,
                    size_t len)
{
    int s = connected(to, port, SOCK_DGRAM);
    double begin = now();
    unsigned int i;

    for (i = 0; i < count; i++)
        send(s, buf, len, 0);
    return tell(count, now() - begin);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 3 && !strcmp(what, "sink"))
        return do_sink(argv[2]);
    if (argc == 5 && !strcmp(what, "pour"))
        return do_pour(argv[2], argv[3], strtoul(argv[4], NULL, 0));
    if (argc == 3 && !strcmp(what, "echo"))
        do_echo(argv[2]);
    if (argc == 6 && !strcmp(what, "ask"))
        return do_ask(strcmp(argv[2], "tcp") ? SOCK_DGRAM : SOCK_STREAM,
                      argv[3], argv[4], (unsigned int)atoi(argv[5]));
    if (argc == 3 && !strcmp(what, "count"))
        return do_count(argv[2]);
    if (argc == 6 && !strcmp(what, "shoot"))
        return do_shoot(argv[2], argv[3], (unsigned int)atoi(argv[4]),
                        strtoul(argv[5], NULL, 0));
    fprintf(stderr, "netload: sink | pour | echo | ask | count | shoot\n");
    return 2;
}
