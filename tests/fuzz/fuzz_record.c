/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A record from a file that somebody else wrote. What the parser accepts must
 * survive being written and read again unchanged. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libs/config/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vr_record rec, again;
    char *json = NULL, *json2 = NULL;
    struct vr_err err = {""};

    if (vr_record_from_json((const char *)data, size, &rec, &err)) {
        if (!err.text[0])
            abort();
        return 0;
    }
    if (vr_record_to_json(&rec, &json) ||
        vr_record_from_json(json, strlen(json), &again, &err) ||
        vr_record_to_json(&again, &json2) || strcmp(json, json2))
        abort();
    free(json);
    free(json2);
    return 0;
}
