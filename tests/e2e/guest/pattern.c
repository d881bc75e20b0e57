/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pattern write|check FILE MIB SEED [direct]
 *
 * Writes or compares a reproducible stream that no compression or repeated
 * block can imitate (xorshift, much cheaper than /dev/urandom under
 * emulation). write ends with fsync. Prints a checksum of what was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (256 * 1024)

static uint64_t state;

static void fill(uint64_t *buf)
{
    uint64_t x = state;

    for (size_t i = 0; i < CHUNK / 8; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        buf[i] = x;
    }
    state = x;
}

static uint64_t sum(uint64_t h, const uint64_t *buf)
{
    for (size_t i = 0; i < CHUNK / 8; i++)
        h = (h ^ buf[i]) * UINT64_C(0x100000001b3);
    return h;
}

int main(int argc, char **argv)
{
    uint64_t *want, *have, h = UINT64_C(0xcbf29ce484222325);
    int fd, flags, writing;
    long chunks;

    if (argc < 5)
        return 2;
    writing = !strcmp(argv[1], "write");
    chunks = atol(argv[3]) * (1024 * 1024 / CHUNK);
    state = strtoull(argv[4], NULL, 0) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    flags = writing ? O_WRONLY | O_CREAT : O_RDONLY;
    if (argc > 5)
        flags |= O_DIRECT;
    fd = open(argv[2], flags, 0600);
    if (fd < 0) {
        perror(argv[2]);
        return 1;
    }
    if (posix_memalign((void **)&want, 4096, CHUNK) ||
        posix_memalign((void **)&have, 4096, CHUNK))
        return 1;
    for (long c = 0; c < chunks; c++) {
        ssize_t n;

        fill(want);
        if (writing) {
            n = write(fd, want, CHUNK);
            h = sum(h, want);
        } else {
            n = read(fd, have, CHUNK);
            h = sum(h, have);
        }
        if (n != CHUNK) {
            fprintf(stderr, "%s: chunk %ld: %s\n", argv[2], c,
                    n < 0 ? strerror(errno) : "short");
            return 1;
        }
        if (!writing && memcmp(want, have, CHUNK)) {
            fprintf(stderr, "%s: chunk %ld differs\n", argv[2], c);
            return 1;
        }
    }
    if (writing && fsync(fd)) {
        perror("fsync");
        return 1;
    }
    printf("%016llx\n", (unsigned long long)h);
    return close(fd) ? 1 : 0;
}
