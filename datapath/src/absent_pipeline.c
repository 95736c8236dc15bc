/* absent_pipeline.c: stands in for the pipeline while it is not built in: a
 * datapath then has static flows only.  Weak: replaced by pipeline/. */
#include "pipeline/pipeline.h"

#include "base/base.h"

#define WEAK __attribute__((weak))

WEAK struct pipeline *
pipeline_open(uint32_t dp UNUSED, uint64_t features UNUSED)
{
    return NULL;
}

WEAK void
pipeline_set_features(struct pipeline *p UNUSED, uint64_t features UNUSED)
{
}

WEAK void
pipeline_close(struct pipeline *p UNUSED)
{
}

WEAK struct pipeline_pin
pipeline_pin(const struct pipeline *p UNUSED)
{
    return (struct pipeline_pin) { 0, 0 };
}

WEAK void
pipeline_translate(const struct xlate_in *in UNUSED,
                   struct xlate_out *out UNUSED)
{
}

WEAK void
credits_settle(struct credits *c UNUSED, uint64_t n_packets UNUSED,
               uint64_t n_bytes UNUSED, int64_t used_ms UNUSED,
               uint16_t tcp_flags UNUSED)
{
}

WEAK void
credits_unref(struct credits *c UNUSED)
{
}

WEAK int64_t
pipeline_expire(struct pipeline *p UNUSED, int64_t now_ms UNUSED,
                uint64_t *n_work)
{
    *n_work = 0;
    return INT64_MAX;
}

WEAK int64_t
pipeline_deadline(const struct pipeline *p UNUSED)
{
    return INT64_MAX;
}

WEAK void
pipeline_set_hooks(const struct pipeline_hooks *hooks UNUSED)
{
}
