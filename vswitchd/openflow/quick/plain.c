/* plain.c: see plain.h. */

#include "plain.h"
#include "base/base.h"
#include "generated/ops.h"

#define OF10 1
#define OF12 3

#define PORT_MAX 0xff00         /* First of the reserved ones... */
#define PORT_IN 0xfff8          /* ...of which these can be sent to. */
#define PORT_LOCAL 0xfffe
#define PORT_CONTROLLER 0xfffd
#define LAST_TABLE 253

static uint16_t get16(const uint8_t *p) { return be16_to(get_be16(p)); }
static uint32_t get32(const uint8_t *p) { return be32_to(get_be32(p)); }
static void put16(uint8_t *p, uint16_t x) { put_be16(p, be16_from(x)); }
static void put32(uint8_t *p, uint32_t x) { put_be32(p, be32_from(x)); }

/* Sources: marshal's tuple of a tuple per action, (..., kind, number, ...). */

static uint8_t *
put_int(uint8_t *p, char type, uint32_t x)
{
    *p++ = type;
    for (uint32_t i = 0; i < 4; i++) {
        *p++ = x >> 8 * i;
    }
    return p;
}

/* Reads what put_int() wrote. */
static bool
get_int(const uint8_t **p, const uint8_t *end, char type, uint32_t *x)
{
    if (end - *p < 5 || **p != type) {
        return false;
    }
    *x = 0;
    for (uint32_t i = 0; i < 4; i++) {
        *x |= (uint32_t) (*p)[1 + i] << 8 * i;
    }
    *p += 5;
    return true;
}

_Static_assert(sizeof(struct op_output) == 2 * sizeof(uint64_t),
               "room of a program, see struct plain");

struct list {
    struct plain *plain;
    uint8_t *source;            /* Where it goes on. */
    uint32_t n;
    bool has_group;
};

/* Adds an action with 'n' numbers. */
static bool
add(struct list *list, uint16_t code, uint32_t kind, uint32_t a, uint32_t b,
    uint32_t n)
{
    struct plain *plain = list->plain;

    if (list->n == PLAIN_MOST || a > INT32_MAX) {
        return false;
    }
    struct op_output op = {
        .head = { .code = code, .size = sizeof op, .source = list->n++ },
        .port = a, .max_len = b,
    };
    memcpy((uint8_t *) plain->program + plain->program_size, &op, sizeof op);
    plain->program_size += sizeof op;
    uint8_t *p = put_int(list->source, '(', 2 + n);
    *p++ = '.';
    p = put_int(p, 'i', kind);
    p = put_int(p, 'i', a);
    list->source = n > 1 ? put_int(p, 'i', b) : p;
    return true;
}

static bool
add_output(struct list *list, const struct plain_kinds *kinds, uint32_t port,
           uint16_t max_len)
{
    return (port < PORT_MAX || (port >= PORT_IN && port <= PORT_LOCAL))
           && (!max_len || port == PORT_CONTROLLER)
           && add(list, OP_OUTPUT, kinds->output, port, max_len, 2);
}

static bool
read_list(struct list *list, const struct plain_kinds *kinds, uint8_t version,
          const uint8_t *p, uint32_t size)
{
    while (size) {
        uint32_t length = size >= 8 ? get16(p + 2) : 0;
        uint16_t type = length ? get16(p) : UINT16_MAX;
        bool right = false;
        if (length > size) {
            return false;
        }
        if (version <= OF10) {
            right = type == 0 && length == 8
                    && add_output(list, kinds, get16(p + 4), get16(p + 6));
        } else if (type == 0 && length == 16) {
            uint32_t port = get32(p + 4);
            right = (port < PORT_MAX || port >= 0xffffff00)
                    && !get16(p + 10) && !get32(p + 12)
                    && add_output(list, kinds, port & 0xffff, get16(p + 8));
        } else if (type == 22 && length == 8) {
            list->has_group = true;
            right = add(list, OP_GROUP, kinds->group, get32(p + 4), 0, 1);
        }
        if (!right) {
            return false;
        }
        p += length;
        size -= length;
    }
    return true;
}

bool
plain_read(const struct plain_kinds *kinds, uint8_t version, uint8_t table,
           const uint8_t *p, uint32_t size, struct plain *plain)
{
    struct list list = { .plain = plain, .source = plain->source + 5 };

    plain->program_size = plain->source_size = 0;
    if (!size) {
        return true;
    }
    if (version <= OF10) {
        if (!read_list(&list, kinds, version, p, size)) {
            return false;
        }
        size = 0;
    } else if (size >= 16 && get16(p) == 4 && !get32(p + 4)) {
        uint32_t length = get16(p + 2);
        if (length <= 8 || length > size
            || !read_list(&list, kinds, version, p + 8, length - 8)) {
            return false;
        }
        p += length;
        size -= length;
    }
    if (size) {
        if (size != 8 || get16(p) != 1 || get16(p + 2) != 8 || get32(p + 4)
            & 0xffffff || p[4] > LAST_TABLE || p[4] <= table
            || !add(&list, OP_GOTO_TABLE, kinds->goto_table, p[4], 0, 1)) {
            return false;
        }
    }
    put_int(plain->source, '(', list.n);
    plain->source_size = list.source - plain->source;
    return true;
}

bool
plain_read_list(const struct plain_kinds *kinds, uint8_t version,
                const uint8_t *p, uint32_t size, struct plain *plain)
{
    struct list list = { .plain = plain, .source = plain->source + 5 };

    plain->program_size = plain->source_size = 0;
    return read_list(&list, kinds, version, p, size) && !list.has_group;
}

int
plain_write(const struct plain_kinds *kinds, uint8_t version,
            const uint8_t *source, uint32_t source_size, uint8_t *out,
            uint32_t room)
{
    const uint8_t *p = source, *end = source + source_size;
    uint32_t n, size = 0, apply = 0;    /* Size of apply_actions. */
    bool is_over = false;               /* There was a table. */

    if (!source_size) {
        return 0;
    }
    if (!get_int(&p, end, '(', &n) || (version > OF10 && version < OF12)) {
        return -1;
    }
    while (n--) {
        uint32_t length, kind, a, b = 0;
        if (room - size < 24 || is_over || !get_int(&p, end, '(', &length)
            || p == end || *p++ != '.' || !get_int(&p, end, 'i', &kind)
            || !get_int(&p, end, 'i', &a)
            || (length == 4 && !get_int(&p, end, 'i', &b))
            || length != (kind == kinds->output ? 4 : 3)) {
            return -1;
        }
        if (version == OF10) {
            if (kind != kinds->output) {
                return -1;
            }
            put32(out + size, 8);
            put16(out + size + 4, a);
            put16(out + size + 6, b);
            size += 8;
            continue;
        }
        if (kind == kinds->goto_table) {
            put32(out + size, 1 << 16 | 8);
            put32(out + size + 4, a << 24);
            size += 8;
            is_over = true;
            continue;
        }
        if (!size) {
            size = apply = 8;
        }
        if (kind == kinds->output) {
            put32(out + size, 16);
            put32(out + size + 4, a < PORT_MAX ? a : 0xffff0000 | a);
            put32(out + size + 8, b << 16);
            put32(out + size + 12, 0);
            size += 16;
        } else if (kind == kinds->group) {
            put32(out + size, 22 << 16 | 8);
            put32(out + size + 4, a);
            size += 8;
        } else {
            return -1;
        }
        apply = size;
    }
    if (apply) {
        put32(out, 4 << 16 | apply);
        put32(out + 4, 0);
    }
    return p == end ? (int) size : -1;
}
