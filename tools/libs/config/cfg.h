/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One string of `virtio_restricted = [ ... ]`: the description of a device in
 * the style of xl's own device strings ("key=value,key=value"). Pure parser of
 * untrusted text; what can only be judged with the guest's config, the host or
 * the other devices at hand is checked by vr_cfg_check_all() and its callers.
 */
#ifndef VR_CFG_H
#define VR_CFG_H

#include "libs/types/types.h"

/** vr_mode_name() - "static", "dynamic", "mixed"; NULL for a value that is
 * none. */
const char *vr_mode_name(enum vr_mode mode);
/** vr_pool_in_name() - "firmware", "probe", "both"; NULL for a value that is
 * none. */
const char *vr_pool_in_name(enum vr_pool_in where);
/** vr_transport_name() - "mmio", "pci"; NULL for a value that is none. */
const char *vr_transport_name(enum vr_transport transport);
/** vr_window_name() - "static" for a pool, "dynamic" for the other. */
const char *vr_window_name(enum vr_window_kind kind);
/** vr_mode_parse(), vr_pool_in_parse(), vr_transport_parse() - the reverse.
 * Return 0 or -EINVAL. */
int vr_mode_parse(const char *s, enum vr_mode *out);
int vr_pool_in_parse(const char *s, enum vr_pool_in *out);
int vr_transport_parse(const char *s, enum vr_transport *out);

/**
 * vr_threshold_text() - map_threshold as people write it: "never", "always",
 * "64K". @buf: at least 24 bytes. Returns @buf.
 */
char *vr_threshold_text(uint64_t threshold, char *buf);
/**
 * vr_threshold_parse() - the reverse.
 * Returns 0, -EINVAL (none of these) or -ERANGE (more than any window holds).
 */
int vr_threshold_parse(const char *s, uint64_t *out);

/**
 * vr_cfg_keys() - the keys that every type of device has; those of its own are
 * in its vr_type_spec. Returns how many there are at *@out.
 */
unsigned int vr_cfg_keys(const struct vr_key **out);

/**
 * vr_cfg_parse() - parse one device string.
 * @index: position in the list, for the error text "virtio_restricted[1]: ...".
 * @text: as the user wrote it.
 * @cfg: filled on success, every default set.
 *
 * Unknown, repeated, empty, missing and contradictory keys are errors, those of
 * other types too, and so is an aperture that is too small for the device's
 * queues (bounds.h). Returns 0 or -EINVAL with @err set.
 */
int vr_cfg_parse(unsigned int index, const char *text, struct vr_dev_cfg *cfg,
                 struct vr_err *err);

/**
 * vr_cfg_check_all() - what the devices of one guest must not do together.
 *
 * Same id twice, same target of one driver domain twice (unless all are
 * read-only), explicit pools that overlap.
 * Returns 0 or -EINVAL with @err set.
 */
int vr_cfg_check_all(const struct vr_dev_cfg *cfg, unsigned int n,
                     struct vr_err *err);

#endif /* VR_CFG_H */
