/* api.c: the parts of the seam (api.h) that belong to no noun of their own. */
#include "api.h"

#include "base/base.h"
#include "base/clock.h"
#include "generated/layout.h"

const char *
dp_error(void)
{
    return error_sentence();
}

void
dp_clock(bool steered, int64_t now_ms)
{
    clock_steer(steered, now_ms);
}

int64_t
dp_now(void)
{
    return clock_now();
}

uint64_t
dp_layout(void)
{
    return DP_LAYOUT;
}
