/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * type=block, a disk: its keys, its config space once it has a driver, and how
 * it is shown. Reached by the table of types alone. Pure.
 */
#include <inttypes.h>
#include <string.h>

#include "libs/types/types.h"
#include "request.h"

/* Both our words and those of xl's disk=. */
static int parse_access(struct vr_parser *p, const struct vr_key *key,
                        const char *value)
{
    if (!strcmp(value, "r"))
        value = "ro";
    else if (!strcmp(value, "w"))
        value = "rw";
    return vr_key_choice(p, key, value);
}

static int parse_discard(struct vr_parser *p, const struct vr_key *key,
                         const char *value)
{
    (void)key;
    p->cfg->discard = !strcmp(value, "1") || !strcmp(value, "on");
    if (!p->cfg->discard && strcmp(value, "0") && strcmp(value, "off"))
        return vr_parse_fail(p,
                             "discard=%s is neither on nor off: use one of "
                             "them, or 1 or 0",
                             vr_shown(value).text);
    return 0;
}

static int parse_serial(struct vr_parser *p, const struct vr_key *key,
                        const char *value)
{
    /* What udev keeps as it is in the name of a link; a slash would make a
     * folder, a blank a second link, and it replaces others. */
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz"
                                  "0123456789#+-.:=@_";

    (void)key;
    if (strlen(value) > VR_SERIAL_LEN || value[0] == '.' ||
        value[strspn(value, allowed)])
        return vr_parse_fail(
            p,
            "serial=%s cannot name the disk in /dev/disk/by-id: use 1 "
            "to %d letters, digits or characters of #+-.:=@_, with no "
            "dot at the beginning",
            vr_shown(value).text, VR_SERIAL_LEN);
    strcpy(p->cfg->serial, value);
    return 0;
}

static const struct vr_key keys[] = {
    {.name = "target",
     .parse = vr_key_path,
     .example = "/dev/xvdb",
     .required = true,
     .kind = VR_KEY_PATH,
     VR_KEY_FIELD(target),
     .node = "target"},
    {.name = "access",
     .parse = parse_access,
     .example = "ro",
     .fallback = "rw",
     .kind = VR_KEY_CHOICE,
     VR_KEY_FIELD(readonly),
     .words = {"rw", "ro"},
     .node = "access"},
    {.name = "queues",
     .parse = vr_key_count,
     .example = "4",
     .fallback = "1",
     .kind = VR_KEY_COUNT,
     VR_KEY_FIELD(queues),
     .min = 1,
     .max = VR_MAX_QUEUES},
    {.name = "serial",
     .parse = parse_serial,
     .example = "data0",
     .kind = VR_KEY_TEXT,
     VR_KEY_FIELD(serial),
     .node = "serial"},
    {.name = "discard",
     .parse = parse_discard,
     .example = "off",
     .fallback = "on",
     .kind = VR_KEY_CHOICE,
     VR_KEY_FIELD(discard),
     .words = {"off", "on"},
     .node = "discard",
     .bits = true},
};

static int check(struct vr_parser *p)
{
    if (p->cfg->readonly && vr_given(p, "discard") && p->cfg->discard)
        return vr_parse_fail(p, "discard=on contradicts access=ro: take one of "
                                "them out");
    if (p->cfg->readonly)
        p->cfg->discard = false;
    return 0;
}

static bool shares(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b)
{
    return a->readonly && b->readonly;
}

/*
 * A guest whose kernel ignores the pool has its rings outside of the window:
 * QueueReady stays 0. Linux does not look at QueueReady after it has written
 * it, nor at DEVICE_NEEDS_RESET in probe, and would wait for ever for the first
 * read of the partition scan. But virtio_blk sets up its queues (init_vq)
 * before it reads the limits from config space, so a block size that cannot be
 * makes the probe fail in the ordinary way: Linux 6.1 checks it itself
 * ("invalid block size: 0x1"), 6.12 leaves it to the block layer ("Invalid
 * logical block size (1)"). Zero would not do: the block layer of 6.12 takes it
 * for 512. All the rest reads as zero, so that a driver that goes on
 * nevertheless finds a disk of no sectors, which Linux does not scan for
 * partitions.
 */
static uint8_t blind(unsigned int off)
{
    const unsigned int blk_size = 20; /* struct virtio_blk_config, 5.2.4 */

    return off == blk_size;
}

/* A disk can only grow: a driver that was told of a smaller one would drop what
 * it has of the rest. */
static bool renew(uint8_t *config, const uint8_t *fresh)
{
    uint64_t capacity = vr_blk_capacity(fresh);

    if (capacity <= vr_blk_capacity(config) || capacity > VR_BLK_CAPACITY_MAX)
        return false;
    memcpy(config, fresh, sizeof(capacity)); /* its first field */
    return true;
}

/* How the backend does its I/O, in its own words. */
static const char *target_io(uint64_t io)
{
    if (io & VR_BLK_IO_OWN)
        return "direct, but not on the guest's pages";
    return io & VR_BLK_IO_DIRECT ? "direct" : "page cache";
}

static void show(const struct vr_seen *seen, const struct vr_show *to)
{
    const struct vr_dev_cfg *c = seen->cfg;
    uint64_t told, has = seen->target_size;
    char size[24];

    to->line(to->ctx, "target", "%s, %s%s", c->target,
             c->readonly ? "read-only" : "read-write",
             c->discard ? ", discard" : "");
    if (!seen->config)
        return;
    told = vr_blk_capacity(seen->config) * VR_BLK_SECTOR;
    to->line(to->ctx, "capacity",
             "%" PRIu64 " sectors (%s), in blocks of %" PRIu32 " bytes",
             told / VR_BLK_SECTOR, vr_format_size(told, size),
             vr_blk_block_size(seen->config));
    if (has > told)
        to->line(to->ctx, "target size",
                 "%" PRIu64 " bytes; the last %" PRIu64 " are cut off", has,
                 has - told);
    else if (has < told)
        to->line(to->ctx, "target size",
                 "%" PRIu64 " bytes: it has shrunk, and I/O on the %" PRIu64
                 " that are missing fails",
                 has, told - has);
    to->line(to->ctx, "target I/O", "%s%s%s", target_io(seen->target_io),
             seen->target_io & VR_BLK_IO_HELD ? ", pool registered" : "",
             seen->target_io & VR_BLK_IO_LOST
                 ? "; a flush has failed, so all later ones do: what the guest "
                   "wrote may be lost"
                 : "");
}

static void json(const struct vr_seen *seen, const struct vr_show *to)
{
    const struct vr_dev_cfg *c = seen->cfg;

    to->text(to->ctx, "target", c->target);
    to->flag(to->ctx, "readonly", c->readonly);
    to->flag(to->ctx, "discard", c->discard);
    to->text(to->ctx, "serial", c->serial);
    if (!seen->config)
        return;
    to->number(to->ctx, "capacity_sectors", vr_blk_capacity(seen->config));
    to->number(to->ctx, "block_size", vr_blk_block_size(seen->config));
    to->number(to->ctx, "target_size", seen->target_size);
    to->text(to->ctx, "target_io", target_io(seen->target_io));
    to->flag(to->ctx, "pool_registered", seen->target_io & VR_BLK_IO_HELD);
    to->flag(to->ctx, "flush_lost", seen->target_io & VR_BLK_IO_LOST);
}

const struct vr_type_spec vr_spec_block = {
    .name = "block",
    .type = VR_TYPE_block,
    .keys = keys,
    .nkeys = VR_ARRAY_SIZE(keys),
    /* Linux bounces every buffer of a request through the pool, beside the
     * rings themselves, and tries again for ever where there is no room: with
     * nothing else under way its longest request, 1280 KiB, has to fit. */
    .size_min = UINT64_C(2) << 20,
    .check = check,
    .shares = shares,
    .remedy = "all access=ro",
    .blind = blind,
    .renew = renew,
    .show = show,
    .json = json,
};
