/* pool.h: memory for what there are hundreds of thousands of.
 *
 * Rules, their counters and the nodes of tries come and go by whole tables.
 * Here each takes its own size and nothing more, those that were made together
 * lie together, and to free one is to write a word into it.  Memory is had
 * from the system, and given back, in chunks.
 *
 * Thread rule: control thread. */
#pragma once

#include "base/base.h"

#define POOL_MAX 1024           /* Bytes of an object. */

void *pool_zalloc(size_t);
void pool_free(void *);
