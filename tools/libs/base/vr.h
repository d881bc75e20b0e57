/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits and small helpers that every part shares. Pure: no Xen calls.
 *
 * Errors: functions return 0 or a negative errno value in `rc`. Where a
 * person will read why, the function also fills a struct vr_err with one line
 * that names the object, the value and the remedy.
 */
#ifndef VR_H
#define VR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VR_PAGE_SHIFT 12
#define VR_PAGE_SIZE  (UINT64_C(1) << VR_PAGE_SHIFT)

/* A device's name in xl.cfg and in xenstore paths: [A-Za-z0-9_-]+ */
#define VR_ID_LEN 31
/* Domain names, as far as this project makes or looks them up. */
#define VR_NAME_LEN 127
#define VR_PATH_LEN 1023
#define VR_UUID_LEN 36 /* textual, lower case, with dashes */
/* virtio-blk's GET_ID answer (virtio 1.2, 5.2.6) */
#define VR_SERIAL_LEN 20

/* Devices of one guest, before the architecture's own limit (Arm: 11). */
#define VR_MAX_DEVICES    16
#define VR_MAX_QUEUES     16
#define VR_MAX_QUEUE_SIZE 256
/* Device config space: Xen's Arm slot is 0x200 bytes, registers take half. */
#define VR_CONFIG_LEN 0x100

/* The user that brokers run as: theirs alone, or whoever shares it could stop
 * them. */
#define VR_USER "virtio-restricted"
#define VR_USER_REMEDY                                                         \
    "run systemd-sysusers, or adduser --system --group "                       \
    "--no-create-home " VR_USER

/* The name of our nodes in xenstore and of our libxl userdata. */
#define VR_NAME "virtio_restricted"

/*
 * A window: device addresses, and the references in the guest's grant table
 * that are tied to them, page by page. Whole pages; @size 0: there is none.
 */
struct vr_gwin {
    uint64_t base;
    uint64_t size;
    uint32_t gref_base; /* gref_base + size / 4096 - 1 is a valid reference */
};

/** vr_gwin_pages() - how many pages, and references, it has. */
static inline uint32_t vr_gwin_pages(const struct vr_gwin *win)
{
    return (uint32_t)(win->size >> VR_PAGE_SHIFT);
}

#define VR_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#if defined(__x86_64__)
#define VR_RELAX "pause"
#else
#define VR_RELAX "yield"
#endif

/** vr_cpu_relax() - for loops that wait for another processor's store. */
static inline void vr_cpu_relax(void)
{
    __asm__ volatile(VR_RELAX ::: "memory");
}

/** vr_now_ms(), vr_now_ns() - a clock that only goes forward. */
uint64_t vr_now_ms(void);
uint64_t vr_now_ns(void);

/* One line for a person: no newline, always terminated. */
struct vr_err {
    char text[1024];
};

/**
 * vr_err_set() - record why something failed.
 * @err: may be NULL, then nothing happens. A longer text is cut.
 */
void vr_err_set(struct vr_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/** vr_err_front() - puts "@what: " in front of what was recorded. */
void vr_err_front(struct vr_err *err, const char *what);

/**
 * vr_parse_u64() - a whole string as an unsigned number.
 * @s: decimal, or hexadecimal behind 0x; no sign, no space, nothing behind.
 * @max: the largest value accepted.
 *
 * For values from xenstore and from config text alike.
 * Returns 0, -EINVAL (not a number) or -ERANGE (above @max).
 */
int vr_parse_u64(const char *s, uint64_t max, uint64_t *out);

/**
 * vr_parse_size() - a size in bytes: a number with an optional K, M or G.
 * Returns 0, -EINVAL or -ERANGE (above 2^63 - 1).
 */
int vr_parse_size(const char *s, uint64_t *out);

/**
 * vr_format_size() - the shortest exact form of a size: "64M", "4097".
 * @buf: at least 24 bytes. Returns @buf.
 */
char *vr_format_size(uint64_t size, char *buf);

/** vr_id_valid() - is @id a well-formed device id (1 to VR_ID_LEN chars)? */
bool vr_id_valid(const char *id);

/** vr_uuid_valid() - is @uuid 36 characters of lower-case UUID text? */
bool vr_uuid_valid(const char *uuid);

/** vr_uuid_format() - 16 bytes as such text; @buf: VR_UUID_LEN + 1. Returns
 * @buf. */
char *vr_uuid_format(const uint8_t *uuid, char *buf);

#endif /* VR_H */
