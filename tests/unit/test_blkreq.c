/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libs/window/bounds.h"
#include "blkchain.h"

#define IN      0
#define OUT     1
#define FLUSH   4
#define GET_ID  8
#define DISCARD 11
#define ZEROES  13

#define CAPACITY 1000u

static struct vr_blk_dev dev;
static struct vr_chain chain;
static struct vr_blk_req req;
static struct blk_data data;
static uint8_t mem[8192];
static uint64_t features;

static int setup(void **state)
{
    (void)state;
    dev = (struct vr_blk_dev){.capacity = CAPACITY,
                              .blk_size = 512,
                              .queues = 1,
                              .queue_size = 128,
                              .size_max = VR_POOL_SIZE_MAX,
                              .discard = true,
                              .zeroes = true,
                              .serial = "disk-1"};
    features = ~UINT64_C(0);
    memset(&chain, 0, sizeof(chain));
    memset(mem, 0xee, sizeof(mem));
    return 0;
}

static void buf(bool write, void *p, uint32_t len)
{
    struct iovec *v = &chain.iov[chain.nread + chain.nwrite];

    v->iov_base = p;
    v->iov_len = len;
    if (write) {
        chain.nwrite++;
        chain.write_len += len;
    } else {
        chain.nread++;
        chain.read_len += len;
    }
}

/* Header at mem, data (@len) at mem + 512, status at mem + 64. */
static int request(uint32_t type, uint64_t sector, bool write, uint32_t len)
{
    chain.nread = chain.nwrite = 0;
    chain.read_len = chain.write_len = 0;
    memset(mem, 0, 16);
    memcpy(mem, &type, 4);
    memcpy(mem + 8, &sector, 8);
    buf(false, mem, 16);
    if (len)
        buf(write, mem + 512, len);
    buf(true, mem + 64, 1);
    return blk_parse(&dev, features, &chain, &req, &data);
}

static void expect_done(uint8_t status)
{
    assert_int_equal(req.op, VR_BLK_DONE);
    assert_int_equal(req.status_value, status);
    assert_ptr_equal(data.status, mem + 64);
}

static void read_write(void **state)
{
    (void)state;
    assert_int_equal(request(IN, 3, true, 1024), 0);
    assert_int_equal(req.op, VR_BLK_READ);
    assert_int_equal(req.offset, 3 * 512);
    assert_int_equal(req.len, 1024);
    assert_int_equal(data.niov, 1);
    assert_ptr_equal(data.iov[0].iov_base, mem + 512);
    assert_ptr_equal(data.status, mem + 64);
    assert_int_equal(req.used_len, 1025);
    assert_int_equal(request(OUT, 3, false, 512), 0);
    assert_int_equal(req.op, VR_BLK_WRITE);
    assert_int_equal(data.niov, 1);
    assert_ptr_equal(data.iov[0].iov_base, mem + 512);
    assert_int_equal(req.used_len, 1);
}

/* No framing: header over three buffers, data behind it in the same one,
 * status at the end of a data buffer. */
static void any_framing(void **state)
{
    uint32_t type = OUT;
    uint64_t sector = 1;

    (void)state;
    memset(mem, 0, 16);
    memcpy(mem, &type, 4);
    memcpy(mem + 8, &sector, 8);
    buf(false, mem, 1);
    buf(false, mem + 1, 10);
    buf(false, mem + 11, 5 + 12);
    buf(false, mem + 512, 500);
    buf(true, mem + 64, 1);
    assert_int_equal(blk_parse(&dev, features, &chain, &req, &data), 0);
    assert_int_equal(req.op, VR_BLK_WRITE);
    assert_int_equal(req.len, 512);
    assert_int_equal(data.niov, 2);
    assert_ptr_equal(data.iov[0].iov_base, mem + 16);
    assert_int_equal(data.iov[0].iov_len, 12);
    assert_int_equal(data.iov[1].iov_len, 500);

    type = IN;
    memset(&chain, 0, sizeof(chain));
    memcpy(mem, &type, 4);
    buf(false, mem, 16);
    buf(true, mem + 512, 100);
    buf(true, mem + 1024, 413);
    assert_int_equal(blk_parse(&dev, features, &chain, &req, &data), 0);
    assert_int_equal(req.op, VR_BLK_READ);
    assert_int_equal(req.len, 512);
    assert_int_equal(data.niov, 2);
    assert_int_equal(data.iov[1].iov_len, 412);
    assert_ptr_equal(data.status, mem + 1024 + 412);
}

static void capacity(void **state)
{
    const struct {
        uint64_t sector;
        uint32_t len;
        bool ok;
    } t[] = {
        {0, 512, true},
        {CAPACITY - 1, 512, true},
        {CAPACITY - 1, 1024, false},
        {CAPACITY, 512, false},
        {UINT64_MAX, 512, false},
        {UINT64_MAX / 512 + 1, 512, false}, /* sector * 512 wraps to 0 */
        {0, 511, false},
        {0, 513, false},
        {0, 0, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(t); i++) {
        assert_int_equal(request(IN, t[i].sector, true, t[i].len), 0);
        if (t[i].ok)
            assert_int_equal(req.op, VR_BLK_READ);
        else
            expect_done(VR_BLK_S_IOERR);
        assert_int_equal(request(OUT, t[i].sector, false, t[i].len), 0);
        if (t[i].ok)
            assert_int_equal(req.op, VR_BLK_WRITE);
        else
            expect_done(VR_BLK_S_IOERR);
    }
}

static void no_status(void **state)
{
    (void)state;
    buf(false, mem, 16);
    assert_int_equal(blk_parse(&dev, features, &chain, &req, &data), -EPROTO);
    memset(&chain, 0, sizeof(chain));
    assert_int_equal(blk_parse(&dev, features, &chain, &req, &data), -EPROTO);
}

static void short_header(void **state)
{
    (void)state;
    buf(false, mem, 15);
    buf(true, mem + 64, 1);
    assert_int_equal(blk_parse(&dev, features, &chain, &req, &data), 0);
    expect_done(VR_BLK_S_IOERR);
    memset(&chain, 0, sizeof(chain));
    buf(true, mem + 64, 1);
    assert_int_equal(blk_parse(&dev, features, &chain, &req, &data), 0);
    expect_done(VR_BLK_S_IOERR);
}

static void readonly(void **state)
{
    const uint64_t range[2] = {0, 8};

    (void)state;
    dev.readonly = true;
    request(OUT, 0, false, 512);
    expect_done(VR_BLK_S_IOERR);
    memcpy(mem + 512, range, 16);
    request(DISCARD, 0, false, 16);
    expect_done(VR_BLK_S_IOERR);
    request(ZEROES, 0, false, 16);
    expect_done(VR_BLK_S_IOERR);
    request(IN, 0, true, 512);
    assert_int_equal(req.op, VR_BLK_READ);
    request(FLUSH, 0, false, 0);
    assert_int_equal(req.op, VR_BLK_FLUSH);
}

static void flush_and_unknown(void **state)
{
    (void)state;
    request(FLUSH, 0, false, 0);
    assert_int_equal(req.op, VR_BLK_FLUSH);
    features = 0;
    request(FLUSH, 0, false, 0);
    expect_done(VR_BLK_S_UNSUPP);
    request(7, 0, false, 0);
    expect_done(VR_BLK_S_UNSUPP);
    request(UINT32_MAX, 0, true, 512);
    expect_done(VR_BLK_S_UNSUPP);
}

static void get_id(void **state)
{
    (void)state;
    request(GET_ID, 0, true, 20);
    expect_done(VR_BLK_S_OK);
    assert_int_equal(req.used_len, 21);
    assert_memory_equal(mem + 512, "disk-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    assert_int_equal(mem[512 + 20], 0xee);
    /* Shorter and longer buffers are neither overrun nor left unwritten. */
    memset(mem + 512, 0xee, 64);
    request(GET_ID, 0, true, 3);
    expect_done(VR_BLK_S_OK);
    assert_int_equal(req.used_len, 4);
    assert_memory_equal(mem + 512, "dis\xee", 4);
    request(GET_ID, 0, true, 40);
    assert_int_equal(req.used_len, 20);
    assert_int_equal(mem[512 + 20], 0xee);
    request(GET_ID, 0, true, 0);
    expect_done(VR_BLK_S_OK);
    assert_int_equal(req.used_len, 1);
    /* A serial of full length has no end mark. */
    memset(dev.serial, 'x', VR_SERIAL_LEN);
    request(GET_ID, 0, true, 20);
    assert_memory_equal(mem + 512, "xxxxxxxxxxxxxxxxxxxx", 20);
}

static void range(uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
    memcpy(mem + 512, &sector, 8);
    memcpy(mem + 520, &n, 4);
    memcpy(mem + 524, &flags, 4);
    assert_int_equal(request(type, 0, false, 16), 0);
}

static void ranges(void **state)
{
    (void)state;
    range(DISCARD, 8, 16, 0);
    assert_int_equal(req.op, VR_BLK_DISCARD);
    assert_int_equal(req.offset, 4096);
    assert_int_equal(req.len, 8192);
    range(DISCARD, 8, 16, 1);
    expect_done(VR_BLK_S_UNSUPP);
    range(ZEROES, 8, 16, 0);
    assert_int_equal(req.op, VR_BLK_WRITE_ZEROES);
    assert_false(req.unmap);
    range(ZEROES, 8, 16, 1);
    assert_true(req.unmap);
    range(ZEROES, 8, 16, 2);
    expect_done(VR_BLK_S_UNSUPP);
    range(ZEROES, 0, CAPACITY, 0);
    assert_int_equal(req.op, VR_BLK_WRITE_ZEROES);
    range(ZEROES, 1, CAPACITY, 0);
    expect_done(VR_BLK_S_IOERR);
    range(ZEROES, UINT64_MAX, 2, 0);
    expect_done(VR_BLK_S_IOERR);
    range(DISCARD, 0, 0, 0);
    expect_done(VR_BLK_S_OK);
    dev.capacity = UINT64_MAX / 512;
    range(ZEROES, 0, VR_BLK_ZEROES_SECTORS + 1, 0);
    expect_done(VR_BLK_S_IOERR);
    range(DISCARD, 0, VR_BLK_DISCARD_SECTORS + 1, 0);
    expect_done(VR_BLK_S_IOERR);
    range(DISCARD, 0, VR_BLK_DISCARD_SECTORS, 0);
    assert_int_equal(req.op, VR_BLK_DISCARD);
    /* Only one range, and a whole one. */
    request(DISCARD, 0, false, 32);
    expect_done(VR_BLK_S_IOERR);
    request(DISCARD, 0, false, 15);
    expect_done(VR_BLK_S_IOERR);
    request(DISCARD, 0, false, 0);
    expect_done(VR_BLK_S_IOERR);
    features = 0;
    range(DISCARD, 8, 16, 0);
    expect_done(VR_BLK_S_UNSUPP);
    range(ZEROES, 8, 16, 0);
    expect_done(VR_BLK_S_UNSUPP);
}

/* 2.7.8.2: never more than was written without a gap from the first writable
 * byte on; the status is the last one. */
static void used_lengths(void **state)
{
    static const uint32_t types[] = {IN,      OUT,    FLUSH, GET_ID,
                                     DISCARD, ZEROES, 77};
    unsigned int i, given;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(types); i++) {
        /* without data, and with a buffer of an odd length before the status */
        assert_int_equal(request(types[i], 0, true, 0), 0);
        assert_int_equal(req.used_len, 1);
        assert_int_equal(request(types[i], 0, true, 37), 0);
        assert_int_equal(req.used_len, types[i] == GET_ID ? 20 : 0);
        /* of a whole sector, with what the type wants to be told */
        for (given = 0; given <= 512; given += 16) {
            chain.nread = chain.nwrite = 0;
            chain.read_len = chain.write_len = 0;
            memset(mem, 0, 16);
            memcpy(mem, &types[i], 4);
            buf(false, mem, 16);
            if (given)
                buf(false, mem + 2048, given);
            buf(true, mem + 512, 512);
            buf(true, mem + 64, 1);
            assert_int_equal(blk_parse(&dev, features, &chain, &req, &data), 0);
            assert_int_equal(req.used_len, types[i] == IN       ? 513
                                           : types[i] == GET_ID ? 20
                                                                : 0);
        }
    }
    /* A read that is refused at once. */
    assert_int_equal(request(IN, CAPACITY, true, 512), 0);
    expect_done(VR_BLK_S_IOERR);
    assert_int_equal(req.used_len, 0);
}

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void config(void **state)
{
    uint8_t c[VR_CONFIG_LEN];

    (void)state;
    dev.queues = 4;
    assert_int_equal(vr_blk_config(&dev, c), 60);
    assert_int_equal(le32(c), CAPACITY);
    assert_int_equal(le32(c + 4), 0);
    assert_int_equal(le32(c + 8), 256 << 10);
    assert_int_equal(le32(c + 12), 126);
    assert_int_equal(le32(c + 20), 512);
    assert_int_equal(c[34], 4);
    assert_int_equal(le32(c + 36), VR_BLK_DISCARD_SECTORS);
    assert_int_equal(le32(c + 40), 1);
    assert_int_equal(le32(c + 44), 1);
    assert_int_equal(le32(c + 48), VR_BLK_ZEROES_SECTORS);
    assert_int_equal(le32(c + 52), 1);
    assert_int_equal(c[56], 1);
    dev.discard = false; /* nothing is given up where nothing can be */
    vr_blk_config(&dev, c);
    assert_int_equal(le32(c + 36), 0);
    assert_int_equal(le32(c + 48), VR_BLK_ZEROES_SECTORS);
    assert_int_equal(c[56], 0);
    dev.discard = true;
    assert_int_equal(vr_blk_features(&dev),
                     VR_BLK_F_SIZE_MAX | VR_BLK_F_SEG_MAX | VR_BLK_F_BLK_SIZE |
                         VR_BLK_F_FLUSH | VR_BLK_F_MQ | VR_BLK_F_DISCARD |
                         VR_BLK_F_WRITE_ZEROES);
    dev.readonly = true;
    dev.queues = 1;
    dev.queue_size = 16;
    vr_blk_config(&dev, c);
    assert_int_equal(le32(c + 12), 14);
    assert_int_equal(le32(c + 36), 0);
    assert_int_equal(le32(c + 48), 0);
    assert_int_equal(vr_blk_features(&dev),
                     VR_BLK_F_SIZE_MAX | VR_BLK_F_SEG_MAX | VR_BLK_F_BLK_SIZE |
                         VR_BLK_F_FLUSH | VR_BLK_F_RO);
    dev.queue_size = 2;
    vr_blk_config(&dev, c);
    assert_int_equal(le32(c + 12), 1);
}

static void sizes(void **state)
{
    uint8_t c[VR_CONFIG_LEN];

    (void)state;
    dev.size_max = 64u << 10;
    vr_blk_config(&dev, c);
    assert_int_equal(le32(c + 8), 64u << 10);
    assert_int_equal(vr_blk_seg_max(256), 126);
    assert_int_equal(vr_blk_seg_max(128), 126);
    assert_int_equal(vr_blk_seg_max(64), 62);
    assert_int_equal(vr_blk_seg_max(4), 2);
    /* Header, segments and status fit a chain, however the header is cut. */
    assert_true(vr_blk_seg_max(256) + 4 <= VR_CHAIN_MAX);
}

/* The same verdict whether the request is in memory or was measured only. */
static uint32_t head_len(uint64_t out_len)
{
    return vr_front_len(VR_BLK_HEADER, VR_BLK_HEAD_MAX, out_len);
}

static void decode(void **state)
{
    static const uint32_t type[] = {IN, OUT, FLUSH, GET_ID, DISCARD, ZEROES, 9};
    static const uint32_t len[] = {0, 15, 16, 20, 512, 4096};
    size_t i, k;

    (void)state;
    assert_int_equal(head_len(0), 0);
    assert_int_equal(head_len(15), 15);
    assert_int_equal(head_len(16), 16);
    assert_int_equal(head_len(31), 16);
    assert_int_equal(head_len(32), 32);
    assert_int_equal(head_len(33), 16);
    assert_int_equal(head_len(UINT32_MAX), 16);
    for (i = 0; i < VR_ARRAY_SIZE(type); i++) {
        for (k = 0; k < VR_ARRAY_SIZE(len) * 2; k++) {
            uint32_t n = len[k / 2], out = k & 1 ? 16 : 16 + n;
            uint32_t in = k & 1 ? n : 0;
            uint8_t head[32];
            struct vr_blk_req r;

            memset(mem + 512, 0, 4096);
            assert_int_equal(request(type[i], 1, k & 1, n), 0);
            memcpy(head, mem, 16);
            memset(head + 16, 0, 16);
            vr_blk_decode(&dev, features, head, out, in, &r);
            assert_int_equal(r.op, req.op);
            assert_int_equal(r.status_value, req.status_value);
            assert_int_equal(r.used_len, req.used_len);
            assert_int_equal(r.offset, req.offset);
            assert_int_equal(r.len, req.len);
            assert_int_equal(r.reply_len, req.reply_len);
            assert_true(r.reply_len <= in);
        }
    }
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(read_write),
        T(any_framing),
        T(capacity),
        T(no_status),
        T(short_header),
        T(readonly),
        T(flush_and_unknown),
        T(get_id),
        T(ranges),
        T(used_lengths),
        T(config),
        T(sizes),
        T(decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
