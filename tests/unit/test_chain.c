/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Buffers that adjoin become one: the same bytes in the same order, in as few
 * pieces as there can be. (How a chain is cut: test_blkreq.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libs/window/chain.h"

#define ROUNDS 20000
#define STEP   16u /* so that few addresses are to be had, and many adjoin */
#define PLACES 64u

static uint8_t mem[STEP * PLACES];

/* The address of each byte, in order. */
static size_t bytes_of(const struct iovec *iov, unsigned int n,
                       const uint8_t **at)
{
    size_t i, total = 0;

    for (; n; n--, iov++) {
        for (i = 0; i < iov->iov_len; i++)
            at[total++] = (const uint8_t *)iov->iov_base + i;
    }
    return total;
}

static unsigned int make(struct iovec *iov)
{
    unsigned int i, n = (unsigned int)rand() % (VR_CHAIN_MAX + 1);
    unsigned int place = 0, len;

    for (i = 0; i < n; i++) {
        if (rand() % 3 == 0 || place >= PLACES)
            place = (unsigned int)rand() % PLACES;
        len = 1 + (unsigned int)rand() % 2;
        if (len > PLACES - place)
            len = PLACES - place;
        iov[i].iov_base = mem + STEP * place;
        iov[i].iov_len = STEP * len;
        place += len;
    }
    return n;
}

static void any(void **state)
{
    static const uint8_t *before[VR_CHAIN_MAX * 2 * STEP],
        *after[VR_CHAIN_MAX * 2 * STEP];
    struct iovec iov[VR_CHAIN_MAX];
    unsigned int round, i, n, gaps;
    size_t total;

    (void)state;
    srand(1);
    for (round = 0; round < ROUNDS; round++) {
        n = make(iov);
        total = bytes_of(iov, n, before);
        gaps = 0;
        for (i = 1; i < total; i++)
            gaps += before[i] != before[i - 1] + 1;
        n = vr_chain_join(iov, n);
        assert_int_equal(n, total ? gaps + 1 : 0);
        assert_int_equal(bytes_of(iov, n, after), total);
        assert_memory_equal(before, after, total * sizeof(*before));
    }
}

static void few(void **state)
{
    struct iovec iov[] = {{mem + 64, 64}, {mem, 64}, {mem + 64, 32}};

    (void)state;
    assert_int_equal(vr_chain_join(iov, 0), 0);
    assert_int_equal(vr_chain_join(iov, 1), 1);
    /* The second ends where the first begins: that is not behind it. */
    assert_int_equal(vr_chain_join(iov, 2), 2);
    assert_int_equal(vr_chain_join(iov, 3), 2);
    assert_ptr_equal(iov[1].iov_base, mem);
    assert_int_equal(iov[1].iov_len, 96);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any),
        cmocka_unit_test(few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
