/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freed FILE MIB
 *
 * In a guest whose backend is not to be trusted: takes memory, fills it with a
 * pattern, looks whether it stays so, gives it back, and again. Whoever writes
 * to memory that was used for I/O once and is private now, is seen. The number
 * of rounds and of changed words is written to FILE after each round.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOOKS 3

int main(int argc, char **argv)
{
    size_t len, i;
    unsigned long rounds = 0, changed = 0;
    char text[64];

    if (argc != 3)
        return 2;
    len = strtoul(argv[2], NULL, 0) << 20;
    for (;; rounds++) {
        volatile uint64_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int fd;

        if (p == MAP_FAILED)
            return 1;
        for (i = 0; i < len / 8; i++)
            p[i] = i * UINT64_C(0x9e3779b97f4a7c15);
        for (int look = 0; look < LOOKS; look++) {
            for (i = 0; i < len / 8; i++)
                changed += p[i] != i * UINT64_C(0x9e3779b97f4a7c15);
            usleep(100000);
        }
        munmap((void *)(uintptr_t)p, len);
        fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
        i = snprintf(text, sizeof(text), "%lu rounds, %lu changed\n",
                     rounds + 1, changed);
        if (fd < 0 || write(fd, text, i) < 0)
            return 1;
        close(fd);
    }
}
