/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * neighbour DISK OFFSET SECRET PAYLOAD
 * neighbour ADDRESS PORT SECRET PAYLOAD
 *
 * In a guest: writes 512 bytes to DISK, past the page cache, or sends them, as
 * they are, in a datagram, out of a page whose other bytes are a secret. SECRET
 * and PAYLOAD are 32 bytes each, in hexadecimal (which is how they stand in
 * command lines, so that a search for the bytes finds this page and its
 * copies). Prints the page's frame before the write, and after it, whether the
 * page is still what it was.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "secret.h"

#define PAGE   4096
#define SECTOR 512
#define AT     1536 /* of the payload in its page: neighbours on both sides */

#define PRESENT (UINT64_C(1) << 63)
#define FRAME   ((UINT64_C(1) << 55) - 1)

static void fill(uint8_t *page, const uint8_t *secret, const uint8_t *payload)
{
    for (int i = 0; i < PAGE; i += PATTERN)
        memcpy(page + i, i >= AT && i < AT + SECTOR ? payload : secret,
               PATTERN);
}

/* The frame that the one page at @p is in; 0: not known. */
static uint64_t frame_of(const void *p)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry = 0;

    if (fd < 0 || pread(fd, &entry, sizeof(entry),
                        (uintptr_t)p / PAGE * sizeof(entry)) != sizeof(entry))
        entry = 0;
    if (fd >= 0)
        close(fd);
    return entry & PRESENT ? entry & FRAME : 0;
}

/* Until the device has it. */
#define WAIT_MS 120000

static int put_disk(const char *disk, const char *offset, const uint8_t *from)
{
    int fd = open(disk, O_WRONLY | O_DIRECT);

    return fd >= 0 &&
           pwrite(fd, from, SECTOR, strtoull(offset, NULL, 0)) == SECTOR;
}

static int put_net(const char *address, const char *port, const uint8_t *from)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port))};
    int one = 1, s = socket(AF_INET, SOCK_DGRAM, 0);
    struct pollfd p = {.fd = s};

    to.sin_addr.s_addr = inet_addr(address);
    return !setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) &&
           !connect(s, (struct sockaddr *)&to, sizeof(to)) &&
           send(s, from, SECTOR, MSG_ZEROCOPY) == SECTOR &&
           poll(&p, 1, WAIT_MS) == 1;
}

int main(int argc, char **argv)
{
    uint8_t secret[PATTERN], payload[PATTERN], want[PAGE], *page;
    uint64_t frame;

    if (argc != 5 || parse(argv[3], secret) || parse(argv[4], payload))
        return 2;
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (page == MAP_FAILED || mlock(page, PAGE))
        return 1;
    fill(page, secret, payload);
    fill(want, secret, payload);
    frame = frame_of(page);
    if (!frame)
        return 1;
    printf("frame %#llx\n", (unsigned long long)frame);
    fflush(stdout);
    if (!(argv[1][0] == '/' ? put_disk : put_net)(argv[1], argv[2],
                                                  page + AT)) {
        perror(argv[1]);
        return 1;
    }
    printf("written, page %s\n",
           frame_of(page) == frame && !memcmp(page, want, PAGE) ? "unchanged"
                                                                : "changed");
    return 0;
}
