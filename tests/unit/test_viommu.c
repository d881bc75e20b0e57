/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-iommu, clause by clause: test_5_13_6_5_2_... is about section
 * 5.13.6.5.2 of virtio 1.2 ("Device Requirements: MAP request").
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "viommu_rig.h"

#define PAGE UINT64_C(4096)

/* Three endpoints, 0, 2 and 3, with gaps between their windows. */
#define INPUT_START UINT64_C(0x1000000000)
#define W0          INPUT_START
#define W0_PAGES    200u
#define W2          UINT64_C(0x1000200000)
#define W2_PAGES    64u
#define W3          UINT64_C(0x1000400000)
#define W3_PAGES    1u
#define INPUT_END   UINT64_C(0x10005fffff)

#define DOM_START 5u
#define DOM_END   1000u

#define RAM (RIG_RAM0 << 12)
#define RW  (VR_VIOMMU_MAP_READ | VR_VIOMMU_MAP_WRITE)

#define UNWRITTEN (-1)
#define PENDING   (-2)

struct fixture {
    struct vr_viommu v;
    struct rig_table t;
    uint64_t mem[64];
    uint8_t out[VR_VIOMMU_OUT_MAX];
    size_t out_len;
};

static const struct vr_viommu_desc desc = {
    .input_start = INPUT_START,
    .input_end = INPUT_END,
    .domain_start = DOM_START,
    .domain_end = DOM_END,
    .neps = 4,
    .ep = {{true, W0, W0_PAGES, 0, 0, 0, 0},
           {false, 0, 0, 0, 0, 0, 0},
           {true, W2, W2_PAGES, 0, 0, 0, 0},
           {true, W3, W3_PAGES, 0, 0, 0, 0}},
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    unsigned int i;

    for (i = 0; i < desc.neps; i++)
        f->t.npages[i] = desc.ep[i].npages;
    assert_int_equal(vr_viommu_init(&f->v, &desc, &rig_ops, &f->t, f->mem,
                                    vr_viommu_memory(&desc)),
                     0);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    test_free(*state);
    return 0;
}

/* A status, UNWRITTEN or PENDING. */
static int request(struct fixture *f, const void *in, size_t in_len,
                   size_t out_cap)
{
    size_t room = 0;

    memset(f->out, 0xee, sizeof(f->out));
    f->out_len = 99;
    if (vr_viommu_request(&f->v, in, in_len, f->out, out_cap, &f->out_len) ==
        VR_VIOMMU_PENDING) {
        assert_int_equal(f->out_len, 0);
        return PENDING;
    }
    assert_true(f->out_len <= out_cap && f->out_len <= sizeof(f->out));
    if (!f->out_len)
        return UNWRITTEN;
    if (*(const uint8_t *)in == VR_VIOMMU_T_PROBE)
        room = f->out_len - 4;
    assert_int_equal(f->out_len, room + 4);
    if (f->out_len < sizeof(f->out))
        assert_int_equal(f->out[f->out_len], 0xee);
    return f->out[room];
}

static int attach(struct fixture *f, uint32_t domain, uint32_t endpoint)
{
    struct rig_attach in = {
        .type = VR_VIOMMU_T_ATTACH, .domain = domain, .endpoint = endpoint};

    return request(f, &in, sizeof(in), 4);
}

static int detach(struct fixture *f, uint32_t domain, uint32_t endpoint)
{
    struct rig_detach in = {
        .type = VR_VIOMMU_T_DETACH, .domain = domain, .endpoint = endpoint};

    return request(f, &in, sizeof(in), 4);
}

static int map_bytes(struct fixture *f, uint32_t domain, uint64_t start,
                     uint64_t end, uint64_t phys, uint32_t flags)
{
    struct rig_map in = {.type = VR_VIOMMU_T_MAP,
                         .domain = domain,
                         .virt_start = start,
                         .virt_end = end,
                         .phys_start = phys,
                         .flags = flags};

    return request(f, &in, sizeof(in), 4);
}

/* Whole pages of endpoint 0, which test_attached() attached to domain 5. */
static int map(struct fixture *f, uint32_t first, uint32_t npages)
{
    return map_bytes(f, 5, W0 + first * PAGE, W0 + (first + npages) * PAGE - 1,
                     RAM + first * PAGE, RW);
}

static int unmap_bytes(struct fixture *f, uint32_t domain, uint64_t start,
                       uint64_t end)
{
    struct rig_unmap in = {.type = VR_VIOMMU_T_UNMAP,
                           .domain = domain,
                           .virt_start = start,
                           .virt_end = end};

    return request(f, &in, sizeof(in), 4);
}

static int unmap(struct fixture *f, uint32_t first, uint32_t npages)
{
    return unmap_bytes(f, 5, W0 + first * PAGE,
                       W0 + (first + npages) * PAGE - 1);
}

static int probe(struct fixture *f, uint32_t endpoint, size_t out_cap)
{
    struct rig_probe in = {.type = VR_VIOMMU_T_PROBE, .endpoint = endpoint};

    return request(f, &in, sizeof(in), out_cap);
}

static int setup_attached(void **state)
{
    setup(state);
    assert_int_equal(attach(*state, 5, 0), VR_VIOMMU_S_OK);
    return 0;
}

static bool granted(const struct fixture *f, uint32_t page)
{
    return f->t.page[0][page].granted;
}

/* Exactly pages [first, first + npages) of endpoint 0 are mapped. */
static void assert_mapped(const struct fixture *f, uint32_t first,
                          uint32_t npages)
{
    uint32_t i;

    for (i = 0; i < W0_PAGES; i++)
        assert_int_equal(granted(f, i), i >= first && i < first + npages);
    assert_int_equal(f->t.granted, npages);
    assert_int_equal(vr_viommu_mapped_pages(&f->v, 0), npages);
}

static uint16_t get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* ---- features, config space, initialisation ---- */

static void test_5_13_3_2_map_unmap_is_offered(void **state)
{
    (void)state;
    assert_true(VR_VIOMMU_FEATURES & VR_VIOMMU_F_MAP_UNMAP);
}

static void test_5_13_3_2_bypass_is_not_offered(void **state)
{
    (void)state;
    assert_false(VR_VIOMMU_FEATURES & VR_VIOMMU_F_BYPASS);
    assert_false(VR_VIOMMU_FEATURES & VR_VIOMMU_F_BYPASS_CONFIG);
}

static void test_5_13_4_layout(void **state)
{
    struct fixture *f = *state;
    uint8_t c[VR_VIOMMU_CONFIG_LEN + 1];

    c[VR_VIOMMU_CONFIG_LEN] = 0xee;
    vr_viommu_config(&f->v, c);
    assert_int_equal(get64(c + 8), INPUT_START);
    assert_int_equal(get64(c + 16), INPUT_END);
    assert_int_equal(get32(c + 24), DOM_START);
    assert_int_equal(get32(c + 28), DOM_END);
    assert_int_equal(get32(c + 32), 512);
    assert_int_equal(c[37] | c[38] | c[39], 0);
    assert_int_equal(c[40], 0xee);
}

static void test_5_13_4_2_page_size_mask_has_a_bit(void **state)
{
    struct fixture *f = *state;
    uint8_t c[VR_VIOMMU_CONFIG_LEN];

    vr_viommu_config(&f->v, c);
    assert_int_equal(get64(c), 4096);
}

static void test_5_13_4_2_bypass_is_0_or_1(void **state)
{
    struct fixture *f = *state;
    uint8_t c[VR_VIOMMU_CONFIG_LEN];

    vr_viommu_config(&f->v, c);
    assert_int_equal(c[36], 0);
}

static void test_5_13_5_reset_detaches_all(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 0, 70), VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 6, W2, W2 + 3 * PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_DONE);
    assert_int_equal(f->t.granted, 0);
    assert_int_equal(f->t.unmaps, f->t.unmaps_now);
    assert_false(vr_viommu_attached(&f->v, 0));
    assert_false(vr_viommu_attached(&f->v, 2));
    assert_int_equal(vr_viommu_mapped_pages(&f->v, 0), 0);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_NOENT);
    /* and it all begins anew */
    assert_int_equal(attach(f, 6, 0), VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 6, W0, W0 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 1);
}

static void test_5_13_5_reset_ends_negotiation(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_DONE);
    assert_int_equal(probe(f, 0, VR_VIOMMU_OUT_MAX), UNWRITTEN);
    assert_int_equal(map(f, 0, 1), UNWRITTEN);
    assert_int_equal(unmap(f, 0, 1), UNWRITTEN);
}

/* ---- 5.13.6: requests in general ---- */

/* Nor is it carried out: the driver takes it for a failure. */
static void test_5_13_6_too_small_for_a_tail_is_returned_unwritten(void **state)
{
    struct fixture *f = *state;
    struct rig_map m = {.type = VR_VIOMMU_T_MAP,
                        .domain = 5,
                        .virt_start = W0,
                        .virt_end = W0 + PAGE - 1,
                        .phys_start = RAM,
                        .flags = RW};
    struct rig_probe p = {.type = VR_VIOMMU_T_PROBE};
    struct rig_detach d = {
        .type = VR_VIOMMU_T_DETACH, .domain = 5, .endpoint = 0};
    size_t cap;

    for (cap = 0; cap < 4; cap++) {
        assert_int_equal(request(f, &m, sizeof(m), cap), UNWRITTEN);
        assert_int_equal(request(f, &d, sizeof(d), cap), UNWRITTEN);
        assert_int_equal(request(f, &p, sizeof(p), cap), UNWRITTEN);
    }
    assert_int_equal(f->t.maps, 0);
    assert_true(vr_viommu_attached(&f->v, 0));
    /* no type at all */
    assert_int_equal(request(f, &m, 0, 4), UNWRITTEN);
}

/* There the tail is found, so the device can say what it thinks of it. */
static void test_5_13_6_too_short_for_its_type_is_inval(void **state)
{
    static const struct {
        uint8_t type;
        size_t len;
    } t[] = {{VR_VIOMMU_T_ATTACH, sizeof(struct rig_attach)},
             {VR_VIOMMU_T_DETACH, sizeof(struct rig_detach)},
             {VR_VIOMMU_T_MAP, sizeof(struct rig_map)},
             {VR_VIOMMU_T_UNMAP, sizeof(struct rig_unmap)},
             {VR_VIOMMU_T_PROBE, sizeof(struct rig_probe)}};
    struct fixture *f = *state;
    size_t i, len;

    for (i = 0; i < VR_ARRAY_SIZE(t); i++) {
        for (len = 1; len < t[i].len; len++) {
            uint8_t *in = test_calloc(1, len);

            in[0] = t[i].type;
            assert_int_equal(
                request(f, in, len,
                        t[i].type == VR_VIOMMU_T_PROBE ? VR_VIOMMU_OUT_MAX : 4),
                VR_VIOMMU_S_INVAL);
            test_free(in);
        }
    }
    assert_int_equal(f->t.maps | f->t.unmaps, 0);
}

/* Parts may be longer than the request (2.7.4.1: no assumption on framing). */
static void test_5_13_6_longer_parts_are_taken(void **state)
{
    struct fixture *f = *state;
    struct {
        struct rig_attach a;
        uint8_t more[200];
    } in = {.a = {.type = VR_VIOMMU_T_ATTACH, .domain = 6, .endpoint = 2}};

    memset(in.more, 0xff, sizeof(in.more));
    assert_int_equal(request(f, &in, sizeof(in), 4096), VR_VIOMMU_S_OK);
    assert_int_equal(f->out_len, 4);
    assert_true(vr_viommu_attached(&f->v, 2));
}

static void test_5_13_6_domain_range(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, DOM_START - 1, 0), VR_VIOMMU_S_RANGE);
    assert_int_equal(attach(f, DOM_END + 1, 0), VR_VIOMMU_S_RANGE);
    assert_int_equal(attach(f, UINT32_MAX, 0), VR_VIOMMU_S_RANGE);
    assert_false(vr_viommu_attached(&f->v, 0));
    assert_int_equal(attach(f, DOM_END, 0), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, DOM_START, 2), VR_VIOMMU_S_OK);
}

static void test_5_13_6_map_outside_of_input_range_fails(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map_bytes(f, 5, 0, PAGE - 1, RAM, RW), VR_VIOMMU_S_RANGE);
    assert_int_equal(
        map_bytes(f, 5, INPUT_START - PAGE, INPUT_START + PAGE - 1, RAM, RW),
        VR_VIOMMU_S_RANGE);
    assert_int_equal(map_bytes(f, 5, INPUT_END + 1, INPUT_END + PAGE, RAM, RW),
                     VR_VIOMMU_S_RANGE);
    assert_int_equal(
        map_bytes(f, 5, UINT64_MAX - PAGE + 1, UINT64_MAX, RAM, RW),
        VR_VIOMMU_S_RANGE);
    assert_int_equal(map_bytes(f, 5, 0, UINT64_MAX, 0, RW), VR_VIOMMU_S_RANGE);
    assert_int_equal(f->t.maps, 0);
}

static void test_5_13_6_map_and_unmap_need_their_feature(void **state)
{
    struct fixture *f = *state;

    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES & ~VR_VIOMMU_F_MAP_UNMAP);
    assert_int_equal(map(f, 0, 1), UNWRITTEN);
    assert_int_equal(unmap(f, 0, 1), UNWRITTEN);
    assert_int_equal(f->t.maps, 0);
    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
}

static void test_5_13_6_2_success_is_ok(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 1, 3), VR_VIOMMU_S_OK);
    assert_mapped(f, 1, 3);
    assert_int_equal(f->t.page[0][2].gfn, RIG_RAM0 + 2);
    assert_int_equal(unmap(f, 1, 3), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(probe(f, 0, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
}

static void test_5_13_6_2_unknown_type_is_returned_unwritten(void **state)
{
    struct fixture *f = *state;
    uint8_t in[VR_VIOMMU_IN_MAX] = {0};
    unsigned int type;

    for (type = 0; type < 256; type++) {
        if (type >= VR_VIOMMU_T_ATTACH && type <= VR_VIOMMU_T_PROBE)
            continue;
        in[0] = type;
        assert_int_equal(request(f, in, sizeof(in), VR_VIOMMU_OUT_MAX),
                         UNWRITTEN);
        assert_int_equal(f->out[0], 0xee);
    }
}

static void test_5_13_6_2_head_reserved_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct rig_attach in = {.type = VR_VIOMMU_T_ATTACH,
                            .head_reserved = {0xff, 1, 0x80},
                            .domain = 5};

    assert_int_equal(request(f, &in, sizeof(in), 4), VR_VIOMMU_S_OK);
    assert_true(vr_viommu_attached(&f->v, 0));
}

static void test_5_13_6_2_tail_reserved_is_zero(void **state)
{
    struct fixture *f = *state;

    attach(f, 5, 0);
    assert_int_equal(get32(f->out), VR_VIOMMU_S_OK);
    attach(f, 5, 1);
    assert_int_equal(get32(f->out), VR_VIOMMU_S_NOENT);
    probe(f, 0, VR_VIOMMU_OUT_MAX);
    assert_int_equal(get32(f->out + VR_VIOMMU_PROBE_SIZE), VR_VIOMMU_S_OK);
}

static void test_5_13_6_2_unattached_endpoint_reaches_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_NOENT);
    assert_int_equal(attach(f, 5, 2), VR_VIOMMU_S_OK);
    /* another endpoint's domain does not open this one's window */
    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_RANGE);
    assert_int_equal(f->t.maps, 0);
}

/* ---- ATTACH ---- */

static void test_5_13_6_3_2_attach_reserved_is_inval(void **state)
{
    struct fixture *f = *state;
    unsigned int i;

    for (i = 0; i < 4; i++) {
        struct rig_attach in = {.type = VR_VIOMMU_T_ATTACH, .domain = 5};

        in.reserved[i] = 1;
        assert_int_equal(request(f, &in, sizeof(in), 4), VR_VIOMMU_S_INVAL);
    }
    assert_false(vr_viommu_attached(&f->v, 0));
}

static void test_5_13_6_3_2_attach_unknown_flag_is_inval(void **state)
{
    struct fixture *f = *state;
    unsigned int i;

    for (i = 0; i < 32; i++) {
        struct rig_attach in = {
            .type = VR_VIOMMU_T_ATTACH, .domain = 5, .flags = 1u << i};

        assert_int_equal(request(f, &in, sizeof(in), 4), VR_VIOMMU_S_INVAL);
    }
    assert_false(vr_viommu_attached(&f->v, 0));
}

static void test_5_13_6_3_2_attach_unknown_endpoint_is_noent(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 5, 1), VR_VIOMMU_S_NOENT);
    assert_int_equal(attach(f, 5, 4), VR_VIOMMU_S_NOENT);
    assert_int_equal(attach(f, 5, 16), VR_VIOMMU_S_NOENT);
    assert_int_equal(attach(f, 5, UINT32_MAX), VR_VIOMMU_S_NOENT);
    /* the domain was not made */
    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_NOENT);
}

static void test_5_13_6_3_2_attach_beside_another_is_unsupp(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 5, 2), VR_VIOMMU_S_UNSUPP);
    assert_false(vr_viommu_attached(&f->v, 2));
    assert_true(vr_viommu_attached(&f->v, 0));
}

static void test_5_13_6_3_2_attach_bypass_flag_on_domain_is_inval(void **state)
{
    struct fixture *f = *state;
    struct rig_attach in = {
        .type = VR_VIOMMU_T_ATTACH, .domain = 5, .endpoint = 0, .flags = 1};

    assert_int_equal(request(f, &in, sizeof(in), 4), VR_VIOMMU_S_INVAL);
    assert_true(vr_viommu_attached(&f->v, 0));
}

static void test_5_13_6_3_2_attach_elsewhere_detaches_first(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 100), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, 6, 0), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
    assert_int_equal(f->t.unmaps, f->t.unmaps_now);
    assert_true(vr_viommu_attached(&f->v, 0));
    assert_int_equal(unmap(f, 0, 1), VR_VIOMMU_S_NOENT); /* domain 5 */
    assert_int_equal(map_bytes(f, 6, W0, W0 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 1);
    /* domain 5 is free for another one */
    assert_int_equal(attach(f, 5, 2), VR_VIOMMU_S_OK);
}

/* All is checked before anything is detached. */
static void test_5_13_6_3_2_rejected_attach_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct rig_attach in = {
        .type = VR_VIOMMU_T_ATTACH, .domain = 7, .flags = 1};

    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 3, 2), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, 6, 0), VR_VIOMMU_S_UNSUPP);
    assert_int_equal(attach(f, DOM_END + 1, 0), VR_VIOMMU_S_RANGE);
    assert_int_equal(request(f, &in, sizeof(in), 4), VR_VIOMMU_S_INVAL);
    assert_mapped(f, 3, 2);
    assert_int_equal(unmap(f, 3, 2), VR_VIOMMU_S_OK);
}

static void test_5_13_6_3_2_attach_again_changes_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 3, 2), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_mapped(f, 3, 2);
    assert_int_equal(f->t.unmaps, 0);
}

static void test_5_13_6_3_2_not_rejected_is_attached(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, 7, 3), VR_VIOMMU_S_OK);
    assert_true(vr_viommu_attached(&f->v, 0));
    assert_true(vr_viommu_attached(&f->v, 2));
    assert_true(vr_viommu_attached(&f->v, 3));
    assert_int_equal(map_bytes(f, 7, W3, W3 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
}

/* Domain numbers may be anything; they need not be found by their low bits. */
static void test_5_13_6_3_domains_of_any_number(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 6, 0), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, 22, 2), VR_VIOMMU_S_OK);
    assert_int_equal(attach(f, 38, 3), VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 38, W3, W3 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 6, W0, W0 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 22, W2, W2 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 54, W2, W2 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_NOENT);
}

/* ---- DETACH ---- */

static void test_5_13_6_4_domain_ends_with_its_last_endpoint(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_NOENT);
    assert_int_equal(unmap(f, 0, 1), VR_VIOMMU_S_NOENT);
    assert_int_equal(attach(f, 5, 2), VR_VIOMMU_S_OK);
}

static void test_5_13_6_4_2_detach_reserved_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct rig_detach in = {.type = VR_VIOMMU_T_DETACH, .domain = 5};

    memset(in.reserved, 0xff, sizeof(in.reserved));
    assert_int_equal(request(f, &in, sizeof(in), 4), VR_VIOMMU_S_OK);
    assert_false(vr_viommu_attached(&f->v, 0));
}

static void test_5_13_6_4_2_detach_unknown_endpoint_is_noent(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(detach(f, 5, 1), VR_VIOMMU_S_NOENT);
    assert_int_equal(detach(f, 5, 4), VR_VIOMMU_S_NOENT);
    assert_int_equal(detach(f, 99, UINT32_MAX), VR_VIOMMU_S_NOENT);
}

static void test_5_13_6_4_2_detach_from_wrong_domain_is_inval(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_OK);
    assert_int_equal(detach(f, 7, 0), VR_VIOMMU_S_INVAL);
    assert_int_equal(detach(f, 6, 0), VR_VIOMMU_S_INVAL);
    assert_int_equal(detach(f, 7, 3), VR_VIOMMU_S_INVAL);
    assert_mapped(f, 0, 1);
    assert_true(vr_viommu_attached(&f->v, 0));
    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_INVAL);
}

static void test_5_13_6_4_2_detached_reaches_no_mapping(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 6, W2, W2 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 0, 130), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 199, 1), VR_VIOMMU_S_OK);
    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(f->t.unmaps, f->t.unmaps_now);
    assert_int_equal(vr_viommu_mapped_pages(&f->v, 0), 0);
    /* the other one keeps its own */
    assert_int_equal(f->t.granted, 1);
    assert_int_equal(vr_viommu_mapped_pages(&f->v, 2), 1);
}

/* ---- MAP ---- */

static void test_5_13_6_5_2_map_misaligned_is_range(void **state)
{
    static const uint64_t off[] = {1, 512, 2048, 4095};
    struct fixture *f = *state;
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(off); i++) {
        uint64_t o = off[i];

        assert_int_equal(map_bytes(f, 5, W0 + o, W0 + 2 * PAGE - 1, RAM, RW),
                         VR_VIOMMU_S_RANGE);
        assert_int_equal(map_bytes(f, 5, W0, W0 + PAGE - 1 + o, RAM, RW),
                         VR_VIOMMU_S_RANGE);
        assert_int_equal(map_bytes(f, 5, W0, W0 + PAGE - 1, RAM + o, RW),
                         VR_VIOMMU_S_RANGE);
    }
    assert_int_equal(map_bytes(f, 5, W0, W0, RAM, RW), VR_VIOMMU_S_RANGE);
    assert_int_equal(f->t.maps, 0);
    assert_mapped(f, 0, 0);
}

static void test_5_13_6_5_2_map_over_mapping_is_inval(void **state)
{
    struct fixture *f = *state;
    uint32_t first, n;

    assert_int_equal(map(f, 60, 10), VR_VIOMMU_S_OK);
    for (first = 50; first < 80; first++) {
        for (n = 1; n < 40; n++) {
            if (first + n <= 60 || first >= 70)
                continue;
            assert_int_equal(map(f, first, n), VR_VIOMMU_S_INVAL);
        }
    }
    assert_int_equal(f->t.maps, 1);
    assert_mapped(f, 60, 10);
    assert_int_equal(map(f, 50, 10), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 70, 10), VR_VIOMMU_S_OK);
    assert_mapped(f, 50, 30);
}

static void test_5_13_6_5_2_map_unknown_flag_is_inval(void **state)
{
    struct fixture *f = *state;
    unsigned int i;

    for (i = 2; i < 32; i++) {
        assert_int_equal(map_bytes(f, 5, W0, W0 + PAGE - 1, RAM, RW | 1u << i),
                         VR_VIOMMU_S_INVAL);
        /* a MUST, so it goes before what the device only SHOULD do */
        assert_int_equal(map_bytes(f, 77, 1, 0, 1, 1u << i), VR_VIOMMU_S_INVAL);
    }
    assert_int_equal(f->t.maps, 0);
}

static void test_5_13_6_5_2_map_unknown_domain_is_noent(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map_bytes(f, 6, W0, W0 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_NOENT);
    assert_int_equal(map_bytes(f, 0, W0, W0 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_NOENT);
    assert_int_equal(f->t.maps, 0);
}

static void test_5_13_6_5_2_no_write_without_its_flag(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        map_bytes(f, 5, W0, W0 + PAGE - 1, RAM, VR_VIOMMU_MAP_READ),
        VR_VIOMMU_S_OK);
    assert_true(granted(f, 0) && f->t.page[0][0].readonly);
    assert_int_equal(map_bytes(f, 5, W0 + PAGE, W0 + 2 * PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_true(granted(f, 1) && !f->t.page[0][1].readonly);
    /* reads are allowed then where the page table has no write-only */
    assert_int_equal(map_bytes(f, 5, W0 + 2 * PAGE, W0 + 3 * PAGE - 1, RAM,
                               VR_VIOMMU_MAP_WRITE),
                     VR_VIOMMU_S_OK);
    assert_true(granted(f, 2) && !f->t.page[0][2].readonly);
}

/* A combination that is not available. */
static void test_5_13_6_5_2_no_access_without_flags(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map_bytes(f, 5, W0, W0 + 4 * PAGE - 1, RAM, 0),
                     VR_VIOMMU_S_INVAL);
    assert_int_equal(map_bytes(f, 6, W0, W0 + 4 * PAGE - 1, RAM, 0),
                     VR_VIOMMU_S_NOENT);
    assert_int_equal(map_bytes(f, 5, W0, W0 + PAGE, RAM, 0), VR_VIOMMU_S_RANGE);
    assert_int_equal(f->t.maps, 0);
    assert_mapped(f, 0, 0);
}

static void test_5_13_6_5_map_of_no_ram_is_fault(void **state)
{
    struct fixture *f = *state;
    const uint64_t end = RIG_RAM0_END << 12;

    assert_int_equal(map_bytes(f, 5, W0, W0 + PAGE - 1, 0, RW),
                     VR_VIOMMU_S_FAULT);
    assert_int_equal(map_bytes(f, 5, W0, W0 + 2 * PAGE - 1, end - PAGE, RW),
                     VR_VIOMMU_S_FAULT);
    assert_int_equal(map_bytes(f, 5, W0, W0 + PAGE - 1, ~(PAGE - 1), RW),
                     VR_VIOMMU_S_FAULT);
    assert_mapped(f, 0, 0);
    assert_int_equal(map_bytes(f, 5, W0, W0 + PAGE - 1, end - PAGE, RW),
                     VR_VIOMMU_S_OK);
}

static void test_5_13_6_5_map_past_64_bits_is_fault(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map_bytes(f, 5, W0, W0 + 2 * PAGE - 1, ~(PAGE - 1), RW),
                     VR_VIOMMU_S_FAULT);
    assert_int_equal(f->t.maps, 0);
}

static void test_5_13_6_5_map_empty_range_is_inval(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map_bytes(f, 5, W0 + PAGE, W0 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_INVAL);
    assert_int_equal(map_bytes(f, 5, W0 + 3 * PAGE, W0 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_INVAL);
    assert_int_equal(f->t.maps, 0);
}

static void test_5_13_6_5_map_whole_window(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, W0_PAGES + 1), VR_VIOMMU_S_RANGE);
    assert_int_equal(map(f, 0, W0_PAGES), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, W0_PAGES);
    assert_int_equal(vr_viommu_peak_pages(&f->v, 0), W0_PAGES);
    assert_int_equal(unmap(f, 0, W0_PAGES), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
    assert_int_equal(vr_viommu_peak_pages(&f->v, 0), W0_PAGES);
}

static void test_map_failures_of_the_page_table(void **state)
{
    static const struct {
        int error, status;
    } t[] = {{-EINVAL, VR_VIOMMU_S_FAULT},
             {-ENOMEM, VR_VIOMMU_S_NOMEM},
             {-EBUSY, VR_VIOMMU_S_DEVERR},
             {-EIO, VR_VIOMMU_S_DEVERR}};
    struct fixture *f = *state;
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(t); i++) {
        f->t.map_error = t[i].error;
        assert_int_equal(map(f, 5, 70), t[i].status);
        assert_int_equal(vr_viommu_mapped_pages(&f->v, 0), 0);
    }
    f->t.map_error = 0;
    /* an entry that the guest wrote itself */
    f->t.page[0][20].planted = true;
    assert_int_equal(map(f, 5, 70), VR_VIOMMU_S_DEVERR);
    assert_mapped(f, 0, 0);
    assert_int_equal(map(f, 20, 1), VR_VIOMMU_S_DEVERR);
    f->t.page[0][20].planted = false;
    assert_int_equal(map(f, 5, 70), VR_VIOMMU_S_OK);
}

/* ---- UNMAP ---- */

/* The seven examples of 5.13.6.6; one address there is a page here. */
static void test_5_13_6_6_example_1(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(unmap(f, 0, 5), VR_VIOMMU_S_OK);
    assert_int_equal(f->t.unmaps, 0);
}

static void test_5_13_6_6_example_2(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 10), VR_VIOMMU_S_OK);
    assert_int_equal(unmap(f, 0, 10), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
}

static void test_5_13_6_6_example_3(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 5), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 5, 5), VR_VIOMMU_S_OK);
    assert_int_equal(unmap(f, 0, 10), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
}

static void test_5_13_6_6_example_4(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 10), VR_VIOMMU_S_OK);
    assert_int_equal(unmap(f, 0, 5), VR_VIOMMU_S_RANGE);
    assert_mapped(f, 0, 10);
}

static void test_5_13_6_6_example_5(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 5), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 5, 5), VR_VIOMMU_S_OK);
    assert_int_equal(unmap(f, 0, 5), VR_VIOMMU_S_OK);
    assert_mapped(f, 5, 5);
}

static void test_5_13_6_6_example_6(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 5), VR_VIOMMU_S_OK);
    assert_int_equal(unmap(f, 0, 10), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
}

static void test_5_13_6_6_example_7(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 5), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 10, 5), VR_VIOMMU_S_OK);
    assert_int_equal(unmap(f, 0, 15), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
}

static void test_5_13_6_6_2_unmap_reserved_is_inval(void **state)
{
    struct fixture *f = *state;
    unsigned int i;

    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_OK);
    for (i = 0; i < 4; i++) {
        struct rig_unmap in = {.type = VR_VIOMMU_T_UNMAP,
                               .domain = 5,
                               .virt_start = W0,
                               .virt_end = W0 + PAGE - 1};

        in.reserved[i] = 0x80;
        assert_int_equal(request(f, &in, sizeof(in), 4), VR_VIOMMU_S_INVAL);
    }
    assert_mapped(f, 0, 1);
}

static void test_5_13_6_6_2_unmap_unknown_domain_is_noent(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 6, W0, W0 + PAGE - 1), VR_VIOMMU_S_NOENT);
    assert_int_equal(unmap_bytes(f, 0, 0, UINT64_MAX), VR_VIOMMU_S_NOENT);
    assert_mapped(f, 0, 1);
}

/* Every range over [a: 60 to 69][b: 70 to 79] and the pages around them, page
 * 64 being where a word of the books ends. */
static void test_5_13_6_6_2_unmap_split_is_range(void **state)
{
    struct fixture *f = *state;
    uint32_t first, end;

    assert_int_equal(map(f, 60, 10), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 70, 10), VR_VIOMMU_S_OK);
    for (first = 55; first < 85; first++) {
        for (end = first + 1; end < 85; end++) {
            bool cuts = (first > 60 && first < 80 && first != 70) ||
                        (end > 60 && end < 80 && end != 70);
            bool a = first <= 60 && end >= 70, b = first <= 70 && end >= 80;

            assert_int_equal(unmap(f, first, end - first),
                             cuts ? VR_VIOMMU_S_RANGE : VR_VIOMMU_S_OK);
            if (cuts) {
                assert_mapped(f, 60, 20);
                continue;
            }
            assert_int_equal(granted(f, 60), !a);
            assert_int_equal(granted(f, 79), !b);
            if (a)
                assert_int_equal(map(f, 60, 10), VR_VIOMMU_S_OK);
            if (b)
                assert_int_equal(map(f, 70, 10), VR_VIOMMU_S_OK);
        }
    }
}

/* A mapping consists of bytes: to cover it all but for one is to split it. */
static void test_5_13_6_6_2_unmap_split_within_page_is_range(void **state)
{
    struct fixture *f = *state;
    const uint64_t a = W0 + 2 * PAGE;

    assert_int_equal(map(f, 2, 1), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 5, a + 1, a + PAGE - 1), VR_VIOMMU_S_RANGE);
    assert_int_equal(unmap_bytes(f, 5, a, a + PAGE - 2), VR_VIOMMU_S_RANGE);
    assert_int_equal(unmap_bytes(f, 5, a + 1, a + 2), VR_VIOMMU_S_RANGE);
    assert_int_equal(unmap_bytes(f, 5, a - PAGE, a), VR_VIOMMU_S_RANGE);
    assert_int_equal(unmap_bytes(f, 5, 0, a), VR_VIOMMU_S_RANGE);
    assert_int_equal(unmap_bytes(f, 5, a + PAGE - 1, UINT64_MAX),
                     VR_VIOMMU_S_RANGE);
    assert_mapped(f, 2, 1);
    /* what lies beside it may be named in part */
    assert_int_equal(unmap_bytes(f, 5, a - 7, a - 1), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 5, a + PAGE, a + PAGE + 9), VR_VIOMMU_S_OK);
    assert_mapped(f, 2, 1);
    assert_int_equal(unmap_bytes(f, 5, a - 7, a + PAGE + 9), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
}

/* A mapping that stays whole does not hold up one that is split behind it. */
static void test_5_13_6_6_2_unmap_split_removes_no_mapping(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 2), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 2, 100), VR_VIOMMU_S_OK);
    assert_int_equal(unmap(f, 0, 101), VR_VIOMMU_S_RANGE);
    assert_mapped(f, 0, 102);
    assert_int_equal(f->t.unmaps, 0);
}

static void test_5_13_6_6_2_unmap_beyond_mappings_is_ok(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 3), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 190, 10), VR_VIOMMU_S_OK);
    /* nothing there: in the window, around it, in reserved regions */
    assert_int_equal(unmap(f, 3, 187), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 5, 0, W0 - 1), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 5, W2, INPUT_END), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 5, INPUT_END + 1, UINT64_MAX),
                     VR_VIOMMU_S_OK);
    assert_int_equal(f->t.granted, 13);
    assert_int_equal(unmap_bytes(f, 5, 0, UINT64_MAX), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
    assert_int_equal(f->t.unmaps_now, 0);
}

static void test_5_13_6_6_2_unmap_leaves_other_endpoints_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 6, W2, W2 + PAGE * W2_PAGES - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 7, 1), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 5, 0, UINT64_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(f->t.granted, W2_PAGES);
    assert_int_equal(unmap_bytes(f, 6, 0, UINT64_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(f->t.granted, 0);
}

static void test_5_13_6_6_unmap_empty_range_is_inval(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 0, 2), VR_VIOMMU_S_OK);
    assert_int_equal(unmap_bytes(f, 5, W0 + PAGE, W0 + PAGE - 1),
                     VR_VIOMMU_S_INVAL);
    assert_int_equal(unmap_bytes(f, 5, UINT64_MAX, 0), VR_VIOMMU_S_INVAL);
    assert_mapped(f, 0, 2);
}

/* ---- PROBE ---- */

static void test_5_13_6_7_2_probe_reserved_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct rig_probe in = {.type = VR_VIOMMU_T_PROBE, .endpoint = 2};

    memset(in.reserved, 0xff, sizeof(in.reserved));
    assert_int_equal(request(f, &in, sizeof(in), VR_VIOMMU_OUT_MAX),
                     VR_VIOMMU_S_OK);
    assert_int_equal(get16(f->out), 1);
}

static void test_5_13_6_7_2_probe_unknown_endpoint_is_noent(void **state)
{
    static const uint32_t id[] = {1, 4, 15, 16, UINT32_MAX};
    struct fixture *f = *state;
    unsigned int i, j;

    for (i = 0; i < VR_ARRAY_SIZE(id); i++) {
        assert_int_equal(probe(f, id[i], VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_NOENT);
        for (j = 0; j < VR_VIOMMU_PROBE_SIZE; j++)
            assert_int_equal(f->out[j], 0);
    }
}

static void test_5_13_6_7_2_probe_not_offered_is_unwritten(void **state)
{
    struct fixture *f = *state;

    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES & ~VR_VIOMMU_F_PROBE);
    assert_int_equal(probe(f, 0, VR_VIOMMU_OUT_MAX), UNWRITTEN);
    assert_int_equal(f->out[0], 0xee);
}

static void test_5_13_6_7_2_property_reserved_is_zero(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(probe(f, 2, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(get16(f->out) & 0xf000, 0);
    assert_int_equal(get16(f->out + 24) & 0xf000, 0);
}

static void test_5_13_6_7_2_property_length_is_without_head(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(probe(f, 2, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(get16(f->out + 2), 20);
}

static void test_5_13_6_7_2_next_property_is_length_plus_4_on(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(probe(f, 2, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(get16(f->out), 1);
    assert_int_equal(get16(f->out + get16(f->out + 2) + 4), 1);
}

/* The tail is the end of what there is; nothing is left as it was, for the
 * used length must not cover what the device has not written. */
static void test_5_13_6_7_2_probe_short_list_is_inval(void **state)
{
    struct fixture *f = *state;
    size_t cap, i;

    for (cap = 4; cap < VR_VIOMMU_OUT_MAX; cap++) {
        assert_int_equal(probe(f, 0, cap), VR_VIOMMU_S_INVAL);
        assert_int_equal(f->out_len, cap);
        for (i = 0; i < cap - 4; i++)
            assert_int_equal(f->out[i], 0);
        assert_int_equal(get32(f->out + cap - 4), VR_VIOMMU_S_INVAL);
    }
}

static void test_5_13_6_7_2_rest_of_list_is_zero(void **state)
{
    struct fixture *f = *state;
    size_t i;

    assert_int_equal(probe(f, 2, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(f->out_len, VR_VIOMMU_OUT_MAX);
    for (i = 48; i < VR_VIOMMU_PROBE_SIZE; i++)
        assert_int_equal(f->out[i], 0);
}

static void test_5_13_6_7_longer_buffer_has_tail_behind_list(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(probe(f, 2, 4096), VR_VIOMMU_S_OK);
    assert_int_equal(f->out_len, VR_VIOMMU_OUT_MAX);
    assert_int_equal(get32(f->out + VR_VIOMMU_PROBE_SIZE), VR_VIOMMU_S_OK);
}

/* ---- RESV_MEM ---- */

/* Reads the list; checks what holds for each property; returns their number. */
static unsigned int resv_mem(struct fixture *f, uint32_t ep,
                             uint64_t range[3][2])
{
    unsigned int n = 0;
    size_t at = 0;

    assert_int_equal(probe(f, ep, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
    while (get16(f->out + at)) {
        assert_true(n < 3);
        assert_int_equal(get16(f->out + at), 1);
        assert_int_equal(get16(f->out + at + 2), 20);
        /* RESERVED; MSI comes last, where there is one */
        assert_int_equal(get32(f->out + at + 4), n == 2);
        range[n][0] = get64(f->out + at + 8);
        range[n][1] = get64(f->out + at + 16);
        assert_true(range[n][0] < range[n][1]);
        n++;
        at += 24;
    }
    return n;
}

/* Messages are no accesses to memory: Linux need not map where they go. */
static void test_5_13_6_8_1_messages(void **state)
{
    struct vr_viommu_desc d = {.input_start = 0x100000,
                               .input_end = 0x8fffff,
                               .domain_end = UINT32_MAX,
                               .neps = 1};
    struct fixture *f = *state;
    uint64_t r[3][2];

    f->t.npages[0] = 16;
    d.ep[0] = (struct vr_viommu_ep_desc){.present = true,
                                         .base = 0x200000,
                                         .npages = 16,
                                         .msi_base = 0x20ff000,
                                         .msi_size = PAGE};
    assert_int_equal(
        vr_viommu_init(&f->v, &d, &rig_ops, &f->t, f->mem, sizeof(f->mem)), 0);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(resv_mem(f, 0, r), 3);
    assert_int_equal(r[2][0], 0x20ff000);
    assert_int_equal(r[2][1], 0x20fffff);
}

static void test_5_13_6_8_1_all_but_the_window_is_reserved(void **state)
{
    struct fixture *f = *state;
    uint64_t r[3][2];

    assert_int_equal(resv_mem(f, 2, r), 2);
    assert_int_equal(r[0][0], INPUT_START);
    assert_int_equal(r[0][1], W2 - 1);
    assert_int_equal(r[1][0], W2 + W2_PAGES * PAGE);
    assert_int_equal(r[1][1], INPUT_END);
    /* a window at the start has nothing below it */
    assert_int_equal(resv_mem(f, 0, r), 1);
    assert_int_equal(r[0][0], W0 + W0_PAGES * PAGE);
    assert_int_equal(r[0][1], INPUT_END);
}

/* A window at the end, one that is all, and one up to the last address. */
static void test_5_13_6_8_1_windows_at_the_ends(void **state)
{
    struct vr_viommu_desc d = {.input_start = UINT64_MAX - 16 * PAGE + 1,
                               .input_end = UINT64_MAX,
                               .domain_end = 9,
                               .neps = 1};
    struct fixture *f = *state;
    uint64_t r[3][2];

    f->t.npages[0] = 4;
    d.ep[0] = (struct vr_viommu_ep_desc){
        true, UINT64_MAX - 4 * PAGE + 1, 4, 0, 0, 0, 0};
    assert_int_equal(
        vr_viommu_init(&f->v, &d, &rig_ops, &f->t, f->mem, sizeof(f->mem)), 0);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(resv_mem(f, 0, r), 1);
    assert_int_equal(r[0][0], d.input_start);
    assert_int_equal(r[0][1], d.ep[0].base - 1);
    assert_int_equal(attach(f, 0, 0), VR_VIOMMU_S_OK);
    assert_int_equal(
        map_bytes(f, 0, UINT64_MAX - PAGE + 1, UINT64_MAX, RAM, RW),
        VR_VIOMMU_S_OK);
    assert_true(granted(f, 3));
    assert_int_equal(unmap_bytes(f, 0, UINT64_MAX, UINT64_MAX),
                     VR_VIOMMU_S_RANGE);
    assert_int_equal(unmap_bytes(f, 0, 0, UINT64_MAX - 1), VR_VIOMMU_S_RANGE);
    assert_int_equal(unmap_bytes(f, 0, UINT64_MAX - PAGE + 1, UINT64_MAX),
                     VR_VIOMMU_S_OK);
    assert_int_equal(f->t.granted, 0);

    f->t.npages[0] = 16;
    d.ep[0] = (struct vr_viommu_ep_desc){true, d.input_start, 16, 0, 0, 0, 0};
    assert_int_equal(
        vr_viommu_init(&f->v, &d, &rig_ops, &f->t, f->mem, sizeof(f->mem)), 0);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(resv_mem(f, 0, r), 0);
}

/* The pool's property, where there is one: behind the others, once, as
 * docs/proposals/restricted-dma-pool.md lays it out. */
static void test_pool_property(void **state)
{
    static const struct {
        unsigned int ep;
        size_t at; /* behind so many bytes of RESV_MEM */
        uint64_t base, size;
    } t[] = {
        {0, 24, 0x48000000, 0x800000},
        {2, 48, 0x2000000000, PAGE},
        {3, 48, UINT64_MAX - 4 * PAGE + 1, 4 * PAGE},
    };
    struct vr_viommu_desc d = desc;
    struct fixture *f = *state;
    unsigned int i;
    size_t j;

    for (i = 0; i < VR_ARRAY_SIZE(t); i++) {
        d.ep[t[i].ep].pool_base = t[i].base;
        d.ep[t[i].ep].pool_size = t[i].size;
    }
    assert_int_equal(
        vr_viommu_init(&f->v, &d, &rig_ops, &f->t, f->mem, sizeof(f->mem)), 0);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    for (i = 0; i < VR_ARRAY_SIZE(t); i++) {
        const uint8_t *p = f->out + t[i].at;

        assert_int_equal(probe(f, t[i].ep, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
        for (j = 0; j < t[i].at; j += 24)
            assert_int_equal(get16(f->out + j), 1);
        assert_int_equal(get16(p), 0xfff);
        assert_int_equal(get16(p + 2), 20);
        assert_memory_equal(p + 4, "VRDP", 4);
        assert_true(get64(p + 8) == t[i].base);
        assert_true(get64(p + 16) == t[i].size);
        for (j = t[i].at + 24; j < VR_VIOMMU_PROBE_SIZE; j++)
            assert_int_equal(f->out[j], 0);
    }
    /* Not in an answer that fails. */
    assert_int_equal(probe(f, 2, VR_VIOMMU_OUT_MAX - 1), VR_VIOMMU_S_INVAL);
    for (j = 0; j < VR_VIOMMU_PROBE_SIZE - 1; j++)
        assert_int_equal(f->out[j], 0);
}

static void test_5_13_6_8_1_2_resv_mem_reserved_is_zero(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(probe(f, 2, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(f->out[5] | f->out[6] | f->out[7], 0);
}

static void test_5_13_6_8_1_2_no_msi_region(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(probe(f, 2, VR_VIOMMU_OUT_MAX), VR_VIOMMU_S_OK);
    assert_int_equal(f->out[4], 0);
    assert_int_equal(f->out[24 + 4], 0);
}

static void test_5_13_6_8_1_2_regions_do_not_overlap(void **state)
{
    struct fixture *f = *state;
    uint64_t r[3][2];

    assert_int_equal(resv_mem(f, 2, r), 2);
    assert_true(r[0][1] < r[1][0]);
    assert_int_equal(resv_mem(f, 3, r), 2);
    assert_true(r[0][1] < r[1][0]);
}

static void test_5_13_6_8_1_2_map_of_region_is_rejected(void **state)
{
    struct fixture *f = *state;
    const uint64_t end = W0 + W0_PAGES * PAGE;

    /* the gap, the next window, over the window's end */
    assert_int_equal(map_bytes(f, 5, end, end + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_RANGE);
    assert_int_equal(map_bytes(f, 5, W2, W2 + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_RANGE);
    assert_int_equal(map_bytes(f, 5, end - PAGE, end + PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_RANGE);
    assert_int_equal(map_bytes(f, 5, W0, INPUT_END, RAM, RW),
                     VR_VIOMMU_S_RANGE);
    assert_int_equal(f->t.maps, 0);
    assert_int_equal(map_bytes(f, 5, end - PAGE, end - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
}

/* The page table's own checks see that no other endpoint's page is touched. */
static void test_5_13_6_8_1_2_region_affects_nobody_else(void **state)
{
    struct fixture *f = *state;
    unsigned int i;

    for (i = 0; i < 0x600; i++)
        map_bytes(f, 5, INPUT_START + i * PAGE,
                  INPUT_START + (i + 1) * PAGE - 1, RAM, RW);
    assert_mapped(f, 0, W0_PAGES);
}

/* ---- faults ---- */

static void test_5_13_6_9_layout(void **state)
{
    struct fixture *f = *state;
    uint8_t r[VR_VIOMMU_FAULT_LEN + 1];

    assert_int_equal(VR_VIOMMU_FAULT_LEN, 24);
    memset(r, 0xee, sizeof(r));
    assert_int_equal(
        vr_viommu_fault(&f->v, 0,
                        VR_VIOMMU_FAULT_WRITE | VR_VIOMMU_FAULT_ADDRESS,
                        UINT64_C(0x1234567890), r, sizeof(r)),
        24);
    assert_int_equal(r[0], VR_VIOMMU_FAULT_R_MAPPING);
    assert_int_equal(get32(r + 4), 0x102);
    assert_int_equal(get32(r + 8), 0);
    assert_int_equal(get64(r + 16), UINT64_C(0x1234567890));
    assert_int_equal(r[24], 0xee);
}

static void test_5_13_6_9_reasons(void **state)
{
    struct fixture *f = *state;
    uint8_t r[VR_VIOMMU_FAULT_LEN];

    vr_viommu_fault(&f->v, 0, VR_VIOMMU_FAULT_READ, 0, r, sizeof(r));
    assert_int_equal(r[0], VR_VIOMMU_FAULT_R_MAPPING);
    vr_viommu_fault(&f->v, 2, VR_VIOMMU_FAULT_READ, 0, r, sizeof(r));
    assert_int_equal(r[0], VR_VIOMMU_FAULT_R_DOMAIN);
    vr_viommu_fault(&f->v, 2, VR_VIOMMU_FAULT_ADDRESS, 0, r, sizeof(r));
    assert_int_equal(r[0], VR_VIOMMU_FAULT_R_UNKNOWN);
    vr_viommu_fault(&f->v, 0, 0, 0, r, sizeof(r));
    assert_int_equal(r[0], VR_VIOMMU_FAULT_R_UNKNOWN);
}

static void test_5_13_6_9_2_fault_reserved_is_zero(void **state)
{
    struct fixture *f = *state;
    uint8_t r[VR_VIOMMU_FAULT_LEN];

    memset(r, 0xee, sizeof(r));
    vr_viommu_fault(&f->v, 2, VR_VIOMMU_FAULT_READ, 1, r, sizeof(r));
    assert_int_equal(r[1] | r[2] | r[3], 0);
    assert_int_equal(get32(r + 12), 0);
    /* an address that is not told is not written either */
    assert_int_equal(get64(r + 16), 0);
}

static void test_5_13_6_9_2_fault_undefined_flags_are_zero(void **state)
{
    struct fixture *f = *state;
    uint8_t r[VR_VIOMMU_FAULT_LEN];

    vr_viommu_fault(&f->v, 2, UINT32_MAX, 1, r, sizeof(r));
    assert_int_equal(get32(r + 4), 0x103);
}

static void test_5_13_6_9_2_fault_endpoint_is_valid(void **state)
{
    struct fixture *f = *state;
    uint8_t r[VR_VIOMMU_FAULT_LEN];

    assert_int_equal(vr_viommu_fault(&f->v, 3, 1, 0, r, sizeof(r)), 24);
    assert_int_equal(get32(r + 8), 3);
    assert_int_equal(vr_viommu_fault(&f->v, 1, 1, 0, r, sizeof(r)), 0);
    assert_int_equal(vr_viommu_fault(&f->v, 4, 1, 0, r, sizeof(r)), 0);
    assert_int_equal(vr_viommu_fault(&f->v, 99, 1, 0, r, sizeof(r)), 0);
}

static void test_5_13_6_9_2_fault_small_buffer_is_not_used(void **state)
{
    struct fixture *f = *state;
    uint8_t r[VR_VIOMMU_FAULT_LEN] = {0xee};

    assert_int_equal(vr_viommu_fault(&f->v, 0, 1, 0, r, 23), 0);
    assert_int_equal(r[0], 0xee);
}

/* ---- revocation ---- */

static void test_unmap_waits_until_nobody_has_the_page(void **state)
{
    struct fixture *f = *state;
    unsigned int i;

    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 110, 10), VR_VIOMMU_S_OK);
    f->t.page[0][30].held = true;
    f->t.page[0][100].held = true;
    for (i = 0; i < 3; i++) {
        assert_int_equal(unmap(f, 0, W0_PAGES), PENDING);
        /* what can be taken back is, at once */
        assert_int_equal(f->t.granted, 2);
        assert_int_equal(vr_viommu_mapped_pages(&f->v, 0), 2);
    }
    f->t.page[0][30].held = false;
    assert_int_equal(unmap(f, 0, W0_PAGES), PENDING);
    assert_int_equal(f->t.granted, 1);
    f->t.page[0][100].held = false;
    assert_int_equal(unmap(f, 0, W0_PAGES), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
    assert_int_equal(f->t.unmaps_now, 0);
    assert_true(vr_viommu_attached(&f->v, 0));
    /* and once more, as if the answer had been lost */
    assert_int_equal(unmap(f, 0, W0_PAGES), VR_VIOMMU_S_OK);
}

/* Calls while it waits concern what is held, and nothing else. */
static void test_unmap_waiting_does_not_begin_anew(void **state)
{
    struct fixture *f = *state;
    uint32_t first, n;

    assert_int_equal(map(f, 0, W0_PAGES), VR_VIOMMU_S_OK);
    f->t.page[0][64].held = true;
    f->t.page[0][65].held = true;
    f->t.page[0][70].held = true;
    assert_int_equal(unmap(f, 0, W0_PAGES), PENDING);
    assert_int_equal(f->t.unmaps, 4);
    assert_int_equal(unmap(f, 0, W0_PAGES), PENDING);
    assert_int_equal(f->t.unmaps, 6);
    assert_int_equal(vr_viommu_mapped_pages(&f->v, 0), 3);
    /* each piece that is left can be told */
    assert_true(vr_viommu_next_mapping(&f->v, 0, 0, &first, &n));
    assert_int_equal(first, 64);
    assert_int_equal(n, 2);
    assert_true(vr_viommu_next_mapping(&f->v, 0, 66, &first, &n));
    assert_int_equal(first, 70);
    assert_int_equal(n, 1);
    assert_false(vr_viommu_next_mapping(&f->v, 0, 71, &first, &n));
}

static void test_detach_waits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    f->t.page[0][30].held = true;
    assert_int_equal(detach(f, 5, 0), PENDING);
    assert_false(vr_viommu_attached(&f->v, 0));
    assert_int_equal(f->t.granted, 1);
    assert_int_equal(detach(f, 5, 0), PENDING);
    f->t.page[0][30].held = false;
    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_mapped(f, 0, 0);
    assert_int_equal(f->t.unmaps, f->t.unmaps_now);
    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_INVAL);
}

static void test_attach_elsewhere_waits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    f->t.page[0][30].held = true;
    assert_int_equal(attach(f, 6, 0), PENDING);
    assert_false(vr_viommu_attached(&f->v, 0));
    assert_int_equal(attach(f, 6, 0), PENDING);
    f->t.page[0][30].held = false;
    assert_int_equal(attach(f, 6, 0), VR_VIOMMU_S_OK);
    assert_true(vr_viommu_attached(&f->v, 0));
    assert_mapped(f, 0, 0);
    assert_int_equal(attach(f, 6, 0), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 0, 1), VR_VIOMMU_S_NOENT);
}

/* A request that was pending is forgotten with all that it began. */
static void test_reset_while_unmap_waits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 120, 10), VR_VIOMMU_S_OK);
    f->t.page[0][30].held = true;
    assert_int_equal(unmap(f, 10, 100), PENDING);
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_PENDING);
    assert_false(vr_viommu_attached(&f->v, 0));
    assert_int_equal(f->t.granted, 1);
    /* a request in between is held back, whatever it is */
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(attach(f, 6, 2), PENDING);
    assert_false(vr_viommu_attached(&f->v, 2));
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_PENDING);
    f->t.page[0][30].held = false;
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_DONE);
    assert_mapped(f, 0, 0);
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_DONE);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(attach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 0, W0_PAGES), VR_VIOMMU_S_OK);
}

/* The request goes on by itself once the reset is through. */
static void test_request_held_back_by_reset(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 10, 1), VR_VIOMMU_S_OK);
    f->t.page[0][10].held = true;
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_PENDING);
    assert_int_equal(attach(f, 5, 0), PENDING);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    f->t.page[0][10].held = false;
    assert_int_equal(attach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_true(vr_viommu_attached(&f->v, 0));
    assert_mapped(f, 0, 0);
    /* and what was negotiated meanwhile holds */
    assert_int_equal(map(f, 10, 1), VR_VIOMMU_S_OK);
}

static void test_reset_while_detach_waits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    f->t.page[0][30].held = true;
    assert_int_equal(detach(f, 5, 0), PENDING);
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_PENDING);
    f->t.page[0][30].held = false;
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_DONE);
    assert_mapped(f, 0, 0);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(detach(f, 5, 0), VR_VIOMMU_S_INVAL);
}

/* Not what the caller should do, but nothing comes loose by it. */
static void test_other_request_while_one_waits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    f->t.page[0][70].held = true;
    assert_int_equal(unmap(f, 10, 100), PENDING);
    assert_int_equal(map(f, 70, 1), VR_VIOMMU_S_INVAL);
    assert_int_equal(map(f, 71, 1), VR_VIOMMU_S_OK);
    f->t.page[0][70].held = false;
    assert_int_equal(unmap(f, 70, 1), VR_VIOMMU_S_OK);
    assert_mapped(f, 71, 1);
}

static void test_attach_same_domain_while_detach_waits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(map(f, 10, 1), VR_VIOMMU_S_OK);
    f->t.page[0][10].held = true;
    assert_int_equal(detach(f, 5, 0), PENDING);
    assert_int_equal(attach(f, 5, 2), VR_VIOMMU_S_UNSUPP);
    assert_int_equal(attach(f, 5, 0), PENDING);
    f->t.page[0][10].held = false;
    assert_int_equal(attach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_true(vr_viommu_attached(&f->v, 0));
    assert_mapped(f, 0, 0);
}

/* A MAP failed at page 90, and page 89 was seized in the instant before. */
static void test_failed_map_waits_until_undone(void **state)
{
    struct fixture *f = *state;

    f->t.page[0][89].held = true;
    f->t.page[0][90].planted = true;
    assert_int_equal(map(f, 10, 100), PENDING);
    assert_int_equal(f->t.granted, 1);
    assert_int_equal(map(f, 10, 100), PENDING);
    assert_int_equal(f->t.maps, 1);
    f->t.page[0][89].held = false;
    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_DEVERR);
    assert_mapped(f, 0, 0);
    /* the next one is judged on its own */
    f->t.page[0][90].planted = false;
    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    assert_mapped(f, 10, 100);
}

static void test_reset_while_failed_map_waits(void **state)
{
    struct fixture *f = *state;

    f->t.page[0][89].held = true;
    f->t.page[0][90].planted = true;
    assert_int_equal(map(f, 10, 100), PENDING);
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_PENDING);
    f->t.page[0][89].held = false;
    f->t.page[0][90].planted = false;
    assert_int_equal(vr_viommu_reset(&f->v), VR_VIOMMU_DONE);
    vr_viommu_negotiated(&f->v, VR_VIOMMU_FEATURES);
    assert_int_equal(attach(f, 5, 0), VR_VIOMMU_S_OK);
    assert_int_equal(map(f, 10, 100), VR_VIOMMU_S_OK);
    assert_mapped(f, 10, 100);
}

/* ---- the module's own ---- */

static void test_next_mapping(void **state)
{
    static const uint32_t want[][2] = {{3, 1},    {4, 60},  {64, 64},
                                       {128, 10}, {150, 2}, {199, 1}};
    struct fixture *f = *state;
    uint32_t first, n, p = 0;
    unsigned int i;

    assert_false(vr_viommu_next_mapping(&f->v, 0, 0, &first, &n));
    for (i = 0; i < VR_ARRAY_SIZE(want); i++)
        assert_int_equal(map(f, want[i][0], want[i][1]), VR_VIOMMU_S_OK);
    for (i = 0; i < VR_ARRAY_SIZE(want); i++) {
        assert_true(vr_viommu_next_mapping(&f->v, 0, p, &first, &n));
        assert_int_equal(first, want[i][0]);
        assert_int_equal(n, want[i][1]);
        p = first + n;
    }
    assert_false(vr_viommu_next_mapping(&f->v, 0, p, &first, &n));
    assert_false(vr_viommu_next_mapping(&f->v, 0, UINT32_MAX, &first, &n));
    assert_false(vr_viommu_next_mapping(&f->v, 1, 0, &first, &n));
    assert_false(vr_viommu_next_mapping(&f->v, 99, 0, &first, &n));
    /* one that covers all, where the window ends with a word of the books */
    assert_int_equal(attach(f, 6, 2), VR_VIOMMU_S_OK);
    assert_int_equal(map_bytes(f, 6, W2, W2 + W2_PAGES * PAGE - 1, RAM, RW),
                     VR_VIOMMU_S_OK);
    assert_true(vr_viommu_next_mapping(&f->v, 2, 0, &first, &n));
    assert_int_equal(first, 0);
    assert_int_equal(n, W2_PAGES);
    assert_false(vr_viommu_next_mapping(&f->v, 2, 1, &first, &n));
}

static void test_unknown_endpoints(void **state)
{
    struct fixture *f = *state;

    assert_false(vr_viommu_attached(&f->v, 1));
    assert_false(vr_viommu_attached(&f->v, 99));
    assert_int_equal(vr_viommu_mapped_pages(&f->v, 1), 0);
    assert_int_equal(vr_viommu_mapped_pages(&f->v, 99), 0);
    assert_int_equal(vr_viommu_peak_pages(&f->v, 99), 0);
}

static void test_memory(void **state)
{
    struct vr_viommu_desc d = {.neps = 1, .input_end = UINT64_MAX};
    uint32_t n;

    (void)state;
    for (n = 1; n < 1000; n++) {
        d.ep[0] = (struct vr_viommu_ep_desc){true, 0, n, 0, 0, 0, 0};
        assert_true(vr_viommu_memory(&d) >= n / 4);
        assert_true(vr_viommu_memory(&d) <= n / 4 + 16);
        if (n > 1)
            assert_true(vr_viommu_memory(&d) <= 8 * n);
    }
}

static int init(struct fixture *f, const struct vr_viommu_desc *d)
{
    return vr_viommu_init(&f->v, d, &rig_ops, &f->t, f->mem, sizeof(f->mem));
}

static void test_init(void **state)
{
    struct fixture *f = *state;
    struct vr_viommu_desc d = desc;
    size_t size = vr_viommu_memory(&d);

    assert_int_equal(
        vr_viommu_init(&f->v, &d, &rig_ops, &f->t, f->mem, size - 1), -ENOSPC);
    assert_int_equal(vr_viommu_init(&f->v, &d, &rig_ops, &f->t, f->mem, size),
                     0);
    d.neps = 0;
    assert_int_equal(init(f, &d), -EINVAL);
    d.neps = VR_MAX_DEVICES + 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d.neps = 2;
    d.ep[0].present = false;
    assert_int_equal(init(f, &d), -EINVAL);

    d = desc;
    d.ep[0].npages = 0;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[0].npages = VR_IOVAMAP_MAX_PAGES + 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[0].npages = 0x201; /* into the next one */
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[0].npages = 0x200; /* up to it */
    assert_int_equal(init(f, &d), 0);
    d.ep[0].base = W2 + PAGE;
    d.ep[0].npages = 1;
    assert_int_equal(init(f, &d), -EINVAL);

    d = desc;
    d.ep[3].npages = 0x200; /* up to the end of the input range */
    assert_int_equal(init(f, &d), 0);
    d.ep[3].npages = 0x201;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[3].base = INPUT_END + 1;
    d.ep[3].npages = 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[3].base = INPUT_START - PAGE;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[3].base = W3 + 1;
    assert_int_equal(init(f, &d), -EINVAL);

    /* pools: whole pages, an end, and no address of the window's */
    d = desc;
    d.ep[2].pool_size = PAGE;
    d.ep[2].pool_base = 0x48000001;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[2].pool_base = 0x48000000;
    d.ep[2].pool_size = PAGE + 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[2].pool_size = UINT64_MAX - PAGE + 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[2].pool_size = PAGE;
    d.ep[2].pool_base = W2 + (W2_PAGES - 1) * PAGE;
    assert_int_equal(init(f, &d), -EINVAL);
    d.ep[2].pool_base += PAGE;
    assert_int_equal(init(f, &d), 0);
    d.ep[2].pool_base = W2 - PAGE;
    assert_int_equal(init(f, &d), 0);
    d.ep[2].pool_size = 2 * PAGE;
    assert_int_equal(init(f, &d), -EINVAL);

    d = desc;
    d.input_start += 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d = desc;
    d.input_end -= 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d = desc;
    d.input_end = d.input_start - 1;
    assert_int_equal(init(f, &d), -EINVAL);
    d = desc;
    d.domain_start = d.domain_end + 1;
    assert_int_equal(init(f, &d), -EINVAL);
}

#define PLAIN(t)    cmocka_unit_test_setup_teardown(t, setup, teardown)
#define ATTACHED(t) cmocka_unit_test_setup_teardown(t, setup_attached, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(test_5_13_3_2_map_unmap_is_offered),
        PLAIN(test_5_13_3_2_bypass_is_not_offered),
        PLAIN(test_5_13_4_layout),
        PLAIN(test_5_13_4_2_page_size_mask_has_a_bit),
        PLAIN(test_5_13_4_2_bypass_is_0_or_1),
        ATTACHED(test_5_13_5_reset_detaches_all),
        ATTACHED(test_5_13_5_reset_ends_negotiation),
        ATTACHED(test_5_13_6_too_small_for_a_tail_is_returned_unwritten),
        ATTACHED(test_5_13_6_too_short_for_its_type_is_inval),
        PLAIN(test_5_13_6_longer_parts_are_taken),
        PLAIN(test_5_13_6_domain_range),
        ATTACHED(test_5_13_6_map_outside_of_input_range_fails),
        ATTACHED(test_5_13_6_map_and_unmap_need_their_feature),
        PLAIN(test_5_13_6_2_success_is_ok),
        ATTACHED(test_5_13_6_2_unknown_type_is_returned_unwritten),
        PLAIN(test_5_13_6_2_head_reserved_is_ignored),
        PLAIN(test_5_13_6_2_tail_reserved_is_zero),
        PLAIN(test_5_13_6_2_unattached_endpoint_reaches_nothing),
        PLAIN(test_5_13_6_3_2_attach_reserved_is_inval),
        PLAIN(test_5_13_6_3_2_attach_unknown_flag_is_inval),
        PLAIN(test_5_13_6_3_2_attach_unknown_endpoint_is_noent),
        ATTACHED(test_5_13_6_3_2_attach_beside_another_is_unsupp),
        ATTACHED(test_5_13_6_3_2_attach_bypass_flag_on_domain_is_inval),
        ATTACHED(test_5_13_6_3_2_attach_elsewhere_detaches_first),
        ATTACHED(test_5_13_6_3_2_rejected_attach_changes_nothing),
        ATTACHED(test_5_13_6_3_2_attach_again_changes_nothing),
        PLAIN(test_5_13_6_3_2_not_rejected_is_attached),
        PLAIN(test_5_13_6_3_domains_of_any_number),
        ATTACHED(test_5_13_6_4_domain_ends_with_its_last_endpoint),
        ATTACHED(test_5_13_6_4_2_detach_reserved_is_ignored),
        ATTACHED(test_5_13_6_4_2_detach_unknown_endpoint_is_noent),
        ATTACHED(test_5_13_6_4_2_detach_from_wrong_domain_is_inval),
        ATTACHED(test_5_13_6_4_2_detached_reaches_no_mapping),
        ATTACHED(test_5_13_6_5_2_map_misaligned_is_range),
        ATTACHED(test_5_13_6_5_2_map_over_mapping_is_inval),
        ATTACHED(test_5_13_6_5_2_map_unknown_flag_is_inval),
        ATTACHED(test_5_13_6_5_2_map_unknown_domain_is_noent),
        ATTACHED(test_5_13_6_5_2_no_write_without_its_flag),
        ATTACHED(test_5_13_6_5_2_no_access_without_flags),
        ATTACHED(test_5_13_6_5_map_of_no_ram_is_fault),
        ATTACHED(test_5_13_6_5_map_past_64_bits_is_fault),
        ATTACHED(test_5_13_6_5_map_empty_range_is_inval),
        ATTACHED(test_5_13_6_5_map_whole_window),
        ATTACHED(test_map_failures_of_the_page_table),
        ATTACHED(test_5_13_6_6_example_1),
        ATTACHED(test_5_13_6_6_example_2),
        ATTACHED(test_5_13_6_6_example_3),
        ATTACHED(test_5_13_6_6_example_4),
        ATTACHED(test_5_13_6_6_example_5),
        ATTACHED(test_5_13_6_6_example_6),
        ATTACHED(test_5_13_6_6_example_7),
        ATTACHED(test_5_13_6_6_2_unmap_reserved_is_inval),
        ATTACHED(test_5_13_6_6_2_unmap_unknown_domain_is_noent),
        ATTACHED(test_5_13_6_6_2_unmap_split_is_range),
        ATTACHED(test_5_13_6_6_2_unmap_split_within_page_is_range),
        ATTACHED(test_5_13_6_6_2_unmap_split_removes_no_mapping),
        ATTACHED(test_5_13_6_6_2_unmap_beyond_mappings_is_ok),
        ATTACHED(test_5_13_6_6_2_unmap_leaves_other_endpoints_alone),
        ATTACHED(test_5_13_6_6_unmap_empty_range_is_inval),
        PLAIN(test_5_13_6_7_2_probe_reserved_is_ignored),
        PLAIN(test_5_13_6_7_2_probe_unknown_endpoint_is_noent),
        PLAIN(test_5_13_6_7_2_probe_not_offered_is_unwritten),
        PLAIN(test_5_13_6_7_2_property_reserved_is_zero),
        PLAIN(test_5_13_6_7_2_property_length_is_without_head),
        PLAIN(test_5_13_6_7_2_next_property_is_length_plus_4_on),
        PLAIN(test_5_13_6_7_2_probe_short_list_is_inval),
        PLAIN(test_5_13_6_7_2_rest_of_list_is_zero),
        PLAIN(test_5_13_6_7_longer_buffer_has_tail_behind_list),
        PLAIN(test_5_13_6_8_1_all_but_the_window_is_reserved),
        PLAIN(test_5_13_6_8_1_messages),
        PLAIN(test_5_13_6_8_1_windows_at_the_ends),
        PLAIN(test_5_13_6_8_1_2_resv_mem_reserved_is_zero),
        PLAIN(test_5_13_6_8_1_2_no_msi_region),
        PLAIN(test_5_13_6_8_1_2_regions_do_not_overlap),
        PLAIN(test_pool_property),
        ATTACHED(test_5_13_6_8_1_2_map_of_region_is_rejected),
        ATTACHED(test_5_13_6_8_1_2_region_affects_nobody_else),
        ATTACHED(test_5_13_6_9_layout),
        ATTACHED(test_5_13_6_9_reasons),
        ATTACHED(test_5_13_6_9_2_fault_reserved_is_zero),
        ATTACHED(test_5_13_6_9_2_fault_undefined_flags_are_zero),
        ATTACHED(test_5_13_6_9_2_fault_endpoint_is_valid),
        ATTACHED(test_5_13_6_9_2_fault_small_buffer_is_not_used),
        ATTACHED(test_unmap_waits_until_nobody_has_the_page),
        ATTACHED(test_unmap_waiting_does_not_begin_anew),
        ATTACHED(test_detach_waits),
        ATTACHED(test_attach_elsewhere_waits),
        ATTACHED(test_reset_while_unmap_waits),
        ATTACHED(test_request_held_back_by_reset),
        ATTACHED(test_reset_while_detach_waits),
        ATTACHED(test_other_request_while_one_waits),
        ATTACHED(test_attach_same_domain_while_detach_waits),
        ATTACHED(test_failed_map_waits_until_undone),
        ATTACHED(test_reset_while_failed_map_waits),
        ATTACHED(test_next_mapping),
        PLAIN(test_unknown_endpoints),
        PLAIN(test_memory),
        PLAIN(test_init),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
