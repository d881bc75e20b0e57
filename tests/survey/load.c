/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loads of the survey that a shell has no tools for:
 *
 *     load block FILE read|write random|sequential pages|huge SIZE COUNT DEPTH
 *                                      into small pages as they come, or huge
 *     load sink PORT                   takes what comes, until it is killed
 *     load echo PORT                   returns it, in pieces as they come
 *     load stream ADDRESS PORT BYTES
 *     load ask ADDRESS PORT SIZE COUNT request and response, one at a time
 *     load frames CARD COUNT           a square moves over a screen
 *     load cipher NAME SIZE COUNT      AF_ALG, by the driver's name
 *
 * The same numbers make the same accesses each time. */
#include <arpa/inet.h>
#include <drm.h>
#include <drm_mode.h>
#include <err.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HUGE ((size_t)2 << 20)

static long number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 0);

    if (*end || end == text || n <= 0)
        errx(2, "%s: not a number above 0", text);
    return n;
}

static struct {
    int fd;
    bool write, random, huge;
    size_t size;
    long count, depth;
    uint64_t places;
} blk;

/* Every depth-th request is this thread's. */
static void *requests(void *arg)
{
    uint64_t x, place;
    void *buffer;
    ssize_t r;
    long i;

    if (posix_memalign(&buffer, HUGE, HUGE) || blk.size > HUGE ||
        madvise(buffer, HUGE, blk.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
        errx(1, "no memory");
    memset(buffer, 0x5a, blk.size);
    for (i = (long)(intptr_t)arg; i < blk.count; i += blk.depth) {
        x = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
        place = blk.random ? (x >> 20) % blk.places : (uint64_t)i % blk.places;
        if (blk.write)
            r = pwrite(blk.fd, buffer, blk.size, (off_t)(place * blk.size));
        else
            r = pread(blk.fd, buffer, blk.size, (off_t)(place * blk.size));
        if (r != (ssize_t)blk.size)
            err(1, "request %ld", i);
    }
    free(buffer);
    return NULL;
}

static int block(char **arg)
{
    pthread_t thread[64];
    off_t end;
    long i;

    blk.write = !strcmp(arg[1], "write");
    blk.random = !strcmp(arg[2], "random");
    blk.huge = !strcmp(arg[3], "huge");
    blk.size = (size_t)number(arg[4]);
    blk.count = number(arg[5]);
    blk.depth = number(arg[6]);
    blk.fd = open(arg[0], (blk.write ? O_RDWR : O_RDONLY) | O_DIRECT);
    end = blk.fd < 0 ? -1 : lseek(blk.fd, 0, SEEK_END);
    if (end < 0 || blk.depth > 64)
        err(1, "%s", arg[0]);
    blk.places = (uint64_t)end / blk.size;
    for (i = 0; i < blk.depth; i++) {
        if (pthread_create(&thread[i], NULL, requests, (void *)(intptr_t)i))
            errx(1, "no thread");
    }
    for (i = 0; i < blk.depth; i++)
        pthread_join(thread[i], NULL);
    return 0;
}

static struct sockaddr_in address(const char *host, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET};

    to.sin_port = htons((uint16_t)number(port));
    if (host && !inet_aton(host, &to.sin_addr))
        errx(2, "%s: no address", host);
    return to;
}

/* One connection after the other. */
static int serve(const char *port, bool echo)
{
    struct sockaddr_in to = address(NULL, port);
    static char buffer[1 << 18];
    int on = 1, fd, peer;
    ssize_t r;

    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&to, sizeof(to)) || listen(fd, 4))
        err(1, "port %s", port);
    for (;;) {
        peer = accept(fd, NULL, NULL);
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        while ((r = read(peer, buffer, sizeof(buffer))) > 0) {
            if (echo && write(peer, buffer, (size_t)r) != r)
                break;
        }
        close(peer);
    }
}

static int reach(const char *host, const char *port)
{
    struct sockaddr_in to = address(host, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
        err(1, "%s:%s", host, port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static int stream(char **arg)
{
    static char buffer[1 << 17];
    long left = number(arg[2]), piece;
    int fd = reach(arg[0], arg[1]);
    ssize_t r;

    for (; left > 0; left -= r) {
        piece = left < (long)sizeof(buffer) ? left : (long)sizeof(buffer);
        r = write(fd, buffer, (size_t)piece);
        if (r <= 0)
            err(1, "write");
    }
    shutdown(fd, SHUT_WR);
    while (read(fd, buffer, sizeof(buffer)) > 0)
        ;
    return 0;
}

static int ask(char **arg)
{
    static char buffer[1 << 16];
    long size = number(arg[2]), count = number(arg[3]), got;
    int fd = reach(arg[0], arg[1]);
    ssize_t r;

    if (size > (long)sizeof(buffer))
        errx(2, "size %ld: at most %zu", size, sizeof(buffer));
    while (count--) {
        if (write(fd, buffer, (size_t)size) != size)
            err(1, "write");
        for (got = 0; got < size; got += r) {
            r = read(fd, buffer, sizeof(buffer));
            if (r <= 0)
                err(1, "read");
        }
    }
    return 0;
}

static void card(int fd, unsigned long request, void *arg, const char *what)
{
    if (ioctl(fd, request, arg))
        err(1, "%s", what);
}

/* The first connector, its first mode and the first controller. */
static struct drm_mode_modeinfo screen(int fd, uint32_t *crtc_r,
                                       uint32_t *connector_r)
{
    struct drm_mode_card_res res = {0};
    struct drm_mode_get_connector con = {0};
    static struct drm_mode_modeinfo modes[64];
    static uint32_t crtcs[16], connectors[16];

    card(fd, DRM_IOCTL_MODE_GETRESOURCES, &res, "resources");
    if (!res.count_crtcs || res.count_crtcs > 16 || !res.count_connectors ||
        res.count_connectors > 16)
        errx(1, "no screen");
    res.crtc_id_ptr = (uintptr_t)crtcs;
    res.connector_id_ptr = (uintptr_t)connectors;
    res.count_fbs = res.count_encoders = 0;
    card(fd, DRM_IOCTL_MODE_GETRESOURCES, &res, "resources");
    con.connector_id = connectors[0];
    card(fd, DRM_IOCTL_MODE_GETCONNECTOR, &con, "connector");
    if (!con.count_modes || con.count_modes > 64)
        errx(1, "no mode");
    con.modes_ptr = (uintptr_t)modes;
    con.count_props = con.count_encoders = 0;
    card(fd, DRM_IOCTL_MODE_GETCONNECTOR, &con, "connector");
    *crtc_r = crtcs[0];
    *connector_r = connectors[0];
    return modes[0];
}

static int frames(char **arg)
{
    struct drm_mode_create_dumb dumb[2];
    struct drm_mode_fb_cmd fb[2];
    struct drm_mode_map_dumb map;
    struct drm_mode_destroy_dumb end;
    struct drm_mode_modeinfo mode;
    long count = number(arg[1]), i;
    uint32_t crtc, connector, *pixel[2];
    struct drm_clip_rect rect;
    unsigned n, x, y;
    int fd = open(arg[0], O_RDWR);

    if (fd < 0)
        err(1, "%s", arg[0]);
    mode = screen(fd, &crtc, &connector);
    for (n = 0; n < 2; n++) {
        dumb[n] = (struct drm_mode_create_dumb){
            .width = mode.hdisplay, .height = mode.vdisplay, .bpp = 32};
        card(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb[n], "buffer");
        fb[n] = (struct drm_mode_fb_cmd){.width = mode.hdisplay,
                                         .height = mode.vdisplay,
                                         .pitch = dumb[n].pitch,
                                         .bpp = 32,
                                         .depth = 24,
                                         .handle = dumb[n].handle};
        card(fd, DRM_IOCTL_MODE_ADDFB, &fb[n], "frame buffer");
        map = (struct drm_mode_map_dumb){.handle = dumb[n].handle};
        card(fd, DRM_IOCTL_MODE_MAP_DUMB, &map, "map");
        pixel[n] = mmap(NULL, dumb[n].size, PROT_READ | PROT_WRITE, MAP_SHARED,
                        fd, (off_t)map.offset);
        if (pixel[n] == MAP_FAILED)
            err(1, "mmap");
        memset(pixel[n], 0, dumb[n].size);
    }
    for (i = 0; i < count; i++) {
        struct drm_mode_crtc set = {.set_connectors_ptr = (uintptr_t)&connector,
                                    .count_connectors = 1,
                                    .crtc_id = crtc,
                                    .fb_id = fb[i % 2].fb_id,
                                    .mode_valid = 1,
                                    .mode = mode};
        struct drm_mode_fb_dirty_cmd dirty = {.fb_id = fb[i % 2].fb_id,
                                              .num_clips = 1,
                                              .clips_ptr = (uintptr_t)&rect};

        x = (unsigned)(i * 16) % (mode.hdisplay - 64u);
        y = (unsigned)(i * 8) % (mode.vdisplay - 64u);
        rect = (struct drm_clip_rect){(unsigned short)x, (unsigned short)y,
                                      (unsigned short)(x + 64),
                                      (unsigned short)(y + 64)};
        for (n = 0; n < 64; n++)
            memset(pixel[i % 2] + (y + n) * (dumb[0].pitch / 4) + x, (int)i,
                   64 * 4);
        card(fd, DRM_IOCTL_MODE_SETCRTC, &set, "show");
        card(fd, DRM_IOCTL_MODE_DIRTYFB, &dirty, "dirty");
    }
    for (n = 0; n < 2; n++) {
        card(fd, DRM_IOCTL_MODE_RMFB, &fb[n].fb_id, "remove");
        munmap(pixel[n], dumb[n].size);
        end = (struct drm_mode_destroy_dumb){.handle = dumb[n].handle};
        card(fd, DRM_IOCTL_MODE_DESTROY_DUMB, &end, "destroy");
    }
    return 0;
}

static int cipher(char **arg)
{
    struct sockaddr_alg name = {.salg_family = AF_ALG, .salg_type = "skcipher"};
    long size = number(arg[1]), count = number(arg[2]);
    static char key[16] = "survey", buffer[1 << 16];
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(4) + CMSG_SPACE(20)];
    } control;
    struct iovec piece = {buffer, (size_t)size};
    struct msghdr msg = {.msg_control = &control,
                         .msg_controllen = sizeof(control),
                         .msg_iov = &piece,
                         .msg_iovlen = 1};
    struct cmsghdr *c;
    struct af_alg_iv *iv;
    int fd, op;

    if (size > (long)sizeof(buffer))
        errx(2, "size %ld: at most %zu", size, sizeof(buffer));
    strncpy((char *)name.salg_name, arg[0], sizeof(name.salg_name) - 1);
    fd = socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof(name)) ||
        setsockopt(fd, SOL_ALG, ALG_SET_KEY, key, sizeof(key)))
        err(1, "%s", arg[0]);
    op = accept(fd, NULL, 0);
    if (op < 0)
        err(1, "%s", arg[0]);
    while (count--) {
        memset(&control, 0, sizeof(control));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_ALG;
        c->cmsg_type = ALG_SET_OP;
        c->cmsg_len = CMSG_LEN(4);
        *(uint32_t *)CMSG_DATA(c) = ALG_OP_ENCRYPT;
        c = CMSG_NXTHDR(&msg, c);
        c->cmsg_level = SOL_ALG;
        c->cmsg_type = ALG_SET_IV;
        c->cmsg_len = CMSG_LEN(20);
        iv = (struct af_alg_iv *)CMSG_DATA(c);
        iv->ivlen = 16;
        if (sendmsg(op, &msg, 0) != size ||
            read(op, buffer, (size_t)size) != size)
            err(1, "encrypt");
    }
    return 0;
}

int main(int argc, char **argv)
{
    char **arg = argv + 2;
    int n = argc - 2;

    signal(SIGPIPE, SIG_IGN);
#define IS(name, args) (argc > 1 && !strcmp(argv[1], name) && n == (args))
    if (IS("block", 7))
        return block(arg);
    if (IS("sink", 1) || IS("echo", 1))
        return serve(arg[0], IS("echo", 1));
    if (IS("stream", 3))
        return stream(arg);
    if (IS("ask", 4))
        return ask(arg);
    if (IS("frames", 2))
        return frames(arg);
    if (IS("cipher", 3))
        return cipher(arg);
    errx(2, "usage: see load.c");
}
