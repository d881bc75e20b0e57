/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a plain copy costs on the machine that this runs on: for each size the
 * nanoseconds of one memcpy(), with both buffers in the caches (warm), and with
 * neither (cold: each copy has another place of an area that is far larger than
 * the caches). The middle of many tries, in CSV. */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define AREA  ((size_t)256 << 20)
#define TRIES 301

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static char *area(void)
{
    char *at = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        err(1, "mmap");
    memset(at, 1, AREA);
    return at;
}

/* One copy takes less than the clock can tell: as many as make 64 KiB are one
 * try, each, if cold, at another place. */
static double copies(char *to, const char *from, size_t size, int cold)
{
    size_t times = size < 65536 ? 65536 / size : 1, places = AREA / size, i;
    static uint64_t turn;
    double took[TRIES];
    uint64_t begin;
    int n;

    for (n = 0; n < TRIES; n++) {
        begin = now();
        for (i = 0; i < times; i++) {
            /* A step that is prime to the number of places. */
            size_t place = cold ? (turn++ * 7919) % places * size : 0;

            memcpy(to + place, from + place, size);
            __asm__ volatile("" : : "r"(to), "r"(from) : "memory");
        }
        took[n] = (double)(now() - begin) / (double)times;
    }
    qsort(took, TRIES, sizeof(*took), order);
    return took[TRIES / 2];
}

int main(void)
{
    char *to = area(), *from = area();
    size_t size;

    printf("size,warm_ns,cold_ns\n");
    for (size = 64; size <= 4 << 20; size *= 4)
        printf("%zu,%.1f,%.1f\n", size, copies(to, from, size, 0),
               copies(to, from, size, 1));
    return 0;
}
