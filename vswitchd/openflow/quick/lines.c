/* lines.c: the module `_lines`, which writes flow statistics as the lines of
 * dump-flows; lines.py calls it.
 *
 * It knows the common fields and actions.  At an entry with anything else,
 * or with anything wrong, it stops: the codec in Python says what that one
 * is.  So it never refuses, and it writes what that codec would write.
 *
 * Matches are read by the rows of generated/lines.h, which generate.py makes
 * of the field table, and written in the order of text.py. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <arpa/inet.h>
#include <stdio.h>
#include "reading.h"
#include "generated/lines.h"

enum {
    NICIRA,                     /* What entries look like: Nicira's... */
    OF13 = 4, OF14, OF15,       /* ...or those of a version. */
    MAX_GOTO = 253,
    PORT_MAX = 0xff00,          /* First of the reserved ones. */
    PORT_IN = 0xfff8,
    PORT_CONTROLLER = 0xfffd,
    PORT_LOCAL = 0xfffe,
    PRIORITY_DEFAULT = 0x8000,
    NX_VENDOR = 0x2320,
};

#define COUNTER_NONE UINT64_MAX

/* ---- Text ---- */

struct text {
    char *start;
    size_t size, room;
};

/* Room for 'n' more characters. */
static char *
text_room(struct text *t, size_t n)
{
    if (UNLIKELY(t->room - t->size < n)) {
        t->room = t->room * 2 + n;
        t->start = realloc(t->start, t->room);
        if (!t->start) {
            abort();
        }
    }
    return t->start + t->size;
}

static void
put(struct text *t, const char *s, size_t n)
{
    memcpy(text_room(t, n), s, n);
    t->size += n;
}

static void put_string(struct text *t, const char *s) { put(t, s, strlen(s)); }

static void
put_char(struct text *t, char c)
{
    *text_room(t, 1) = c;
    t->size++;
}

static void
put_decimal(struct text *t, uint64_t x)
{
    char digits[20], *p = digits + sizeof digits;

    do {
        *--p = '0' + x % 10;
        x /= 10;
    } while (x);
    put(t, p, digits + sizeof digits - p);
}

/* At least 'least' digits. */
static void
put_digits16(struct text *t, uint64_t x, int least)
{
    char digits[16], *p = digits + sizeof digits;

    do {
        *--p = "0123456789abcdef"[x & 15];
        x >>= 4;
        least--;
    } while (x || least > 0);
    put(t, p, digits + sizeof digits - p);
}

static void
put_0x(struct text *t, uint64_t x, int least)
{
    put(t, "0x", 2);
    put_digits16(t, x, least);
}

/* As C's %#x. */
static void
put_hex(struct text *t, uint64_t x)
{
    if (x) {
        put_0x(t, x, 1);
    } else {
        put_char(t, '0');
    }
}

static void
put_mac(struct text *t, const uint8_t *mac)
{
    char *p = text_room(t, 18);

    for (int i = 0; i < 6; i++) {
        *p++ = "0123456789abcdef"[mac[i] >> 4];
        *p++ = "0123456789abcdef"[mac[i] & 15];
        *p++ = ':';
    }
    t->size += 17;
}

static void
put_ip(struct text *t, const uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        if (i) {
            put_char(t, '.');
        }
        put_decimal(t, ip[i]);
    }
}

static void
put_ip6(struct text *t, const uint8_t *ip)
{
    char *p = text_room(t, INET6_ADDRSTRLEN);

    inet_ntop(AF_INET6, ip, p, INET6_ADDRSTRLEN);
    t->size += strlen(p);
}

/* Length of a prefix of ones with only zeros behind it, else -1. */
static int
prefix_length(const uint8_t *mask, uint32_t size)
{
    uint32_t n = 0;

    while (n < size * 8 && mask[n / 8] & 0x80 >> n % 8) {
        n++;
    }
    for (uint32_t i = n; i < size * 8; i++) {
        if (mask[i / 8] & 0x80 >> i % 8) {
            return -1;
        }
    }
    return n;
}

static void
put_masked_address(struct text *t, const uint8_t *value, const uint8_t *mask,
                   uint32_t size)
{
    void (*put_address)(struct text *, const uint8_t *)
        = size == 4 ? put_ip : put_ip6;
    int length = prefix_length(mask, size);

    put_address(t, value);
    if (length == (int) size * 8) {
        return;
    }
    put_char(t, '/');
    if (length < 0) {
        put_address(t, mask);
    } else {
        put_decimal(t, length);
    }
}

static void
put_flags(struct text *t, const struct flag *flags, uint32_t n, uint32_t value,
          uint32_t mask, uint32_t most)
{
    bool is_first = true;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t bit = flags[i].bit;
        if (mask == most && value & bit) {
            put(t, "|", !is_first);
            put_string(t, flags[i].name);
            is_first = false;
        } else if (mask != most && mask & bit) {
            put_char(t, value & bit ? '+' : '-');
            put_string(t, flags[i].name);
        }
    }
    if (mask == most && is_first) {
        put_char(t, '0');
    }
}

/* ---- What is written, and how ---- */

struct lines {
    struct text text;
    int kind;                   /* NICIRA or a version. */
    bool has_stats, has_ages;
    PyObject *ports;            /* {number: bytes}, or NULL. */
    PyObject *tables, *quoted_tables;   /* The same; in actions. */
    PyObject *actions;          /* {bytes: text as bytes} that were learned,
                                 * or NULL. */
    const char *before, *after; /* What stands around each entry. */
};

/* Writes what a number is called; false if it is not called anything. */
static bool
put_name(struct text *t, PyObject *names, uint32_t number)
{
    if (!names) {
        return false;
    }
    PyObject *key = PyLong_FromUnsignedLong(number);
    PyObject *name = key ? PyDict_GetItemWithError(names, key) : NULL;

    Py_XDECREF(key);
    if (!name || !PyBytes_Check(name)) {
        return false;           /* A number serves; errors are seen later. */
    }
    put(t, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name));
    return true;
}

static void
put_port(struct lines *l, uint16_t port)
{
    for (uint32_t i = 0; i < N_ELEMENTS(reserved_ports); i++) {
        if (reserved_ports[i].bit == port) {
            put_string(&l->text, reserved_ports[i].name);
            return;
        }
    }
    if (!put_name(&l->text, l->ports, port)) {
        put_decimal(&l->text, port);
    }
}

static void
put_table(struct lines *l, uint8_t table, PyObject *names)
{
    if (!put_name(&l->text, names, table)) {
        put_decimal(&l->text, table);
    }
}

/* ---- Matches ---- */

/* Puts the name of a member of the match, with a comma behind whatever stands
 * in front of it. */
static void
put_key(struct text *t, size_t start, const char *name)
{
    put(t, ",", t->size != start);
    put_string(t, name);
}

struct writer {
    struct text *t;
    size_t start;               /* Where the match begins. */
    const struct match *match;
};

#define VALUE(W, MEMBER) ((const uint8_t *) &(W)->match->value.MEMBER)
#define MASK(W, MEMBER) ((const uint8_t *) &(W)->match->mask.MEMBER)
#define SIZE(W, MEMBER) sizeof (W)->match->value.MEMBER
#define HAS(W, MEMBER) (!is_zero(MASK(W, MEMBER), SIZE(W, MEMBER)))

static uint64_t
ones(uint32_t size)
{
    return size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

enum style { HEX, DECIMAL };    /* Of a number that is matched whole. */

static void
add_number(const struct writer *w, const char *name, const uint8_t *value,
           const uint8_t *mask, uint32_t size, enum style style)
{
    uint64_t v = read_number(value, size), m = read_number(mask, size);

    if (!m) {
        return;
    }
    put_key(w->t, w->start, name);
    put_char(w->t, '=');
    if (style == HEX) {
        put_hex(w->t, v);
    } else if (m == ones(size)) {
        put_decimal(w->t, v);
    } else {
        put_0x(w->t, v, 1);
    }
    if (m != ones(size)) {
        put_char(w->t, '/');
        put_0x(w->t, m, 1);
    }
}

#define ADD_NUMBER(W, NAME, MEMBER, STYLE) \
    add_number(W, NAME, VALUE(W, MEMBER), MASK(W, MEMBER), SIZE(W, MEMBER), \
               STYLE)

/* A number of which only the value is shown. */
static void
add_value(const struct writer *w, const char *name, uint64_t value,
          uint64_t mask)
{
    if (mask) {
        put_key(w->t, w->start, name);
        put_char(w->t, '=');
        put_decimal(w->t, value);
    }
}

static void
add_address(const struct writer *w, const char *name, const uint8_t *value,
            const uint8_t *mask, uint32_t size)
{
    if (is_zero(mask, size)) {
        return;
    }
    put_key(w->t, w->start, name);
    put_char(w->t, '=');
    put_masked_address(w->t, value, mask, size);
}

#define ADD_ADDRESS(W, NAME, MEMBER) \
    add_address(W, NAME, VALUE(W, MEMBER), MASK(W, MEMBER), SIZE(W, MEMBER))

static void
add_mac(const struct writer *w, const char *name, const uint8_t *value,
        const uint8_t *mask)
{
    if (is_zero(mask, 6)) {
        return;
    }
    put_key(w->t, w->start, name);
    put_char(w->t, '=');
    put_mac(w->t, value);
    if (prefix_length(mask, 6) != 48) {
        put_char(w->t, '/');
        put_mac(w->t, mask);
    }
}

/* 128 bits as one number. */
static void
put_wide(struct text *t, const uint8_t *p)
{
    uint64_t high = read_number(p, 8), low = read_number(p + 8, 8);

    if (!high) {
        put_hex(t, low);
        return;
    }
    put_0x(t, high, 1);
    put_digits16(t, low, 16);
}

static void
add_ct(const struct writer *w)
{
    const struct flow *value = &w->match->value, *mask = &w->match->mask;

    if (mask->ct_state) {
        put_key(w->t, w->start, "ct_state=");
        put_flags(w->t, ct_flags, N_ELEMENTS(ct_flags),
                  be32_to(value->ct_state), be32_to(mask->ct_state), 0xff);
    }
    ADD_NUMBER(w, "ct_zone", ct_zone, DECIMAL);
    ADD_NUMBER(w, "ct_mark", ct_mark, HEX);
    if (HAS(w, ct_label)) {
        put_key(w->t, w->start, "ct_label=");
        put_wide(w->t, VALUE(w, ct_label));
        if (prefix_length(MASK(w, ct_label), 16) != 128) {
            put_char(w->t, '/');
            put_wide(w->t, MASK(w, ct_label));
        }
    }
}

static void
add_vlan(const struct writer *w)
{
    uint16_t tci = be16_to(w->match->value.vlan0_tci);
    uint16_t mask = be16_to(w->match->mask.vlan0_tci);
    uint16_t vid = mask & 0xfff, pcp = mask & 0xe000;

    if (!mask) {
        return;
    }
    if (mask & tci & 0x1000 && (!vid || vid == 0xfff)
        && (!pcp || pcp == 0xe000) && (vid || pcp)) {
        add_value(w, "dl_vlan", tci & 0xfff, vid);
        add_value(w, "dl_vlan_pcp", tci >> 13, pcp);
        return;
    }
    put_key(w->t, w->start, "vlan_tci=");
    put_0x(w->t, tci, 4);
    if (mask != 0xffff) {
        put_char(w->t, '/');
        put_0x(w->t, mask, 4);
    }
}

/* What the ethertype and the protocol are called together, NULL if nothing;
 * 'has_proto' becomes false if that says the protocol, too. */
static const char *
layer_name(uint16_t type, uint8_t proto, bool *has_proto)
{
    static const struct {
        uint8_t proto;
        const char *ip, *ip6;
    } rows[] = {
        { 6, "tcp", "tcp6" }, { 17, "udp", "udp6" }, { 132, "sctp", "sctp6" },
        { 1, "icmp", NULL }, { 58, NULL, "icmp6" },
    };

    switch (type) {
    case 0x0800:
    case 0x86dd:
        for (uint32_t i = 0; *has_proto && i < N_ELEMENTS(rows); i++) {
            const char *name = type == 0x0800 ? rows[i].ip : rows[i].ip6;
            if (rows[i].proto == proto && name) {
                *has_proto = false;
                return name;
            }
        }
        return type == 0x0800 ? "ip" : "ipv6";
    case 0x0806:
        return "arp";
    case 0x8035:
        return "rarp";
    case 0x8847:
        return "mpls";
    case 0x8848:
        return "mplsm";
    default:
        return NULL;
    }
}

static const char *
fragment_name(uint8_t value, uint8_t mask)
{
    switch (value << 4 | mask) {
    case 0x03:
        return "no";
    case 0x11:
        return "yes";
    case 0x13:
        return "first";
    case 0x33:
        return "later";
    case 0x02:
        return "not_later";
    default:
        return NULL;
    }
}

static bool
add_l3(const struct writer *w, uint16_t type, bool has_proto)
{
    const struct flow *value = &w->match->value, *mask = &w->match->mask;
    bool is_arp = type == 0x0806 || type == 0x8035;

    if (type == 0x86dd) {
        ADD_ADDRESS(w, "ipv6_src", ipv6_src);
        ADD_ADDRESS(w, "ipv6_dst", ipv6_dst);
        if (mask->ipv6_label) {
            put_key(w->t, w->start, "ipv6_label=");
            put_0x(w->t, be32_to(value->ipv6_label), 5);
            if (be32_to(mask->ipv6_label) != 0xfffff) {
                put_char(w->t, '/');
                put_0x(w->t, be32_to(mask->ipv6_label), 5);
            }
        }
    } else {
        ADD_ADDRESS(w, is_arp ? "arp_spa" : "nw_src", nw_src);
        ADD_ADDRESS(w, is_arp ? "arp_tpa" : "nw_dst", nw_dst);
    }
    add_value(w, is_arp ? "arp_op" : "nw_proto", value->nw_proto, has_proto);
    if (is_arp) {
        add_mac(w, "arp_sha", value->arp_sha, mask->arp_sha);
        add_mac(w, "arp_tha", value->arp_tha, mask->arp_tha);
    }
    add_value(w, "nw_tos", value->nw_tos & 0xfc, mask->nw_tos & 0xfc);
    add_value(w, "nw_ecn", value->nw_tos & 3, mask->nw_tos & 3);
    add_value(w, "nw_ttl", value->nw_ttl, mask->nw_ttl);
    uint32_t lse = be32_to(value->mpls_lse[0]);
    uint32_t lse_mask = be32_to(mask->mpls_lse[0]);
    add_value(w, "mpls_label", lse >> 12, lse_mask >> 12);
    add_value(w, "mpls_tc", lse >> 9 & 7, lse_mask >> 9 & 7);
    add_value(w, "mpls_bos", lse >> 8 & 1, lse_mask >> 8 & 1);
    if (mask->nw_frag) {
        const char *name = fragment_name(value->nw_frag, mask->nw_frag);
        if (!name) {
            return false;
        }
        put_key(w->t, w->start, "nw_frag=");
        put_string(w->t, name);
    }
    return true;
}

static void
add_l4(const struct writer *w, uint16_t type)
{
    const struct flow *value = &w->match->value, *mask = &w->match->mask;
    uint8_t proto = value->nw_proto;
    bool is_icmp6 = type == 0x86dd && proto == 58;
    bool is_icmp = is_icmp6 || (type == 0x0800 && proto == 1);
    bool is_igmp = type == 0x0800 && proto == 2;

    ADD_NUMBER(w, is_icmp ? "icmp_type" : is_igmp ? "igmp_type" : "tp_src",
               tp_src, DECIMAL);
    ADD_NUMBER(w, is_icmp ? "icmp_code" : is_igmp ? "igmp_code" : "tp_dst",
               tp_dst, DECIMAL);
    if (is_icmp6) {
        ADD_ADDRESS(w, "nd_target", nd_target);
        add_mac(w, "nd_sll", value->arp_sha, mask->arp_sha);
        add_mac(w, "nd_tll", value->arp_tha, mask->arp_tha);
        ADD_NUMBER(w, "nd_reserved", nd_reserved, DECIMAL);
        ADD_NUMBER(w, "nd_options_type", nd_options_type, DECIMAL);
    } else if (mask->tcp_flags) {
        put_key(w->t, w->start, "tcp_flags=");
        put_flags(w->t, tcp_flags, N_ELEMENTS(tcp_flags),
                  be16_to(value->tcp_flags) & 0xfff,
                  be16_to(mask->tcp_flags) & 0xfff, 0xfff);
    }
}

/* False if there is something in it that is not known. */
static bool
put_match(struct lines *l, const struct match *match, uint16_t priority)
{
    const struct flow *value = &match->value, *mask = &match->mask;
    struct writer writer = { &l->text, l->text.size, match }, *w = &writer;
    uint16_t type = be16_to(value->eth_type);
    bool has_proto = mask->nw_proto;
    const char *layer = NULL;

    if (priority != PRIORITY_DEFAULT) {
        add_value(w, "priority", priority, 1);
    }
    ADD_NUMBER(w, "pkt_mark", pkt_mark, HEX);
    ADD_NUMBER(w, "dp_hash", dp_hash, HEX);
    add_value(w, "conj_id", be32_to(value->conj_id), mask->conj_id);
    add_ct(w);
    if (mask->eth_type) {
        layer = layer_name(type, value->nw_proto, &has_proto);
        if (layer) {
            put_key(w->t, w->start, layer);
        }
    }
    if (HAS(w, regs)) {
        for (uint32_t i = 0; i < N_ELEMENTS(value->regs); i++) {
            char name[8];
            snprintf(name, sizeof name, "reg%u", (unsigned) i % 100);
            ADD_NUMBER(w, name, regs[i], HEX);
        }
    }
    ADD_NUMBER(w, "tun_id", tun_id, HEX);
    ADD_ADDRESS(w, "tun_src", tun_src);
    ADD_ADDRESS(w, "tun_dst", tun_dst);
    ADD_ADDRESS(w, "tun_ipv6_src", tun_ipv6_src);
    ADD_ADDRESS(w, "tun_ipv6_dst", tun_ipv6_dst);
    ADD_NUMBER(w, "tun_gbp_id", tun_gbp_id, DECIMAL);
    if (mask->tun_gbp_flags) {
        put_key(w->t, w->start, "tun_gbp_flags=");
        put_hex(w->t, value->tun_gbp_flags);
    }
    ADD_NUMBER(w, "metadata", metadata, HEX);
    if (mask->in_port) {
        put_key(w->t, w->start, "in_port=");
        put_port(l, be32_to(value->in_port));
    }
    add_vlan(w);
    add_mac(w, "dl_src", value->eth_src, mask->eth_src);
    add_mac(w, "dl_dst", value->eth_dst, mask->eth_dst);
    if (mask->eth_type && !layer) {
        put_key(w->t, w->start, "dl_type=");
        put_0x(w->t, type, 4);
    }
    if (!add_l3(w, type, has_proto)) {
        return false;
    }
    add_l4(w, type);
    put(w->t, " ", w->t->size != w->start);
    return true;
}

/* ---- Actions ---- */

static const struct action_field *
action_field_find(uint32_t header)
{
    uint32_t low = 0, high = N_ELEMENTS(action_fields);

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (action_fields[middle].header < header) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < N_ELEMENTS(action_fields)
        && action_fields[low].header == header ? &action_fields[low] : NULL;
}

static bool
put_output(struct lines *l, uint16_t port, uint16_t max_len)
{
    if (port < PORT_MAX) {
        put_string(&l->text, "output:");
    } else if (port < PORT_IN || port > PORT_LOCAL) {
        return false;
    }
    put_port(l, port);
    if (port == PORT_CONTROLLER) {
        put_char(&l->text, ':');
        put_decimal(&l->text, max_len);
    }
    return true;
}

static bool
put_resubmit(struct lines *l, uint16_t port, uint8_t table)
{
    bool has_port = port != PORT_IN;

    put_string(&l->text, "resubmit");
    if (has_port && table == 0xff) {
        put_char(&l->text, ':');
        put_port(l, port);
        return true;
    }
    put_char(&l->text, '(');
    if (has_port) {
        put_port(l, port);
    }
    put_char(&l->text, ',');
    if (table != 0xff) {
        put_table(l, table, l->quoted_tables);
    }
    put_char(&l->text, ')');
    return true;
}

/* The bits [low, low + n) of a field, "[]" for all. */
static void
put_bits(struct lines *l, const struct action_field *f, uint32_t low,
         uint32_t n)
{
    put_string(&l->text, f->nxm_name);
    put_char(&l->text, '[');
    if (n != f->n_bits) {
        put_decimal(&l->text, low);
        if (n > 1) {
            put(&l->text, "..", 2);
            put_decimal(&l->text, low + n - 1);
        }
    }
    put_char(&l->text, ']');
}

static bool
put_load(struct lines *l, const uint8_t *p)
{
    const struct action_field *f = action_field_find(read32(p + 12));
    uint32_t low = read16(p + 10) >> 6, n = (read16(p + 10) & 0x3f) + 1;
    uint64_t value = read_number(p + 16, 8);

    if (!f || !f->is_writable || low + n > f->n_bits
        || (n < 64 && value >> n)) {
        return false;
    }
    put_string(&l->text, "load:");
    put_hex(&l->text, value);
    put_string(&l->text, "->");
    put_bits(l, f, low, n);
    return true;
}

static bool
put_move(struct lines *l, const uint8_t *p)
{
    const struct action_field *src = action_field_find(read32(p + 16));
    const struct action_field *dst = action_field_find(read32(p + 20));
    uint32_t n = read16(p + 10), from = read16(p + 12), to = read16(p + 14);

    if (!src || !dst || !dst->is_writable || !n || from + n > src->n_bits
        || to + n > dst->n_bits) {
        return false;
    }
    put_string(&l->text, "move:");
    put_bits(l, src, from, n);
    put_string(&l->text, "->");
    put_bits(l, dst, to, n);
    return true;
}

/* Connection tracking without what is rare: only a plain nat may be inside. */
static bool
put_ct(struct lines *l, const uint8_t *p, uint32_t size)
{
    enum { COMMIT = 1, HEAD = 24, NAT = 36, NAT_SIZE = 16, NO_TABLE = 0xff };
    uint16_t flags = read16(p + 10), zone = read16(p + 16);
    bool has_nat = size == HEAD + NAT_SIZE && read16(p + HEAD) == 0xffff
        && read16(p + HEAD + 2) == NAT_SIZE
        && read32(p + HEAD + 4) == NX_VENDOR && read16(p + HEAD + 8) == NAT
        && is_zero(p + HEAD + 10, NAT_SIZE - 10);
    const char *comma = "";

    if (flags & ~COMMIT || !is_zero(p + 12, 4) || !is_zero(p + 19, 5)
        || (size != HEAD && !has_nat)) {
        return false;
    }
    put_string(&l->text, "ct(");
    if (flags) {
        put_string(&l->text, "commit");
        comma = ",";
    }
    if (p[18] != NO_TABLE) {
        put_string(&l->text, comma);
        put_string(&l->text, "table=");
        put_table(l, p[18], l->quoted_tables);
        comma = ",";
    }
    if (zone) {
        put_string(&l->text, comma);
        put_string(&l->text, "zone=");
        put_decimal(&l->text, zone);
        comma = ",";
    }
    if (has_nat) {
        put_string(&l->text, comma);
        put_string(&l->text, "nat");
    }
    put_char(&l->text, ')');
    return true;
}

/* set_field of all of a field; its TLV lies at 'p', with 'size' bytes until
 * the action's end. */
static bool
put_set_field(struct lines *l, const uint8_t *p, uint32_t size)
{
    const struct action_field *f = size < 4 ? NULL
        : action_field_find(read32(p));
    uint32_t length = f ? p[3] : 0;

    if (!f || !f->is_writable || f->form == FORM_NONE || size - 4 < length
        || !is_zero(p + 4 + length, size - 4 - length)) {
        return false;
    }
    p += 4;
    put_string(&l->text, "set_field:");
    if (f->form == FORM_MAC) {
        put_mac(&l->text, p);
    } else if (f->form == FORM_IPV4) {
        put_ip(&l->text, p);
    } else if (f->form == FORM_IPV6) {
        put_ip6(&l->text, p);
    } else {
        uint64_t value = read_number(p, length);
        if (value & ~f->allowed) {
            return false;
        }
        if (f->form == FORM_DECIMAL) {
            put_decimal(&l->text, value);
        } else {
            put_hex(&l->text, value);
        }
    }
    put_string(&l->text, "->");
    put_string(&l->text, f->name);
    return true;
}

static bool
put_word(struct lines *l, const char *word, uint64_t number)
{
    put_string(&l->text, word);
    put_decimal(&l->text, number);
    return true;
}

/* An action without anything behind its type. */
static bool
put_alone(struct lines *l, const char *word, const uint8_t *rest,
          uint32_t size)
{
    put_string(&l->text, word);
    return is_zero(rest, size);
}

static bool
put_tunnel(struct lines *l, const char *word, const uint8_t *p, uint32_t size)
{
    put_string(&l->text, word);
    put_hex(&l->text, read_number(p, size));
    return true;
}

static bool
put_nicira_action(struct lines *l, const uint8_t *p, uint32_t size)
{
    if (size < 16 || read32(p + 4) != NX_VENDOR) {
        return false;
    }
    bool is_old = l->kind <= OF14, is_first = l->kind == NICIRA;
    switch (read16(p + 8)) {
    case 2:
        return is_first && size == 16 && is_zero(p + 10, 2)
            && put_tunnel(l, "set_tunnel:", p + 12, 4);
    case 4:
        return is_first && size == 16 && is_zero(p + 10, 2)
            && put_word(l, "set_queue:", read32(p + 12));
    case 6:
        return size == 24 && is_old && put_move(l, p);
    case 9:
        return is_first && size == 24 && is_zero(p + 10, 6)
            && put_tunnel(l, "set_tunnel64:", p + 16, 8);
    case 17:
        return size == 16 && put_alone(l, "exit", p + 10, 6);
    case 18:
        return is_first && size == 16 && put_alone(l, "dec_ttl", p + 10, 6);
    case 35:
        return size >= 24 && put_ct(l, p, size);
    case 43:
        return size == 16 && put_alone(l, "ct_clear", p + 10, 6);
    case 1:
        return size == 16 && put_resubmit(l, read16(p + 10), 0xff);
    case 14:
        return size == 16 && is_zero(p + 13, 3)
            && put_resubmit(l, read16(p + 10), p[12]);
    case 7:
        return size == 24 && is_old && put_load(l, p);
    case 33:
        return is_old && put_set_field(l, p + 10, size - 10);
    default:
        return false;
    }
}

/* An action of OpenFlow 1.0 whose 'size' bytes lie at 'p'. */
static bool
put_action10(struct lines *l, uint16_t type, const uint8_t *p, uint32_t size)
{
    if (type == 4 || type == 5) {
        if (size != 16) {
            return false;
        }
        put_string(&l->text, type == 4 ? "mod_dl_src:" : "mod_dl_dst:");
        put_mac(&l->text, p + 4);
        return true;
    }
    if (type == 11) {
        uint16_t port = read16(p + 4);
        if (size != 16 || port >= PORT_MAX || !is_zero(p + 6, 6)) {
            return false;
        }
        put_word(l, "enqueue:", port);
        return put_word(l, ":", read32(p + 12));
    }
    if (size != 8) {
        return false;
    }
    switch (type) {
    case 0:
        return put_output(l, read16(p + 4), read16(p + 6));
    case 1:
        return read16(p + 4) <= 0xfff
            && put_word(l, "mod_vlan_vid:", read16(p + 4));
    case 2:
        return p[4] <= 7 && put_word(l, "mod_vlan_pcp:", p[4]);
    case 3:
        put_string(&l->text, "strip_vlan");
        return true;
    case 6:
    case 7:
        put_string(&l->text, type == 6 ? "mod_nw_src:" : "mod_nw_dst:");
        put_ip(&l->text, p + 4);
        return true;
    case 8:
        return !(p[4] & 3) && is_zero(p + 5, 3)
            && put_word(l, "mod_nw_tos:", p[4]);
    case 9:
        return put_word(l, "mod_tp_src:", read16(p + 4));
    case 10:
        return put_word(l, "mod_tp_dst:", read16(p + 4));
    default:
        return false;
    }
}

/* The same for OpenFlow 1.3 and later. */
static bool
put_action13(struct lines *l, uint16_t type, const uint8_t *p, uint32_t size)
{
    if (type == 0 && size == 16) {
        uint32_t port = read32(p + 4);
        return (port < PORT_MAX || port >= 0xffffff00) && is_zero(p + 10, 6)
            && put_output(l, port & 0xffff, read16(p + 8));
    }
    if (type == 25) {
        return put_set_field(l, p + 4, size - 4);
    }
    if (size != 8) {
        return false;
    }
    switch (type) {
    case 17:
        if (read16(p + 4) != 0x8100 && read16(p + 4) != 0x88a8) {
            return false;
        }
        put_string(&l->text, "push_vlan:");
        put_hex(&l->text, read16(p + 4));
        return true;
    case 18:
        put_string(&l->text, "pop_vlan");
        return true;
    case 21:
        return put_word(l, "set_queue:", read32(p + 4));
    case 22:
        return put_word(l, "group:", read32(p + 4));
    case 24:
        return put_alone(l, "dec_ttl", p + 4, 4);
    default:
        return false;
    }
}

static bool
put_list(struct lines *l, const uint8_t *p, uint32_t size)
{
    bool is_first = true;

    while (size) {
        uint32_t length = size >= 8 ? read16(p + 2) : 0;
        if (length < 8 || length % 8 || length > size) {
            return false;
        }
        uint16_t type = read16(p);
        put(&l->text, ",", !is_first);
        is_first = false;
        if (!(type == 0xffff ? put_nicira_action(l, p, length)
              : l->kind == NICIRA ? put_action10(l, type, p, length)
              : put_action13(l, type, p, length))) {
            return false;
        }
        p += length;
        size -= length;
    }
    return true;
}

/* Actions, or instructions, as far as they are plain. */
static bool
put_plain_actions(struct lines *l, const uint8_t *p, uint32_t size)
{
    if (!size) {
        put_string(&l->text, "drop");
        return true;
    }
    if (l->kind == NICIRA) {
        return put_list(l, p, size);
    }
    size_t start = l->text.size;
    if (size >= 16 && read16(p) == 4 && is_zero(p + 4, 4)) {
        uint32_t length = read16(p + 2);
        if (length <= 8 || length % 8 || length > size
            || !put_list(l, p + 8, length - 8)) {
            return false;
        }
        p += length;
        size -= length;
    }
    if (size) {
        if (size != 8 || read16(p) != 1 || read16(p + 2) != 8
            || p[4] > MAX_GOTO || !is_zero(p + 5, 3)) {
            return false;
        }
        put(&l->text, ",", l->text.size != start);
        put_string(&l->text, "goto_table:");
        put_table(l, p[4], l->quoted_tables);
    }
    return true;
}

static bool
put_actions(struct lines *l, const uint8_t *p, uint32_t size)
{
    size_t start = l->text.size;

    if (put_plain_actions(l, p, size)) {
        return true;
    }
    l->text.size = start;
    if (!l->actions) {
        return false;
    }
    PyObject *key = PyBytes_FromStringAndSize((const char *) p, size);
    PyObject *text = key ? PyDict_GetItemWithError(l->actions, key) : NULL;

    Py_XDECREF(key);
    if (!text || !PyBytes_Check(text)) {
        return false;
    }
    put(&l->text, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
    return true;
}

/* ---- Entries ---- */

struct entry {
    uint64_t cookie, packets, bytes;
    uint32_t sec, nsec;
    uint64_t idle_age, hard_age;        /* UINT64_MAX: not told. */
    uint16_t priority, idle_timeout, hard_timeout, flags, importance;
    uint8_t table;
    bool has_packets, has_bytes;
    const uint8_t *match, *actions;
    uint32_t match_size, actions_size;
};

static bool
read_oxs(const uint8_t *p, uint32_t size, struct entry *e)
{
    uint32_t seen = 0;

    e->sec = e->nsec = 0;
    e->has_packets = e->has_bytes = false;
    while (size) {
        uint32_t length = size >= 4 ? 4 + p[3] : 0;
        if (length < 8 || length > size || read16(p) != 0x8002 || p[2] & 1) {
            return false;
        }
        uint32_t number = p[2] >> 1;
        if (number > 5 || seen & 1 << number
            || p[3] != (number == 3 ? 4 : 8)) {
            return false;
        }
        seen |= 1 << number;
        const uint8_t *value = p + 4;
        switch (number) {
        case 0:
            e->sec = read32(value);
            e->nsec = read32(value + 4);
            break;
        case 1:
            e->idle_age = read32(value);
            break;
        case 3:
            break;
        case 4:
            e->has_packets = true;
            e->packets = read_number(value, 8);
            break;
        case 5:
            e->has_bytes = true;
            e->bytes = read_number(value, 8);
            break;
        default:
            return false;
        }
        p += length;
        size -= length;
    }
    return true;
}

/* The match of OpenFlow 1.2 and later at '*at' of 'size' bytes. */
static bool
read_match_header(const uint8_t *p, uint32_t size, uint32_t *at,
                  struct entry *e)
{
    if (size - *at < 8 || read16(p + *at) != 1) {
        return false;
    }
    uint32_t length = read16(p + *at + 2), room = ROUND_UP(length, 8);
    if (length < 4 || room > size - *at
        || !is_zero(p + *at + length, room - length)) {
        return false;
    }
    e->match = p + *at + 4;
    e->match_size = length - 4;
    *at += room;
    return true;
}

/* Reads an entry of 'size' bytes. */
static bool
read_entry(int kind, const uint8_t *p, uint32_t size, struct entry *e)
{
    uint32_t at = kind == OF15 ? 24 : 48;

    e->idle_age = e->hard_age = UINT64_MAX;
    e->flags = e->importance = 0;
    if (kind == OF15) {
        if (size < 24) {
            return false;
        }
        e->table = p[4];
        e->priority = read16(p + 6);
        e->idle_timeout = read16(p + 8);
        e->hard_timeout = read16(p + 10);
        e->flags = read16(p + 12);
        e->importance = read16(p + 14);
        e->cookie = read_number(p + 16, 8);
        if (!read_match_header(p, size, &at, e) || size - at < 4) {
            return false;
        }
        uint32_t length = read16(p + at + 2), room = ROUND_UP(length, 8);
        if (length < 4 || room > size - at
            || !read_oxs(p + at + 4, length - 4, e)) {
            return false;
        }
        at += room;
    } else {
        if (size < 48) {
            return false;
        }
        e->table = p[2];
        e->sec = read32(p + 4);
        e->nsec = read32(p + 8);
        e->priority = read16(p + 12);
        e->idle_timeout = read16(p + 14);
        e->hard_timeout = read16(p + 16);
        e->cookie = read_number(p + 24, 8);
        e->packets = read_number(p + 32, 8);
        e->bytes = read_number(p + 40, 8);
        e->has_packets = e->packets != COUNTER_NONE;
        e->has_bytes = e->bytes != COUNTER_NONE;
        if (kind == NICIRA) {
            uint32_t length = read16(p + 18), room = ROUND_UP(length, 8);
            uint32_t idle = read16(p + 20), hard = read16(p + 22);
            e->idle_age = idle ? idle - 1 : UINT64_MAX;
            e->hard_age = hard ? hard - 1 : UINT64_MAX;
            if (room > size - at
                || !is_zero(p + at + length, room - length)) {
                return false;
            }
            e->match = p + at;
            e->match_size = length;
            at += room;
        } else {
            e->flags = kind >= OF13 ? read16(p + 18) : 0;
            e->importance = kind >= OF14 ? read16(p + 20) : 0;
            if (!read_match_header(p, size, &at, e)) {
                return false;
            }
        }
    }
    e->actions = p + at;
    e->actions_size = size - at;
    return !(e->flags & ~0x1f) && !(e->actions_size % 8);
}

static void
put_counter(struct text *t, const char *name, uint64_t value, bool is_known)
{
    put_string(t, name);
    if (is_known) {
        put_decimal(t, value);
    } else {
        put_char(t, '?');
    }
    put(t, ", ", 2);
}

static void
put_some(struct text *t, const char *name, uint64_t value)
{
    if (value) {
        put_counter(t, name, value, true);
    }
}

static void
put_duration(struct text *t, const struct entry *e)
{
    put_string(t, "duration=");
    put_decimal(t, e->sec);
    if (e->nsec) {
        bool is_milli = !(e->nsec % 1000000);
        char digits[16];
        int n = snprintf(digits, sizeof digits, is_milli ? ".%03u" : ".%09u",
                         is_milli ? e->nsec / 1000000 : e->nsec);
        while (!is_milli && n && digits[n - 1] == '0') {
            n--;
        }
        put(t, digits, n);
    }
    put(t, "s, ", 3);
}

static void
put_head(struct lines *l, const struct entry *e)
{
    struct text *t = &l->text;

    if (l->has_stats || e->cookie) {
        put_string(t, "cookie=");
        put_0x(t, e->cookie, 1);
        put(t, ", ", 2);
    }
    if (l->has_stats) {
        put_duration(t, e);
    }
    if (l->has_stats || e->table) {
        put_string(t, "table=");
        put_table(l, e->table, l->tables);
        put(t, ", ", 2);
    }
    if (l->has_stats) {
        put_counter(t, "n_packets=", e->packets, e->has_packets);
        put_counter(t, "n_bytes=", e->bytes, e->has_bytes);
    }
    put_some(t, "idle_timeout=", e->idle_timeout);
    put_some(t, "hard_timeout=", e->hard_timeout);
    for (uint32_t i = 0; i < N_ELEMENTS(mod_flags); i++) {
        if (e->flags & mod_flags[i].bit) {
            put_string(t, mod_flags[i].name);
            put_char(t, ' ');
        }
    }
    put_some(t, "importance=", e->importance);
    if (l->has_stats && l->has_ages) {
        if (e->idle_age < UINT32_C(1) << 31) {
            put_counter(t, "idle_age=", e->idle_age, true);
        }
        if (e->hard_age != UINT64_MAX && e->hard_age != e->sec) {
            put_counter(t, "hard_age=", e->hard_age, true);
        }
    }
}

static bool
put_entry(struct lines *l, const uint8_t *p, uint32_t size)
{
    struct match match = { 0 };
    struct entry e;

    if (!read_entry(l->kind, p, size, &e)
        || !read_tlvs(match_rows, N_ELEMENTS(match_rows), e.match,
                      e.match_size, &match)) {
        return false;
    }
    put_head(l, &e);
    if (!put_match(l, &match, e.priority)) {
        return false;
    }
    put_string(&l->text, "actions=");
    return put_actions(l, e.actions, e.actions_size);
}

/* Writes the entries from 'at' on in 'data', of 'size' bytes; returns where
 * the first one is that is not known. */
static size_t
put_entries(struct lines *l, const uint8_t *data, size_t size, size_t at)
{
    text_room(&l->text, (size - at) * 2 + 256);
    while (size - at >= 2) {
        const uint8_t *p = data + at;
        uint32_t length = read16(p);
        size_t start = l->text.size;
        if (length < 24 || length > size - at) {
            break;
        }
        put_string(&l->text, l->before);
        if (!put_entry(l, p, length)) {
            l->text.size = start;
            break;
        }
        put_string(&l->text, l->after);
        at += length;
    }
    return at;
}

/* ---- Without Python ---- */

/* The text of the entries of 'kind' in 'data', of 'size' bytes, as dump-flows
 * shows them without names, and its size in '*text_size'; NULL if there is one
 * that is not known.  The caller frees it. */
__attribute__((visibility("default"))) char *
lines_text(int kind, const void *data, size_t size, bool has_stats,
           size_t *text_size)
{
    struct lines l = {
        .kind = kind, .has_stats = has_stats, .has_ages = has_stats,
        .before = has_stats ? "\n " : " ", .after = has_stats ? "" : "\n",
    };

    if (put_entries(&l, data, size, 0) != size) {
        free(l.text.start);
        return NULL;
    }
    *text_size = l.text.size;
    return l.text.start;
}

/* ---- The module ---- */

static PyObject *
dict_or_null(PyObject *object)
{
    return PyDict_Check(object) ? object : NULL;
}

static PyObject *
lines_write(PyObject *module UNUSED, PyObject *arguments)
{
    struct lines l = { .text = { .room = 0 } };
    Py_buffer data;
    Py_ssize_t at;
    int has_stats, has_ages;
    PyObject *ports, *tables, *quoted;

    if (!PyArg_ParseTuple(arguments, "y*nippssOOOO!", &data, &at, &l.kind,
                          &has_stats, &has_ages, &l.before, &l.after,
                          &ports, &tables, &quoted, &PyDict_Type,
                          &l.actions)) {
        return NULL;
    }
    if (at < 0 || at > data.len
        || (l.kind != NICIRA && (l.kind < 3 || l.kind > OF15))) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "no such place or kind");
        return NULL;
    }
    l.has_stats = has_stats;
    l.has_ages = has_ages;
    l.ports = dict_or_null(ports);
    l.tables = dict_or_null(tables);
    l.quoted_tables = dict_or_null(quoted);
    at = put_entries(&l, data.buf, data.len, at);
    PyBuffer_Release(&data);
    PyObject *result = PyErr_Occurred() ? NULL
        : Py_BuildValue("(y#n)", l.text.start, (Py_ssize_t) l.text.size, at);
    free(l.text.start);
    return result;
}

static PyMethodDef methods[] = {
    { "write", lines_write, METH_VARARGS,
      "write(data, at, kind, stats, ages, before, after, ports, tables, "
      "quoted_tables, actions): the lines of the entries from 'at' on, and "
      "where the first one is that is not known." },
    { NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_lines", NULL, -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__lines(void)
{
    return PyModule_Create(&definition);
}
