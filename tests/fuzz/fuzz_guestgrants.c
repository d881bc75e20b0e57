/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest module's hold on the references of the devices' windows
 * (tools/guest-linux/grants.c), in a kernel whose table is as full, and whose
 * free references are in such an order, as the bytes say. Afterwards each
 * reference has to be in exactly one place: held, if it is a window's and was
 * free, else where it was.
 */
#include "guest/kernel.h"
#include "input.h"

/* ---- the kernel's grant references ---- */

typedef uint32_t grant_ref_t;

struct grant_entry_v1 {
    uint16_t flags, domid;
    uint32_t frame;
};

struct notifier_block {
    int (*notifier_call)(struct notifier_block *, unsigned long, void *);
};

#define PER_FRAME                  (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define FRAMES                     8u
#define REFS                       (FRAMES * PER_FRAME)
#define LIST_END                   UINT_MAX
#define GNTTAB_NR_RESERVED_ENTRIES 8
#define NOTIFY_DONE                0
#define XBT_NIL                    0

enum place { NOWHERE, FREE, ON_A_LIST, CLAIMED, SOMEBODYS };

static struct {
    grant_ref_t next[REFS];
    enum place place[REFS];
    grant_ref_t head, tail;
    bool somebodys[REFS]; /* it was, at some time */
    unsigned int nfree, frames;
} table;

static void append(grant_ref_t ref)
{
    table.next[ref] = LIST_END;
    if (table.head == LIST_END)
        table.head = ref;
    else
        table.next[table.tail] = ref;
    table.tail = ref;
    table.place[ref] = FREE;
    table.nfree++;
}

static grant_ref_t take_free(void)
{
    grant_ref_t ref = table.head;

    table.head = table.next[ref];
    table.nfree--;
    return ref;
}

static void grow(void)
{
    unsigned int i, n = table.frames++ * PER_FRAME;

    for (i = 0; i < PER_FRAME; i++)
        if (n + i >= GNTTAB_NR_RESERVED_ENTRIES)
            append(n + i);
}

/* A driver of the kernel's takes some, or gives some back. */
static void somebody(void)
{
    unsigned int n = eat(1) % 32, i;

    if (eat(1) % 4)
        return;
    for (; n && table.nfree; n--) {
        grant_ref_t ref = take_free();

        table.place[ref] = SOMEBODYS;
        table.somebodys[ref] = true;
    }
    for (i = eat(2) % REFS; n; i = (i + 7) % REFS, n--)
        if (table.place[i] == SOMEBODYS)
            append(i);
}

static int gnttab_alloc_grant_references(uint16_t n, grant_ref_t *head)
{
    somebody();
    if (table.nfree < n &&
        table.frames + DIV_ROUND_UP(n - table.nfree, PER_FRAME) > FRAMES)
        return -ENOSPC;
    while (table.nfree < n)
        grow();
    for (*head = LIST_END; n; n--) {
        grant_ref_t ref = take_free();

        table.place[ref] = ON_A_LIST;
        table.next[ref] = *head;
        *head = ref;
    }
    return 0;
}

static int gnttab_empty_grant_references(const grant_ref_t *head)
{
    return *head == LIST_END;
}

static int gnttab_claim_grant_reference(grant_ref_t *head)
{
    grant_ref_t ref = *head;

    if (ref == LIST_END)
        return -ENOSPC;
    REQUIRE(table.place[ref] == ON_A_LIST, "claims what is on no list");
    *head = table.next[ref];
    table.place[ref] = CLAIMED;
    return ref;
}

static void gnttab_release_grant_reference(grant_ref_t *head, grant_ref_t ref)
{
    REQUIRE(table.place[ref] == CLAIMED, "releases what it has not");
    table.next[ref] = *head;
    table.place[ref] = ON_A_LIST;
    *head = ref;
}

static void gnttab_free_grant_references(grant_ref_t head)
{
    while (head != LIST_END) {
        grant_ref_t next = table.next[head];

        REQUIRE(table.place[head] == ON_A_LIST, "gives back what it has not");
        append(head);
        head = next;
    }
}

static unsigned int gnttab_max_grant_frames(void)
{
    return FRAMES;
}

/* ---- xenstore ---- */

static unsigned int gref[2];

static char *kasprintf(gfp_t gfp, const char *fmt, const char *arg)
{
    char *s = malloc(strlen(fmt) + strlen(arg));

    (void)gfp;
    sprintf(s, fmt, arg);
    return s;
}

static unsigned int xenbus_read_unsigned(const char *dir, const char *node,
                                         unsigned int none)
{
    unsigned int value = gref[strcmp(node, "pool-gref") != 0];

    return strstr(dir, "disk0") ? value : none;
}

static char **xenbus_directory(int t, const char *dir, const char *node,
                               unsigned int *n)
{
    char **names = malloc(2 * sizeof(*names));

    (void)t;
    (void)dir;
    (void)node;
    names[0] = "disk0";
    names[1] = "other";
    *n = 2;
    return names;
}

#define xen_domain()                     true
#define xen_has_pv_devices()             true
#define register_xenstore_notifier(nb)   ((void)(nb))
#define unregister_xenstore_notifier(nb) ((void)(nb))

#define CONFIG_XEN
#include "../../tools/guest-linux/grants.c"

/* ---- the test ---- */

static void check(unsigned int first)
{
    unsigned int i, held = 0, on_lists = 0;
    grant_ref_t ref;

    for (ref = vr_n_held ? vr_held : LIST_END; ref != LIST_END;
         ref = table.next[ref]) {
        REQUIRE(ref >= first, "holds what is no window's");
        held++;
    }
    REQUIRE(held == vr_n_held, "has lost count");
    for (i = 0; i < REFS; i++) {
        on_lists += table.place[i] == ON_A_LIST;
        REQUIRE(table.place[i] != CLAIMED, "has lost one");
        REQUIRE(!vr_n_held || i < first || table.place[i] != FREE ||
                    table.somebodys[i],
                "a window's reference is free");
    }
    REQUIRE(on_lists == held, "has lost some");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int i, first;

    in = data;
    left = size;
    memset(&table, 0, sizeof(table));
    table.head = LIST_END;
    vr_held = 0;
    vr_n_held = 0;
    for (i = eat(1) % (FRAMES + 1); i; i--)
        grow();
    gref[0] = eat(2) % (REFS + 64);
    gref[1] = gref[0] + eat(2);
    if (eat(1) & 1)
        gref[0] = UINT_MAX;
    first = min(gref[0], gref[1]);
    /* What drivers have done until now: an order like any other. */
    for (i = eat(1); i; i--)
        somebody();
    memset(table.somebodys, 0, sizeof(table.somebodys));
    for (i = 0; i < REFS; i++)
        table.somebodys[i] = table.place[i] == SOMEBODYS;
    vr_grants_init();
    vr_xenstore_ready(NULL, 0, NULL);
    check(first);
    i = vr_n_held;
    vr_xenstore_ready(NULL, 0, NULL); /* xenstored was started again */
    REQUIRE(!i || i == vr_n_held, "holds them twice");
    check(first);
    vr_grants_exit();
    for (i = 0; i < REFS; i++)
        REQUIRE(table.place[i] != ON_A_LIST, "keeps some");
    return 0;
}
