/* numbers.h: numbers and addresses as they are written in flows, for shapes.c
 * and for ovs-ofctl's flow.c.
 *
 * One that could be read in another way, such as 010, is none: the codec in
 * Python knows what it is. */

#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum form {
    NUMBER, DECIMAL,            /* The latter without 0x. */
    IPV4, MAC, IPV6,
    SETTER,                     /* As the field behind "->" wants it. */
    PORT, CT_STATE,             /* In flow.c only. */
    N_FORMS
};

static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

static inline int
hex_digit(char c)
{
    return is_digit(c) ? c - '0'
        : c >= 'a' && c <= 'f' ? c - 'a' + 10
        : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* These read a number of their form from 'p' on, at most up to 'end', and
 * return where it ends, NULL if there is none. */

static inline const char *
read_number(const char *p, const char *end, bool hex, uint64_t *number)
{
    const char *start = p;
    uint64_t x = 0;

    if (hex && end - p > 2 && p[0] == '0' && p[1] == 'x') {
        for (p = start += 2; p < end && hex_digit(*p) >= 0; p++) {
            x = x << 4 | hex_digit(*p);
        }
        *number = x;
        return p > start && p - start <= 16 ? p : NULL;
    }
    for (; p < end && is_digit(*p); p++) {
        x = x * 10 + (*p - '0');
    }
    *number = x;
    return p > start && p - start <= 19 && (*start != '0' || p - start == 1)
        ? p : NULL;
}

static inline const char *
read_ipv4(const char *p, const char *end, uint8_t *bytes)
{
    for (int i = 0; i < 4; i++) {
        uint64_t x;
        if (i && (p == end || *p++ != '.')) {
            return NULL;
        }
        p = read_number(p, end, false, &x);
        if (!p || x > 255) {
            return NULL;
        }
        bytes[i] = x;
    }
    return p;
}

static inline const char *
read_mac(const char *p, const char *end, uint8_t *bytes)
{
    if (end - p < 17) {
        return NULL;
    }
    for (int i = 0; i < 6; i++, p += 3) {
        int high = hex_digit(p[0]), low = hex_digit(p[1]);
        if (high < 0 || low < 0 || (i < 5 && p[2] != ':')) {
            return NULL;
        }
        bytes[i] = high << 4 | low;
    }
    return p - 1;
}

static inline const char *
read_ipv6(const char *p, const char *end, uint8_t *bytes)
{
    char text[40];
    uint32_t n = 0;

    while (p < end && n < sizeof text - 1
           && (hex_digit(*p) >= 0 || *p == ':')) {
        text[n++] = *p++;
    }
    text[n] = '\0';
    return inet_pton(AF_INET6, text, bytes) == 1 ? p : NULL;
}
