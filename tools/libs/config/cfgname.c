/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words for values of the device string that are words, and back: for who
 * reads and writes them. Pure. */
#include <errno.h>
#include <string.h>

#include "cfg_int.h"

static const char *const mode_name[] = {
    [VR_MODE_STATIC] = "static",
    [VR_MODE_DYNAMIC] = "dynamic",
    [VR_MODE_MIXED] = "mixed",
};

const char *vr_mode_name(enum vr_mode mode)
{
    return (unsigned int)mode < VR_ARRAY_SIZE(mode_name) ? mode_name[mode]
                                                         : NULL;
}

static const char *const pool_in_name[] = {
    [VR_POOL_IN_FIRMWARE] = "firmware",
    [VR_POOL_IN_PROBE] = "probe",
    [VR_POOL_IN_BOTH] = "both",
};

const char *vr_pool_in_name(enum vr_pool_in where)
{
    return (unsigned int)where < VR_ARRAY_SIZE(pool_in_name)
               ? pool_in_name[where]
               : NULL;
}

static const char *const transport_name[] = {
#define TRANSPORT(name) [VR_TRANSPORT_##name] = #name,
#include "libs/types/transport.def"
#undef TRANSPORT
};

const char *vr_transport_name(enum vr_transport transport)
{
    return (unsigned int)transport < VR_ARRAY_SIZE(transport_name)
               ? transport_name[transport]
               : NULL;
}

int vr_transport_parse(const char *s, enum vr_transport *out)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(transport_name); i++) {
        if (!strcmp(s, transport_name[i])) {
            *out = (enum vr_transport)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *vr_window_name(enum vr_window_kind kind)
{
    return mode_name[kind == VR_WINDOW_POOL ? VR_MODE_STATIC : VR_MODE_DYNAMIC];
}

int vr_mode_parse(const char *s, enum vr_mode *out)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(mode_name); i++) {
        if (!strcmp(s, mode_name[i])) {
            *out = (enum vr_mode)i;
            return 0;
        }
    }
    return -EINVAL;
}

int vr_pool_in_parse(const char *s, enum vr_pool_in *out)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(pool_in_name); i++) {
        if (!strcmp(s, pool_in_name[i])) {
            *out = (enum vr_pool_in)i;
            return 0;
        }
    }
    return -EINVAL;
}

char *vr_threshold_text(uint64_t threshold, char *buf)
{
    if (threshold == VR_NEVER_MAP)
        strcpy(buf, "never");
    else if (!threshold)
        strcpy(buf, "always");
    else
        vr_format_size(threshold, buf);
    return buf;
}

int vr_threshold_parse(const char *s, uint64_t *out)
{
    uint64_t v = VR_NEVER_MAP;
    int rc;

    if (!strcmp(s, "always")) {
        v = 0;
    } else if (strcmp(s, "never")) {
        rc = vr_parse_size(s, &v);
        if (rc)
            return rc;
        if (v > SIZE_LIMIT)
            return -ERANGE;
    }
    *out = v;
    return 0;
}
