/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of bells, for the devices' start: broker_bell_NAME for each line of
 * bell.def. */
#include "bell.h"

#define BELL(name) extern const struct bell broker_bell_##name;
#include "libs/proto/bell.def"
#undef BELL

const struct bell *const broker_bells[VR_BELLS] = {
#define BELL(name) [VR_BELL_##name] = &broker_bell_##name,
#include "libs/proto/bell.def"
#undef BELL
};
