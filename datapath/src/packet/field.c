/* field.c: the table of match fields. */
#include "generated/fields.h"
#include "packet/packet.h"

const struct field fields[N_FIELDS] = { FIELD_ROWS };
