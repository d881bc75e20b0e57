/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of types and keys, and what is made of them: the overview of keys
 * in the manual page and the fuzz target's dictionary have to say what they
 * say. With an argument it prints one of the two instead: keys, or dict.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libs/config/cfg.h"

#define MANUAL "docs/man/xl-virtio-restricted.cfg.5"
#define DICT   "tests/fuzz/dict/cfg.dict"

static char made[16384];

static void __attribute__((format(printf, 1, 2))) add(const char *fmt, ...)
{
    size_t len = strlen(made);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(made + len, sizeof(made) - len, fmt, ap);
    va_end(ap);
}

static const char *modes_text(const struct vr_key *key, char *buf, size_t size)
{
    enum vr_mode mode;

    if (!key->modes || key->modes == VR_IN_ALL)
        return "all";
    buf[0] = '\0';
    for (mode = VR_MODE_STATIC; mode <= VR_MODE_MIXED; mode++) {
        size_t len = strlen(buf);

        if (key->modes & VR_IN(mode))
            snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
                     vr_mode_name(mode));
    }
    return buf;
}

/* For each of the keys, and the types that know it. */
static void each_key(void (*visit)(const char *type, const struct vr_key *key))
{
    const struct vr_type_spec *spec;
    const struct vr_key *keys;
    unsigned int n = vr_cfg_keys(&keys), i, k;

    for (i = 0; i < n; i++)
        visit("all", &keys[i]);
    for (i = 0; (spec = vr_type_at(i)); i++)
        for (k = 0; k < spec->nkeys; k++)
            visit(spec->name, &spec->keys[k]);
}

static void add_row(const char *type, const struct vr_key *key)
{
    char modes[40];

    add("%-15s %-6s %-15s %-9s %s\n", key->name, type,
        modes_text(key, modes, sizeof(modes)),
        key->required   ? "required"
        : key->fallback ? key->fallback
                        : "none",
        key->example);
}

static const char *overview(void)
{
    made[0] = '\0';
    add("%-15s %-6s %-15s %-9s %s\n", "key", "types", "modes", "default",
        "example");
    each_key(add_row);
    return made;
}

static void add_words(const char *type, const struct vr_key *key)
{
    (void)type;
    add("\"%s=\"\n\"%s\"\n", key->name, key->example);
    if (key->fallback)
        add("\"%s\"\n", key->fallback);
}

static const char *dictionary(void)
{
    const struct vr_type_spec *spec;
    unsigned int i;

    made[0] = '\0';
    add("# SPDX-License-Identifier: LGPL-2.1-or-later\n"
        "# Made from the tables of keys: test_types dict\n");
    each_key(add_words);
    for (i = 0; (spec = vr_type_at(i)); i++)
        add("\"%s\"\n", spec->name);
    add("\"mixed\"\n\"always\"\n\",\"\n");
    return made;
}

static char *slurp(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    size_t n;

    if (!f)
        fail_msg("%s is not there: run this from the top folder", path);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void test_manual_has_all_keys(void **state)
{
    (void)state;
    if (!strstr(slurp(MANUAL), overview()))
        fail_msg(MANUAL " does not have this:\n%s", made);
}

static void check_described(const char *type, const struct vr_key *key)
{
    char entry[40];

    (void)type;
    snprintf(entry, sizeof(entry), " %s=", key->name);
    if (!strstr(slurp(MANUAL), entry))
        fail_msg(MANUAL " does not describe %s=", key->name);
}

static void test_manual_describes_each(void **state)
{
    (void)state;
    each_key(check_described);
}

static void test_dictionary(void **state)
{
    (void)state;
    if (strcmp(slurp(DICT), dictionary()))
        fail_msg(DICT " is not what test_types dict prints");
}

/* ---- the tables themselves ---- */

static void check_key(const char *type, const struct vr_key *key)
{
    struct vr_err err = {0};
    struct vr_dev_cfg cfg = {0}, same = {0};
    struct vr_parser p = {.cfg = &cfg, .err = &err};
    char text[VR_PATH_LEN + 1];
    const char *why;

    print_message("%s of %s\n", key->name, type);
    assert_non_null(key->parse);
    if (key->fallback) {
        assert_false(key->required);
        assert_int_equal(key->parse(&p, key, key->fallback), 0);
    }
    assert_int_equal(key->parse(&p, key, key->example), 0);
    if (key->modes && key->modes != VR_IN_ALL)
        assert_non_null(key->foreign);
    if (!key->node)
        return;
    /* What is written to xenstore is read there. */
    assert_int_not_equal(key->kind, VR_KEY_OTHER);
    assert_int_equal(
        vr_key_read(key, vr_key_text(key, &cfg, text), &same, &why), 0);
    assert_memory_equal(&cfg, &same, sizeof(cfg));
    memset(text, 'x', VR_PATH_LEN);
    text[VR_PATH_LEN] = '\0';
    assert_int_not_equal(vr_key_read(key, text, &same, &why), 0);
}

static void test_keys(void **state)
{
    (void)state;
    each_key(check_key);
}

static void test_no_key_twice(void **state)
{
    const struct vr_type_spec *spec;
    const struct vr_key *keys;
    unsigned int n = vr_cfg_keys(&keys), i, k, m;

    (void)state;
    for (i = 0; (spec = vr_type_at(i)); i++) {
        assert_true(n + spec->nkeys <= VR_KEYS_MAX);
        for (k = 0; k < spec->nkeys; k++) {
            assert_null(vr_key_find(keys, n, spec->keys[k].name));
            for (m = 0; m < k; m++)
                assert_string_not_equal(spec->keys[k].name, spec->keys[m].name);
        }
    }
}

static void test_types(void **state)
{
    struct vr_dev_cfg cfg = {.queue_size = 128};
    const struct vr_type_spec *spec;
    enum vr_type type;
    uint64_t least;
    unsigned int i;

    (void)state;
    for (i = 0; (spec = vr_type_at(i)); i++) {
        assert_ptr_equal(vr_type_spec(spec->type), spec);
        assert_int_equal(vr_type_parse(spec->name, &type), 0);
        assert_int_equal(type, spec->type);
        assert_string_equal(vr_type_name(type), spec->name);
        cfg.type = spec->type;
        if (spec->begin)
            spec->begin(&cfg);
        least = vr_type_pool_min(&cfg);
        assert_true(least && !(least % VR_PAGE_SIZE));
    }
    assert_true(i > 0);
    cfg.type = (enum vr_type)99;
    assert_int_equal(vr_type_pool_min(&cfg), 0);
    assert_null(vr_type_spec(0));
    assert_null(vr_type_name((enum vr_type)99));
    assert_int_not_equal(vr_type_parse("", &type), 0);
}

/* Two devices about the same thing of one driver domain. */
static void test_clash(void **state)
{
    struct vr_dev_cfg a = {.type = VR_TYPE_block, .target = "/dev/xvdb"};
    struct vr_dev_cfg b = a;
    char about[VR_ABOUT_LEN];

    (void)state;
    assert_true(vr_type_clash(&a, &b));
    a.readonly = true;
    assert_true(vr_type_clash(&a, &b));
    b.readonly = true;
    assert_false(vr_type_clash(&a, &b));
    a.readonly = b.readonly = false;
    strcpy(b.target, "/dev/xvdc");
    assert_false(vr_type_clash(&a, &b));
    /* Of random numbers there are enough for all. */
    b = a;
    a.type = b.type = VR_TYPE_rng;
    assert_false(vr_type_clash(&a, &b));
    assert_string_equal(vr_type_about(&a, about), "target=/dev/xvdb");
    a = b = (struct vr_dev_cfg){.type = VR_TYPE_net, .mac = "00:16:3e:0:0:1"};
    assert_true(vr_type_clash(&a, &b));
    assert_string_equal(vr_type_about(&a, about), "mac=00:16:3e:0:0:1");
    strcpy(b.mac, "00:16:3e:0:0:2");
    assert_false(vr_type_clash(&a, &b));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_clash),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_no_key_twice),
        cmocka_unit_test(test_manual_has_all_keys),
        cmocka_unit_test(test_manual_describes_each),
        cmocka_unit_test(test_dictionary),
    };

    if (argc > 1) {
        fputs(strcmp(argv[1], "dict") ? overview() : dictionary(), stdout);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
