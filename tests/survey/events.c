/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads lines of a trace; see events.h. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

#define COMM_WIDTH 16 /* a task's name is padded to this: it cannot mislead */

static const char *const kinds[SV_KINDS] = {
    [SV_MAP] = "map",       [SV_UNMAP] = "unmap",     [SV_SG] = "sg",
    [SV_SGMORE] = "sgmore", [SV_UNSG] = "unsg",       [SV_FAIL] = "fail",
    [SV_ALLOC] = "alloc",   [SV_FREE] = "free",       [SV_IOMAP] = "iomap",
    [SV_BOUNCE] = "bounce", [SV_IOUNMAP] = "iounmap", [SV_MARK] = "mark",
};

const char *sv_kind_name(enum sv_kind kind)
{
    return kinds[kind];
}

const char *sv_dir_name(enum sv_dir dir)
{
    static const char *const names[] = {"-", "out", "in", "both"};

    return names[dir];
}

/* The digits at *at, in this base; *at goes behind them. */
static bool number(const char **at, int base, uint64_t *value_r)
{
    char *end;

    if (!isxdigit((unsigned char)**at))
        return false;
    errno = 0;
    *value_r = strtoull(*at, &end, base);
    if (errno || end == *at)
        return false;
    *at = end;
    return true;
}

/* The number behind the first "KEY" of the text; key ends in '='. */
static bool field(const char *text, const char *key, int base,
                  uint64_t *value_r)
{
    const char *at = strstr(text, key);

    if (!at)
        return false;
    at += strlen(key);
    return number(&at, base, value_r);
}

/* Where the list behind "KEY" begins, or NULL. */
static const char *list(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    if (!at || at[strlen(key)] != '{')
        return NULL;
    return at + strlen(key) + 1;
}

/* The next number of a list; false at its end. */
static bool next(const char **at, uint64_t *value_r)
{
    if (**at == ',')
        (*at)++;
    return number(at, 16, value_r);
}

static bool direction(const char *text, enum sv_dir *dir_r)
{
    static const struct {
        const char *word;
        enum sv_dir dir;
    } words[] = {{"dir=TO_DEVICE ", SV_TO_DEVICE},
                 {"dir=FROM_DEVICE ", SV_FROM_DEVICE},
                 {"dir=BIDIRECTIONAL ", SV_BOTH},
                 {"dir=NONE ", SV_NONE}};
    size_t i;

    for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (!strstr(text, words[i].word))
            continue;
        *dir_r = words[i].dir;
        return true;
    }
    return false;
}

/* "nents=128/768 ents=128/768 [TRUNCATED] dma_addrs={...} sizes={...}
 * phys_addrs={...}". With an IOMMU there may be fewer addresses for the device
 * than pieces in memory; the piece's address is then that of the first. */
static int scatter(const char *text, struct sv_event *ev, sv_emit_fn *emit,
                   void *arg)
{
    const char *dma = list(text, "dma_addrs="), *size = list(text, "sizes="),
               *phys = list(text, "phys_addrs="), *ents;
    uint64_t shown, full;
    int n = 0;

    ents = strstr(text, " ents=");
    if (!dma || !size || !phys || !ents || !direction(text, &ev->dir))
        return -1;
    ents += strlen(" ents=");
    if (!number(&ents, 10, &shown) || *ents++ != '/' ||
        !number(&ents, 10, &full) || full < shown)
        return -1;
    ev->kind = SV_SG;
    while (next(&dma, &ev->dma)) {
        if (!next(&size, &ev->size))
            return -1;
        if (!next(&phys, &ev->phys))
            ev->phys = 0;
        emit(ev, arg);
        n++;
    }
    if (*dma != '}')
        return -1;
    if (full > shown) {
        ev->kind = SV_SGMORE;
        ev->dma = ev->phys = 0;
        ev->size = full - shown;
        emit(ev, arg);
        n++;
    }
    return n;
}

static int unscatter(const char *text, struct sv_event *ev, sv_emit_fn *emit,
                     void *arg)
{
    const char *phys = list(text, "phys_addrs=");
    int n = 0;

    if (!phys || !direction(text, &ev->dir))
        return -1;
    ev->kind = SV_UNSG;
    while (next(&phys, &ev->phys)) {
        emit(ev, arg);
        n++;
    }
    return *phys == '}' ? n : -1;
}

/* The events with one piece each. */
static const struct {
    const char *name;
    enum sv_kind kind;
    const char *dma, *phys; /* keys; NULL: there is none */
    bool dir;
} plain[] = {
    {"dma_map_page", SV_MAP, "dma_addr=", "phys_addr=", true},
    {"dma_map_resource", SV_MAP, "dma_addr=", "phys_addr=", true},
    {"dma_unmap_page", SV_UNMAP, "dma_addr=", NULL, true},
    {"dma_unmap_resource", SV_UNMAP, "dma_addr=", NULL, true},
    {"dma_alloc", SV_ALLOC, "dma_addr=", NULL, true},
    {"dma_alloc_pages", SV_ALLOC, "dma_addr=", NULL, true},
    {"dma_free", SV_FREE, "dma_addr=", NULL, true},
    {"dma_free_pages", SV_FREE, "dma_addr=", NULL, true},
    {"map", SV_IOMAP, "iova=", "paddr=", false},
    {"unmap", SV_IOUNMAP, "iova=", NULL, false},
    {"swiotlb_bounced", SV_BOUNCE, "dev_addr=", NULL, false},
};

static int one(size_t i, const char *text, struct sv_event *ev,
               sv_emit_fn *emit, void *arg)
{
    ev->kind = plain[i].kind;
    if (!field(text, plain[i].dma, 16, &ev->dma) ||
        !field(text, " size=", 10, &ev->size) ||
        (plain[i].phys && !field(text, plain[i].phys, 16, &ev->phys)) ||
        (plain[i].dir && !direction(text, &ev->dir)))
        return -1;
    emit(ev, arg);
    return 1;
}

/* "            task-123     [000] d..1.    12.345678: event: text". The texts
 * of event and time go to *event_r and *us_r. */
static const char *head(const char *line, const char **event_r,
                        size_t *length_r, uint64_t *us_r)
{
    uint64_t seconds, us;
    const char *at;

    if (strnlen(line, COMM_WIDTH + 1) <= COMM_WIDTH || line[COMM_WIDTH] != '-')
        return NULL;
    at = strstr(line + COMM_WIDTH, "] ");
    if (!at)
        return NULL;
    at += 2 + strcspn(at + 2, " "); /* flags */
    at += strspn(at, " ");
    if (!number(&at, 10, &seconds) || *at++ != '.' || !number(&at, 10, &us) ||
        us > 999999 || seconds > UINT64_MAX / 1000000 - 1)
        return NULL;
    if (strncmp(at, ": ", 2))
        return NULL;
    at += 2;
    *event_r = at;
    *length_r = strcspn(at, ":");
    *us_r = seconds * 1000000 + us;
    at += *length_r;
    return *at ? at + 1 + strspn(at + 1, " ") : NULL;
}

int sv_parse(const char *line, sv_emit_fn *emit, void *arg)
{
    struct sv_event ev = {0};
    const char *event, *text;
    size_t length, i;

    text = head(line, &event, &length, &ev.us);
    if (!text)
        return 0;
#define IS(s) (length == strlen(s) && !memcmp(event, s, length))
    if (IS("dma_map_sg"))
        return scatter(text, &ev, emit, arg);
    if (IS("dma_unmap_sg"))
        return unscatter(text, &ev, emit, arg);
    if (IS("tracing_mark_write") || IS("dma_map_sg_err")) {
        ev.kind = IS("dma_map_sg_err") ? SV_FAIL : SV_MARK;
        if (ev.kind == SV_MARK)
            strncpy(ev.text, text, sizeof(ev.text) - 1);
        emit(&ev, arg);
        return 1;
    }
    for (i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        if (IS(plain[i].name))
            return one(i, text, &ev, emit, arg);
    }
#undef IS
    return 0;
}
