/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl audit: what it says of a grant table beside the record, and when it
 * refuses to say anything. The judge itself is in test_audit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vrctl_world.h"

static int setup(void **state)
{
    (void)state;
    vw_init();
    return 0;
}

static int audit(void)
{
    return vw_run(cmd_audit, "audit", "guest", NULL);
}

/* As JSON too, with the same verdict. */
static yajl_val audit_as_json(int status)
{
    static const char *const ok[] = {"ok", NULL};
    yajl_val tree;

    assert_int_equal(vw_run(cmd_audit, "audit", "--json", "5", NULL), status);
    tree = vw_json();
    assert_int_equal(
        !!YAJL_IS_TRUE(yajl_tree_get(tree, (const char **)ok, yajl_t_any)),
        status == EX_OK);
    return tree;
}

static void exact(void **state)
{
    yajl_val tree;

    (void)state;
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "audit: OK, 32 pages reachable by domain 3 "
                                   "(shared), exactly as declared and mapped"));
    assert_non_null(strstr(vw.out, "audit: OK, 2 pages reachable by domain 4"));
    assert_non_null(strstr(vw.out, "2 of 16 pages granted"));
    tree = audit_as_json(EX_OK);
    assert_string_equal(vw_text(tree, "domains", 0, "pages"), "32");
    assert_string_equal(vw_text(tree, "pools", 0, "state"), "granted");
    assert_string_equal(vw_text(tree, "dynamic", 0, "granted_pages"), "2");
    yajl_tree_free(tree);
    assert_int_equal(vw_run(cmd_audit, "audit", "--pause", VW_UUID, NULL),
                     EX_OK);
    assert_false(vw_dom(VW_GUEST)->flags & XEN_DOMINF_paused);
}

static void excess_and_missing(void **state)
{
    yajl_val tree;

    (void)state;
    /* A page outside of the windows; one that is declared, but taken away. */
    vw.table[9] = (struct vr_gntent){VR_GTF_PERMIT_ACCESS, VW_SHARED, 0x40000};
    vw.table[1024].flags = 0;
    /* One that is granted, though it is not mapped. */
    vw.table[vw.rec.devs[1].iova.gref_base + 5] =
        (struct vr_gntent){VR_GTF_PERMIT_ACCESS, VW_OWNED, 0x40200};
    assert_int_equal(audit(), EX_FAILED);
    assert_non_null(strstr(vw.out, "audit: EXCESS, domain 3 (shared) is "
                                   "granted 1 pages beyond"));
    assert_non_null(strstr(vw.out, "audit: EXCESS, domain 4 (own)"));
    assert_non_null(strstr(vw.out, "audit: MISSING, 1 declared pages"));
    tree = audit_as_json(EX_FAILED);
    assert_string_equal(vw_text(tree, "domains", 0, "excess"), "1");
    assert_string_equal(vw_text(tree, "domains", 0, "missing"), "1");
    yajl_tree_free(tree);
}

/* Of a domain that is nobody's driver domain: told, and no fault. */
static void grants_of_others(void **state)
{
    (void)state;
    put("/local/domain/0/name", "\033[31mDomain-0\xff", 0);
    vw.table[9] = (struct vr_gntent){VR_GTF_PERMIT_ACCESS, 0, 0x40000};
    vw.table[10] =
        (struct vr_gntent){VR_GTF_PERMIT_ACCESS | VR_GTF_READONLY, 77, 0x1234};
    vw.table[11] = (struct vr_gntent){2, 0, 1};
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "domain 77 (?)"));
    assert_non_null(strstr(vw.out, "1 entries of another type"));
    yajl_tree_free(audit_as_json(EX_OK));
}

static void states_of_pools(void **state)
{
    unsigned int k;

    (void)state;
    vw.pools.state[0] = VR_POOL_HELD;
    vw.pools.state[2] = VR_POOL_PRIVATE;
    for (k = 0; k < VW_PAGES; k++) {
        vw.table[vw.rec.devs[2].pool.gref_base + k].flags = 0;
        if (k)
            vw.table[vw.rec.devs[0].pool.gref_base + k].flags = 0;
    }
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "taken back, but for 1 pages that the "
                                   "backend holds"));
    assert_non_null(strstr(vw.out, "not granted, since the device does not"));
    yajl_tree_free(audit_as_json(EX_OK));
    /* None was ever granted. */
    vw.has_pools = false;
    assert_int_equal(audit(), EX_FAILED);
    assert_non_null(strstr(vw.out, "audit: EXCESS"));
    vw.has_pools = true;
    vw.pools.magic = 1;
    assert_int_equal(audit(), EX_FAILED);
    assert_string_equal(vw.out, "");
    assert_non_null(strstr(vw.said, "install matching versions"));
}

static void guest_overwrites(void **state)
{
    (void)state;
    vw.table[1025].domid = 99;
    assert_int_equal(audit(), EX_FAILED);
    assert_non_null(strstr(vw.out, "MISSING"));
    yajl_tree_free(audit_as_json(EX_FAILED));
    /* The windows are being emptied. */
    vw.rec.phase = VR_PHASE_CLOSING;
    assert_int_equal(audit(), EX_FAILED);
}

static void driver_is_gone(void **state)
{
    (void)state;
    vw.dom[0].exists = false;
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "domain 3 (shared) is gone: nobody can "
                                   "reach the 32 pages"));
    yajl_tree_free(audit_as_json(EX_OK));
}

/* What is mapped is not known: what could be is no fault. */
static void not_compared(void **state)
{
    (void)state;
    vw.has_maps = false;
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "has not published what is mapped"));
    assert_non_null(strstr(vw.out, "all of them in its windows"));
    vw.has_maps = vw.maps_broken = true;
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "in another way"));
    vw.maps_broken = false;
    vw.live = true;
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "use --pause"));
    yajl_tree_free(audit_as_json(EX_OK));
    /* It cannot go on while the guest is paused. */
    assert_int_equal(vw_run(cmd_audit, "audit", "--pause", "guest", NULL),
                     EX_FAILED);
    assert_non_null(strstr(vw.said, "but its broker goes on changing"));
    assert_false(vw_dom(VW_GUEST)->flags & XEN_DOMINF_paused);
}

static void many_pieces(void **state)
{
    const struct vr_gwin *w = &vw.rec.devs[1].iova;
    unsigned int k;

    (void)state;
    vw.has_maps = false;
    vw.rec.devs[1].iova.size = 32 * VR_PAGE_SIZE;
    for (k = 0; k < 30; k++)
        vw.table[w->gref_base + k] =
            (struct vr_gntent){VR_GTF_PERMIT_ACCESS, VW_OWNED, 0x40100 + 2 * k};
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "and 14 more pieces of the window"));
}

static void nothing_declared(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < VW_DEVS; i++) {
        vw.rec.devs[i].pool.size = 0;
        vw.rec.devs[i].iova.size = 0;
    }
    vw.rec.phase = VR_PHASE_CREATING;
    memset(vw.table, 0, sizeof(vw.table));
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "no window has its place yet"));
    vw.has_rec = false;
    assert_int_equal(audit(), EX_OK);
    assert_non_null(strstr(vw.out, "no restricted devices are declared"));
    yajl_tree_free(audit_as_json(EX_OK));
    vw.table_frames = 0;
    assert_int_equal(audit(), EX_OK);
}

static void refused(void **state)
{
    (void)state;
    assert_int_equal(vw_run(cmd_audit, "audit", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_audit, "audit", "a", "b", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_audit, "audit", "other", NULL), EX_FAILED);
    assert_non_null(strstr(vw.said, "no such domain"));
    vw.table_version = 2;
    assert_int_equal(audit(), EX_FAILED);
    assert_non_null(strstr(vw.said, "max_grant_version=1"));
    vw.table_version = 1;
    vw.table_errno = 1;
    assert_int_equal(audit(), EX_FAILED);
    assert_non_null(strstr(vw.said, "cannot ask for the size"));
    vw.table_errno = 0;
    vw.table_frames = VW_FRAMES + 1;
    assert_int_equal(audit(), EX_FAILED);
    assert_non_null(strstr(vw.said, "cannot map grant table frames"));
    vw.fail_at = 0;
    assert_int_equal(vw_run(cmd_audit, "audit", "--pause", "guest", NULL),
                     EX_FAILED);
    assert_non_null(strstr(vw.said, "cannot pause it"));
    vw.rec_error = -EINVAL;
    assert_int_equal(audit(), EX_FAILED);
    vw.no_hypervisor = true;
    assert_int_equal(audit(), EX_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(exact, setup),
        cmocka_unit_test_setup(excess_and_missing, setup),
        cmocka_unit_test_setup(grants_of_others, setup),
        cmocka_unit_test_setup(states_of_pools, setup),
        cmocka_unit_test_setup(guest_overwrites, setup),
        cmocka_unit_test_setup(driver_is_gone, setup),
        cmocka_unit_test_setup(not_compared, setup),
        cmocka_unit_test_setup(many_pieces, setup),
        cmocka_unit_test_setup(nothing_declared, setup),
        cmocka_unit_test_setup(refused, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
