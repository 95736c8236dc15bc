/* pool.c: objects of the pool are zeroed, keep what is written to them, and do
 * not lie upon each other, in whatever order they come and go; what is left
 * of their memory when all are gone is little.  Argument: a seed. */
#include <stdio.h>
#include <unistd.h>

#include "base/pool.h"

#define N 200000

static struct { uint8_t *p; uint32_t size; } objects[N];

static long
resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size = 0, pages = 0;

    if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2) {
        abort();
    }
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static void
check(uint32_t i, uint8_t expected)
{
    for (uint32_t at = 0; at < objects[i].size; at++) {
        if (objects[i].p[at] != expected) {
            fprintf(stderr, "object %u of %u bytes: %u at %u\n", i,
                    objects[i].size, objects[i].p[at], at);
            abort();
        }
    }
}

static void
drop(uint32_t i)
{
    check(i, i % 251 + 1);
    pool_free(objects[i].p);
    objects[i].p = NULL;
}

int
main(int argc, char **argv)
{
    uint32_t random = argc > 1 ? atoi(argv[1]) : 1;

    memset(objects, 0, sizeof objects);
    pool_free(NULL);
    long before = resident();
    for (uint32_t round = 0; round < 5 * N; round++) {
        random = random * 1664525 + 1013904223;
        uint32_t i = (random >> 8) % N;
        if (objects[i].p) {
            drop(i);
            continue;
        }
        objects[i].size = (random >> 4) % 3 ? 32 + i % 4 * 16 : i % POOL_MAX;
        objects[i].p = pool_zalloc(objects[i].size);
        check(i, 0);
        memset(objects[i].p, i % 251 + 1, objects[i].size);
    }
    for (uint32_t i = 0; i < N; i++) {
        if (objects[i].p) {
            drop(i);
        }
    }
    printf("%ld kB, %ld kB\n", before, resident());
    return 0;
}
