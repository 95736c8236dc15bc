/* api.c: the parts of the seam (api.h) that belong to no noun of their own. */
#include "api.h"

#include "base/base.h"
#include "base/clock.h"
#include "generated/layout.h"
#include "packet/flow.h"
#include "packet/packet.h"

const char *
dp_error(void)
{
    return error_sentence();
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

int
frame_parse(const uint8_t *frame, uint32_t size, uint32_t in_port,
            uint8_t *flow)
{
    struct packet p;
    struct flow parsed;

    if (size > FRAME_MAX) {
        return error_set(EMSGSIZE, "frame of %u bytes", size);
    }
    packet_init(&p, (uint8_t *) frame, size, 0, in_port);
    flow_extract(&p, &parsed);
    memcpy(flow, &parsed, sizeof parsed);
    return 0;
}

int
frame_compose(const uint8_t *flow, uint32_t payload_size, bool counts,
              uint8_t *frame, uint32_t max, uint32_t *size)
{
    struct flow copy;

    memcpy(&copy, flow, sizeof copy);
    *size = frame_make(&copy, payload_size, counts, frame, max);
    return *size ? 0 : error_set(ENOBUFS, "the frame needs more than %u bytes",
                                 max);
}
