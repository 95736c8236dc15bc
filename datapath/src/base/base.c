/* base.c: allocation that cannot fail and the error sentence. */
#include "base/base.h"

#include <stdio.h>

static __thread char sentence[512];

static void *
checked(void *p)
{
    if (!p) {
        fputs("datapath: memory exhausted\n", stderr);
        abort();
    }
    return p;
}

void *
xmalloc(size_t size)
{
    return checked(malloc(size ? size : 1));
}

void *
xcalloc(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size ? size : 1));
}

void *
xzalloc(size_t size)
{
    return xcalloc(1, size);
}

void *
xrealloc(void *p, size_t size)
{
    return checked(realloc(p, size ? size : 1));
}

void *
xmemdup(const void *p, size_t size)
{
    void *copy = xmalloc(size);
    if (size) {
        memcpy(copy, p, size);
    }
    return copy;
}

void *
xaligned_zalloc(size_t alignment, size_t size)
{
    void *p = NULL;
    size = ROUND_UP(size, alignment);
    if (posix_memalign(&p, alignment, size)) {
        p = NULL;
    }
    return memset(checked(p), 0, size);
}

int
error_set(int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return error;
}

const char *
error_sentence(void)
{
    return sentence;
}
