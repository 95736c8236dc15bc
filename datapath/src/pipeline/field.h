/* field.h: bits of match fields in a struct flow, by the field table.
 *
 * A field may be wider to actions than what a flow holds of it.  'wc' is the
 * mask of bits that mattered, or NULL.  Any thread; touches only its
 * arguments. */
#pragma once

#include "pipeline/private.h"

unsigned field_bits(const struct field *);
bool field_has_prereq(enum prereq, const struct flow *, struct flow *wc);
void field_mask(const struct field *, const uint8_t *mask, struct flow *wc);
void field_set(const struct field *, const uint8_t *value,
               const uint8_t *mask, struct flow *);
void subfield_mask(const struct subfield *, struct flow *wc);
/* Copies 'src' of 'from' into 'dst' of 'to'. */
void subfield_copy(const struct subfield *src, const struct flow *from,
                   const struct subfield *dst, struct flow *to);
/* 128-bit values, right adjusted in big-endian bytes. */
void subfield_read(const struct subfield *, const struct flow *,
                   uint8_t value[16]);
void subfield_write(const struct subfield *, const uint8_t value[16],
                    struct flow *);
uint64_t subfield_u64(const struct subfield *, const struct flow *);
void subfield_set_u64(const struct subfield *, uint64_t, struct flow *);
