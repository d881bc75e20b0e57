/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of a trace, as the survey's recorder reads them: each event that comes
 * out is one that there is, and no more of them than there are characters. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/survey/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int seen;

static void look(const struct sv_event *ev, void *arg)
{
    (void)arg;
    seen++;
    if (!sv_kind_name(ev->kind) || !sv_dir_name(ev->dir) ||
        !memchr(ev->text, 0, sizeof(ev->text)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1);
    int n;

    if (!line)
        return 0;
    memcpy(line, data, size);
    line[size] = '\0';
    seen = 0;
    n = sv_parse(line, look, NULL);
    if (n > (int)size || (n >= 0 && n != seen))
        abort();
    free(line);
    return 0;
}
