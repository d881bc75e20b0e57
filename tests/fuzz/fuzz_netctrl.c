/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands of a network device's control queue, one after the other: a byte
 * says how long the next one is, which is a copy of just that many bytes.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libs/types/net/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAIRS 4u

static void say(struct vr_net_control *c, const uint8_t *data, size_t len)
{
    static const uint8_t mac[6] = {0, 0x16, 0x3e, 1, 2, 3};
    const struct vr_net_control before = *c;
    uint8_t *copy = malloc(len ? len : 1);
    int what;

    assert(copy);
    memcpy(copy, data, len);
    what = vr_net_control(c, copy, len, PAIRS, mac);
    free(copy);
    if (what <= 0)
        assert(!memcmp(&before, c, sizeof(before)));
    assert(!what || what == -EPROTO || what == VR_NET_CTRL_FILTER ||
           what == VR_NET_CTRL_PAIRS);
    assert(c->pairs && c->pairs <= PAIRS);
    assert(c->naddr <= VR_NET_FILTERED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_net_control c;

    vr_net_control_init(&c);
    while (size) {
        size_t len = *data++;

        size--;
        if (len > size)
            len = size;
        say(&c, data, len);
        data += len;
        size -= len;
    }
    return 0;
}
