/* trace.h: where a translation reports what it does; see schema/flow/trace.py
 * for the kinds.  The sink belongs to the caller of pipeline_translate(). */
#ifndef TRANSLATION_TRACE_H
#define TRANSLATION_TRACE_H 1

#include "api.h"
#include "generated/trace.h"

struct trace_sink {
    struct trace_event *events;
    uint32_t n, max;            /* Events beyond 'max' are only counted. */
};

#endif /* trace.h */
