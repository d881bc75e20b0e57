/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/proto/maps.h"

static char folder[] = "/tmp/vr-maps-XXXXXX", path[64];
static struct vr_record rec;

/* Windows of 100 pages, none (static), 64 and 65 pages (mixed). */
static int setup(void **state)
{
    static const uint32_t pages[] = {100, 512, 64, 65};
    unsigned int i;

    (void)state;
    strcpy(folder, "/tmp/vr-maps-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/maps", folder);
    memset(&rec, 0, sizeof(rec));
    rec.ndevs = VR_ARRAY_SIZE(pages);
    for (i = 0; i < rec.ndevs; i++) {
        rec.devs[i].cfg.mode = i == 1   ? VR_MODE_STATIC
                               : i == 3 ? VR_MODE_MIXED
                                        : VR_MODE_DYNAMIC;
        if (i == 1 || i == 3)
            rec.devs[i].pool.size = 512 * VR_PAGE_SIZE;
        if (i != 1)
            rec.devs[i].iova.size = pages[i] * VR_PAGE_SIZE;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void test_layout(void **state)
{
    (void)state;
    assert_int_equal(vr_maps_words(&rec, 0), 2);
    assert_int_equal(vr_maps_words(&rec, 1), 0);
    assert_int_equal(vr_maps_words(&rec, 2), 1);
    assert_int_equal(vr_maps_words(&rec, 3), 2);
    assert_int_equal(vr_maps_offset(&rec, 0), 0);
    assert_int_equal(vr_maps_offset(&rec, 1), 2);
    assert_int_equal(vr_maps_offset(&rec, 3), 3);
    assert_int_equal(vr_maps_size(&rec), sizeof(struct vr_maps) + 5 * 8);
}

static void test_reader_sees_the_writer(void **state)
{
    struct vr_maps *w = vr_maps_create_at(path, &rec), *r;
    struct stat st;
    uint32_t i;

    (void)state;
    assert_non_null(w);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    r = vr_maps_open_at(path, &rec);
    assert_non_null(r);
    assert_int_equal(vr_maps_generation(r), 0);
    vr_maps_begin(w);
    assert_int_equal(vr_maps_generation(r), 1);
    for (i = 0; i < 65; i++)
        vr_maps_set(w->bits + vr_maps_offset(&rec, 3), i);
    vr_maps_set(w->bits + vr_maps_offset(&rec, 0), 99);
    vr_maps_end(w);
    assert_int_equal(vr_maps_generation(r), 2);
    assert_int_equal(vr_maps_count(r, &rec, 0), 1);
    assert_int_equal(vr_maps_count(r, &rec, 1), 0);
    assert_int_equal(vr_maps_count(r, &rec, 2), 0);
    assert_int_equal(vr_maps_count(r, &rec, 3), 65);
    assert_true(vr_maps_test(r->bits + vr_maps_offset(&rec, 0), 99));
    assert_false(vr_maps_test(r->bits + vr_maps_offset(&rec, 0), 98));
    vr_maps_begin(w);
    vr_maps_clear(w->bits + vr_maps_offset(&rec, 3), 64);
    vr_maps_end(w);
    assert_int_equal(vr_maps_count(r, &rec, 3), 64);
    vr_maps_close(r, &rec);
    /* a new broker begins with nothing; the last one's file goes on */
    r = vr_maps_create_at(path, &rec);
    assert_non_null(r);
    assert_int_equal(vr_maps_count(r, &rec, 3), 0);
    assert_int_equal(vr_maps_count(w, &rec, 3), 64);
    vr_maps_close(r, &rec);
    vr_maps_close(w, &rec);
    vr_maps_close(NULL, &rec);
}

/* What lies between two equal even generations belongs together: here every
 * bit of a window is set, or none. */
static void test_instants(void **state)
{
    struct vr_maps *w = vr_maps_create_at(path, &rec), *r;
    const size_t at = vr_maps_offset(&rec, 0);
    unsigned int good = 0, mixed = 0;
    uint32_t before, i, n;
    int status;
    pid_t pid;

    (void)state;
    assert_non_null(w);
    r = vr_maps_open_at(path, &rec);
    assert_non_null(r);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        for (n = 0; n < 100000; n++) {
            vr_maps_begin(w);
            for (i = 0; i < 100; i += 7) {
                if (n & 1)
                    vr_maps_clear(w->bits + at, i);
                else
                    vr_maps_set(w->bits + at, i);
            }
            vr_maps_end(w);
        }
        _exit(0);
    }
    while (!waitpid(pid, &status, WNOHANG)) {
        before = vr_maps_generation(r);
        n = vr_maps_count(r, &rec, 0);
        if (before & 1 || vr_maps_generation(r) != before)
            continue;
        good++;
        mixed += n && n != 15;
    }
    assert_int_equal(status, 0);
    assert_int_equal(mixed, 0);
    assert_int_equal(vr_maps_generation(r), 200000);
    print_message("%u instants\n", good);
    vr_maps_close(r, &rec);
    vr_maps_close(w, &rec);
}

static void refused(const struct vr_record *other)
{
    errno = 0;
    assert_null(vr_maps_open_at(path, other));
    assert_int_equal(errno, EPROTO);
}

static void test_bad_files(void **state)
{
    struct vr_maps *w = vr_maps_create_at(path, &rec);
    struct vr_record other = rec;

    (void)state;
    assert_non_null(w);
    /* another guest's, though of the same size */
    other.devs[0].iova.size += VR_PAGE_SIZE;
    assert_int_equal(vr_maps_size(&other), vr_maps_size(&rec));
    refused(&other);
    other.devs[0].iova.size += 64 * VR_PAGE_SIZE;
    refused(&other);
    other = rec;
    other.ndevs--;
    refused(&other);
    w->ndevs = 3;
    refused(&rec);
    w->ndevs = 4;
    w->magic++;
    refused(&rec);
    vr_maps_close(w, &rec);
    assert_int_equal(truncate(path, 8), 0);
    refused(&rec);
    assert_int_equal(unlink(path), 0);
    assert_null(vr_maps_open_at(path, &rec));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_null(vr_maps_open_at(path, &rec));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(&rec);
    /* without a guest there is no file */
    assert_null(vr_maps_open(&rec, false));
    assert_int_equal(errno, EINVAL);
}

/* The file of a guest: VR_RUN_DIR is root's. */
static void test_of_a_guest(void **state)
{
    struct vr_maps *w, *r;

    (void)state;
    strcpy(rec.uuid, "00000000-0000-0000-0000-7e577e577e58");
    w = vr_maps_open(&rec, true);
    if (!w && (errno == EACCES || errno == EPERM || errno == EROFS)) {
        print_message("skipped: cannot write to " VR_RUN_DIR "\n");
        skip();
    }
    assert_non_null(w);
    r = vr_maps_open(&rec, false);
    assert_non_null(r);
    vr_maps_close(r, &rec);
    vr_maps_close(w, &rec);
    /* goes with the record */
    vr_record_remove(rec.uuid);
    assert_null(vr_maps_open(&rec, false));
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_layout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader_sees_the_writer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_instants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_a_guest, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
