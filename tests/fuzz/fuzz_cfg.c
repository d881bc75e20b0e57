/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device strings, separated by newlines as the list of one guest. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libs/window/bounds.h"
#include "libs/config/cfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_dev_cfg cfg[VR_MAX_DEVICES];
    char *text = malloc(size + 1), *save = NULL, *line;
    unsigned int n = 0;
    struct vr_err err;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (line = strtok_r(text, "\n", &save); line && n < VR_MAX_DEVICES;
         line = strtok_r(NULL, "\n", &save)) {
        struct vr_dev_cfg *c = &cfg[n];

        err.text[0] = '\0';
        if (vr_cfg_parse(n, line, c, &err)) {
            /* One printable line, always. */
            assert(err.text[0] && !strpbrk(err.text, "\n\r\033"));
            continue;
        }
        assert(vr_id_valid(c->id));
        assert(vr_cfg_window(c) && !(vr_cfg_window(c) % VR_PAGE_SIZE));
        if (vr_cfg_has_pool(c))
            assert(c->size);
        else
            assert(!c->size && !c->has_base);
        if (vr_cfg_has_iova(c)) {
            assert(vr_size_max(c->aperture, c->queues, c->queue_size,
                               c->mode == VR_MODE_MIXED));
            assert(c->revoke_ms >= VR_REVOKE_MS_MIN &&
                   c->revoke_ms <= VR_REVOKE_MS_MAX);
        } else {
            assert(!c->aperture);
        }
        assert(!c->has_base || c->base + c->size > c->base);
        assert(!c->driver[0] != !c->backend[0]);
        assert(c->target[0] == '/' || c->type == VR_TYPE_net);
        if (c->type == VR_TYPE_net)
            assert(c->script[0] == '/' && c->queues == 2 &&
                   c->queue_size >= 64);
        assert(c->queues && c->queues <= VR_MAX_QUEUES);
        assert(c->queue_size && c->queue_size <= VR_MAX_QUEUE_SIZE &&
               !(c->queue_size & (c->queue_size - 1)));
        assert(strlen(c->serial) <= VR_SERIAL_LEN);
        assert(!(c->readonly && c->discard));
        n++;
    }
    vr_cfg_check_all(cfg, n, &err);
    free(text);
    return 0;
}
