/* clock.h: the datapath clock in milliseconds: coarse monotonic, or steered by
 * Python.  Any thread; clock_steer() control thread. */
#pragma once

#include "base/base.h"

int64_t clock_now(void);
void clock_steer(bool steered, int64_t now_ms);
uint64_t clock_ns(void);        /* CLOCK_MONOTONIC, for busy and idle time. */
