/* flow.c: see flow.h.
 *
 * A match is values and masks by place, as in the codec; 'keys' say how a key
 * gets there, 'tlvs' how places are written.  Actions are put together of
 * 'pieces', whose bytes the codec has made, as far as these mean the same for
 * all packets that the flow matches.
 *
 * What is left to the codec: words, numbers and actions that the tables lack,
 * or that are out of range; matches whose prerequisites are not there; and
 * what it would complain about or take note of. */

#include "flow.h"

#include <string.h>

#include "numbers.h"

typedef unsigned __int128 u128;

enum put {                      /* How a value gets to its place. */
    PUT_PLAIN, PUT_PART, PUT_VID, PUT_PCP,
    PUT_WHOLE,                  /* 8 bits of a place that is exact. */
};

struct key {
    const char *name;
    uint8_t place, form, put, n_bits, size, shift, maskable;
    uint16_t exact, cidr, bitwise;      /* Formats that can have it so. */
};

struct tlv {
    uint8_t version, place, prereq, n_bits;
    uint8_t shift;              /* Of its bits in the place... */
    uint8_t up;                 /* ...and in the value that is written. */
    uint8_t size, maskable;
    uint32_t header, header_masked;
};

struct word { const char *name; uint16_t eth_type; uint8_t nw_proto; };
struct kind { uint16_t eth_type; uint8_t nw_proto; };
struct named { const char *name; uint32_t number; };

enum { MAX_SLOTS = 3 };

struct wire {                   /* A piece in one version. */
    uint32_t contexts;          /* Bits: two for each of 'kinds'. */
    uint8_t usable;             /* Of the formats of OpenFlow 1.0. */
    uint8_t size;               /* 0: it is nothing there. */
    const char *data;
    struct { uint8_t at, size, shift; } places[MAX_SLOTS];
};

enum change {                   /* What packets are behind an action: */
    SAME,
    TAGGED, PUSHED,             /* with a VLAN tag, by the latter another; */
    UNKNOWN
};

struct piece {                  /* An action. */
    const char *text;           /* With a % for each number. */
    uint8_t n_slots, rank, change;
    struct { uint8_t form; uint64_t most; } slots[MAX_SLOTS];
    const struct wire *wires;   /* By 'versions'. */
};

#include "generated/pieces.h"

enum {
    RANK_ACTION = 1,            /* Others are instructions. */
    RANK_GOTO = 4,
    N_VERSIONS = 5,
    ETH_IP = 0x0800, ETH_ARP = 0x0806, ETH_RARP = 0x8035, ETH_IPV6 = 0x86dd,
    ETH_MPLS = 0x8847, ETH_MPLS_MC = 0x8848, ETH_NSH = 0x894f,
    VLAN_PRESENT = 0x1000,
    PORT_NONE = 0xffff, PORTS_MAX = 0xff00,
    TABLE_ANY = 0xff,
    SEND_FLOW_REM = 1, CHECK_OVERLAP = 2, RESET_COUNTS = 4,
    OF10_ANY = 0x3, NXM_ANY = 0xc, OF11 = 0x10, OXM_ANY = 0x1e0,
    TID_ANY = 0x2 | 0x8 | OF11 | OXM_ANY,
    NXM_OXM_ANY = NXM_ANY | OXM_ANY,
    NXM_OF11_UP = NXM_ANY | OF11 | OXM_ANY,
    NX_VENDOR = 0x2320, NXT_FLOW_MOD = 13,
    VENDOR = 4, FLOW_MOD = 14, STATS_REQUEST10 = 16, STATS_REQUEST = 18,
};

static const uint8_t versions[N_VERSIONS] = { 1, 3, 4, 5, 6 };

struct flow {
    u128 value[N_PLACES], mask[N_PLACES];
    enum flow_command command;
    uint8_t version;
    uint32_t usable;
    uint16_t priority, idle_timeout, hard_timeout, importance, flags;
    uint8_t table;
    uint64_t cookie, cookie_mask, new_cookie;
    uint32_t out_port, out_group;
    const struct flow_ports *ports;     /* May be NULL. */
};

static u128
ones(unsigned n)
{
    return n < 128 ? ((u128) 1 << n) - 1 : ~(u128) 0;
}

static void
write_number(uint8_t *p, size_t size, u128 number)
{
    while (size--) {
        p[size] = number;
        number >>= 8;
    }
}

static u128
number_of(const uint8_t *p, size_t size)
{
    u128 number = 0;

    while (size--) {
        number = number << 8 | *p++;
    }
    return number;
}

/* ---- Text ---- */

/* A part of a text. */
struct span { const char *start, *end; };

static size_t span_size(struct span s) { return s.end - s.start; }

static bool
is_called(struct span s, const char *name)
{
    return strlen(name) == span_size(s)
           && !memcmp(s.start, name, span_size(s));
}

static bool is_separator(char c) { return c == ',' || c == ' ' || c == '\t'; }

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* The number of a port that 'text' names by a reserved name. */
static bool
read_port_word(struct span text, uint32_t *port)
{
    for (size_t i = 0; i < sizeof port_words / sizeof *port_words; i++) {
        const char *name = port_words[i].name;
        size_t n = 0;
        while (n < span_size(text) && lower(text.start[n]) == name[n]
               && name[n]) {
            n++;
        }
        if (n == span_size(text) && !name[n]) {
            *port = port_words[i].number;
            return true;
        }
    }
    return false;
}

/* The number of a port of the switch whose name 'text' is. */
static bool
read_port_name(struct span text, const struct flow_ports *ports,
               uint32_t *port)
{
    if (!ports || text.start == text.end) {
        return false;
    }
    for (const char *p = text.start; p < text.end; p++) {
        bool is_letter = lower(*p) >= 'a' && lower(*p) <= 'z';
        bool may_follow = is_digit(*p) || *p == '_' || *p == '.' || *p == '-';
        if (!is_letter && (p == text.start || !may_follow)) {
            return false;
        }
    }
    *port = 1;
    for (size_t i = ports->n; i--;) {
        if (is_called(text, ports->ports[i].name)) {
            *port = ports->ports[i].number;
            return true;
        }
    }
    return ports->any;
}

static bool
read_port(struct span text, const struct flow_ports *ports, uint32_t *port)
{
    uint64_t number;

    if (read_number(text.start, text.end, false, &number) == text.end) {
        *port = number;
        return number < PORTS_MAX;
    }
    return read_port_word(text, port) || read_port_name(text, ports, port);
}

/* Reads a port in an action at 'p', and returns its end. */
static const char *
read_port_slot(const char *p, const char *end, const struct flow_ports *ports,
               u128 *value)
{
    struct span text = { p, p };
    uint32_t port;

    if (p < end && is_digit(*p)) {
        uint64_t number;
        p = read_number(p, end, false, &number);
        *value = number;
        return p;
    }
    while (text.end < end && !strchr(",:)", *text.end)) {
        text.end++;
    }
    if (read_port_word(text, &port) || !read_port_name(text, ports, &port)) {
        return NULL;
    }
    *value = port;
    return text.end;
}

static bool
read_bounded(struct span text, uint64_t most, uint64_t *number)
{
    return read_number(text.start, text.end, true, number) == text.end
           && *number <= most;
}

/* Reads "+a-b" of connection states. */
static bool
read_ct_state(struct span text, u128 *value, u128 *mask)
{
    const char *p = text.start;

    *value = *mask = 0;
    while (p < text.end) {
        char sign = *p++;
        struct span word = { p, p };
        while (word.end < text.end && *word.end != '+' && *word.end != '-') {
            word.end++;
        }
        uint32_t bit = 0;
        for (size_t i = 0; i < sizeof ct_bits / sizeof *ct_bits; i++) {
            bit |= is_called(word, ct_bits[i].name) ? ct_bits[i].number : 0;
        }
        if ((sign != '+' && sign != '-') || !bit || *mask & bit) {
            return false;
        }
        *mask |= bit;
        *value |= sign == '+' ? bit : 0;
        p = word.end;
    }
    return *mask != 0;
}

/* Reads one value of 'form' at 'p', and returns its end. */
static const char *
read_one(uint8_t form, const char *p, const char *end, u128 *value)
{
    uint8_t bytes[16];
    uint64_t number;

    switch (form) {
    case NUMBER:
    case DECIMAL:
        p = read_number(p, end, form == NUMBER, &number);
        *value = number;
        return p;
    case IPV4:
        p = read_ipv4(p, end, bytes);
        *value = p ? number_of(bytes, 4) : 0;
        return p;
    case MAC:
        p = read_mac(p, end, bytes);
        *value = p ? number_of(bytes, 6) : 0;
        return p;
    case IPV6:
        p = read_ipv6(p, end, bytes);
        *value = p ? number_of(bytes, 16) : 0;
        return p;
    default:
        return NULL;
    }
}

/* Reads the value of a key and its mask, which is all ones over the field's
 * bytes if there is none. */
static bool
read_value(const struct key *key, struct span text,
           const struct flow_ports *ports, u128 *value, u128 *mask)
{
    u128 full = ones(key->size * 8);
    unsigned n_bits = key->form == IPV4 ? 32 : 128;

    *mask = full;
    if (key->form == PORT) {
        uint32_t port;
        bool is_port = read_port(text, ports, &port);
        *value = port;
        return is_port;
    }
    if (key->form == CT_STATE) {
        return read_ct_state(text, value, mask);
    }
    const char *p = read_one(key->form, text.start, text.end, value);
    if (!p || *value > ones(key->n_bits)) {
        return false;
    }
    if (p == text.end) {
        return true;
    }
    if (*p++ != '/' || !key->maskable || p == text.end) {
        return false;
    }
    uint64_t length;
    if ((key->form == IPV4 || key->form == IPV6)
        && read_number(p, text.end, false, &length) == text.end) {
        if (length > n_bits) {
            return false;
        }
        *mask = ones(n_bits) & ~ones(n_bits - length);
    } else if (read_one(key->form, p, text.end, mask) != text.end
               || *mask > full) {
        return false;
    }
    return *mask != 0;
}

/* ---- Matches ---- */

static void
put_bits(struct flow *flow, int place, u128 bits, u128 value, u128 mask)
{
    flow->mask[place] = (flow->mask[place] & ~bits) | (mask & bits);
    flow->value[place] = ((flow->value[place] & ~bits) | (value & bits))
                         & flow->mask[place];
}

static void
put_value(struct flow *flow, const struct key *key, u128 value, u128 mask)
{
    u128 significant = ones(key->n_bits), all = ~(u128) 0;
    u128 full = ones(key->size * 8), wild = full & ~mask;

    flow->usable &= mask == full ? key->exact
        : wild & (wild + 1) ? key->bitwise : key->cidr;
    switch (key->put) {
    case PUT_PLAIN:
        put_bits(flow, key->place, all, value & mask & significant,
                 mask & significant);
        break;
    case PUT_VID:
        put_bits(flow, key->place, 0x1fff, value | VLAN_PRESENT, 0x1fff);
        break;
    case PUT_PCP:
        put_bits(flow, key->place, 0xf000, value << 13 | VLAN_PRESENT, 0xf000);
        break;
    case PUT_PART:
        significant = key->n_bits == 8 ? 0xfc : significant << key->shift;
        put_bits(flow, key->place, significant, value << key->shift,
                 significant);
        break;
    case PUT_WHOLE:
        put_bits(flow, key->place, all, value, 0xffff);
        break;
    }
}

static bool
take_word(struct flow *flow, struct span name)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (is_called(name, words[i].name)) {
            put_bits(flow, PLACE_ETH_TYPE, 0xffff, words[i].eth_type, 0xffff);
            if (words[i].nw_proto) {
                put_bits(flow, PLACE_NW_PROTO, ~(u128) 0, words[i].nw_proto,
                         0xff);
            }
            return true;
        }
    }
    return false;
}

static bool
take_flag(struct flow *flow, struct span name)
{
    if (flow->command >= FLOW_DELETE) {
        return false;
    }
    if (is_called(name, "send_flow_rem")) {
        flow->flags |= SEND_FLOW_REM;
    } else if (is_called(name, "check_overlap")) {
        flow->flags |= CHECK_OVERLAP;
    } else if (is_called(name, "reset_counts")) {
        flow->flags |= RESET_COUNTS;
        flow->usable &= OXM_ANY;
    } else {
        return false;
    }
    return true;
}

static bool
take_cookie(struct flow *flow, struct span text)
{
    struct span value = {
        text.start, memchr(text.start, '/', span_size(text))
    };
    uint64_t *number = &flow->cookie;

    if (value.end) {
        struct span mask = { value.end + 1, text.end };
        if (flow->command == FLOW_ADD) {
            return false;
        }
        if (is_called(mask, "-1")) {
            flow->cookie_mask = UINT64_MAX;
        } else if (!read_bounded(mask, UINT64_MAX, &flow->cookie_mask)) {
            return false;
        }
        flow->usable &= flow->cookie_mask ? NXM_OF11_UP : ANY_PROTOCOL;
    } else {
        if (flow->command > FLOW_MODIFY_STRICT) {
            return false;
        }
        value.end = text.end;
        number = &flow->new_cookie;
    }
    return read_bounded(value, UINT64_MAX, number);
}

/* Takes a key that is no part of the match. */
static bool
take_other(struct flow *flow, struct span name, struct span text)
{
    bool adds = flow->command == FLOW_ADD;
    bool selects = flow->command >= FLOW_DELETE;
    uint64_t number;

    if (is_called(name, "table")) {
        if (read_number(text.start, text.end, false, &number) != text.end
            || number > 254) {
            return false;
        }
        flow->table = number;
        flow->usable &= TID_ANY;
        return true;
    } else if (is_called(name, "cookie")) {
        return take_cookie(flow, text);
    } else if (is_called(name, "out_port") && selects) {
        return read_port(text, flow->ports, &flow->out_port);
    } else if (!read_bounded(text, 0xffff, &number)) {
        return false;
    } else if (is_called(name, "priority") && flow->command != FLOW_DELETE
               && flow->command != FLOW_SELECT) {
        flow->priority = number;
    } else if (is_called(name, "idle_timeout") && !selects) {
        flow->idle_timeout = number;
    } else if (is_called(name, "hard_timeout") && !selects) {
        flow->hard_timeout = number;
    } else if (is_called(name, "importance") && adds) {
        flow->importance = number;
    } else {
        return false;
    }
    return true;
}

static const struct key *
key_find(struct span name)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (is_called(name, keys[i].name)) {
            return &keys[i];
        }
    }
    return NULL;
}

/* Reads the words in front of the actions. */
static bool
read_match(struct flow *flow, const char *p, const char *end)
{
    while (p < end) {
        if (is_separator(*p)) {
            p++;
            continue;
        }
        struct span name = { p, p };
        while (p < end && !is_separator(*p) && *p != ':' && *p != '='
               && *p != '(') {
            p++;
        }
        name.end = p;
        if (p == end || is_separator(*p)) {
            if (!take_word(flow, name) && !take_flag(flow, name)) {
                return false;
            }
            continue;
        }
        struct span text = { p + 1, p + 1 };
        while (text.end < end && !is_separator(*text.end)) {
            text.end++;
        }
        if (*p == '(' || text.start == text.end
            || memchr(text.start, '(', span_size(text))) {
            return false;
        }
        const struct key *key = key_find(name);
        u128 value, mask;
        if (key) {
            if (!read_value(key, text, flow->ports, &value, &mask)) {
                return false;
            }
            put_value(flow, key, value, mask);
        } else if (!take_other(flow, name, text)) {
            return false;
        }
        p = text.end;
    }
    return true;
}

static uint16_t
eth_type(const struct flow *flow)
{
    return flow->value[PLACE_ETH_TYPE];
}

static uint8_t
nw_proto(const struct flow *flow)
{
    return flow->value[PLACE_NW_PROTO];
}

static bool
prereq_holds(const struct flow *flow, uint8_t prereq)
{
    uint16_t type = eth_type(flow);
    bool ip4 = type == ETH_IP, ip6 = type == ETH_IPV6, ip = ip4 || ip6;

    switch (prereq) {
    case PREREQ_NONE:
    case PREREQ_ETHERNET:
        return true;
    case PREREQ_ARP:
        return type == ETH_ARP || type == ETH_RARP;
    case PREREQ_IPV4:
        return ip4;
    case PREREQ_IPV6:
        return ip6;
    case PREREQ_IP:
        return ip;
    case PREREQ_MPLS:
        return type == ETH_MPLS || type == ETH_MPLS_MC;
    case PREREQ_TCP:
        return ip && nw_proto(flow) == 6;
    case PREREQ_UDP:
        return ip && nw_proto(flow) == 17;
    case PREREQ_SCTP:
        return ip && nw_proto(flow) == 132;
    case PREREQ_ICMPV4:
        return ip4 && nw_proto(flow) == 1;
    case PREREQ_ICMPV6:
        return ip6 && nw_proto(flow) == 58;
    default:
        return false;
    }
}

static uint32_t
port_to_11(uint32_t port)
{
    return port < PORTS_MAX ? port : port + 0xffff0000;
}

/* Writes the match as TLVs of 'version', 0 is NXM, at 'p'; returns their size.
 * Returns -1 if there is something in it that cannot be written. */
static int
write_tlvs(const struct flow *flow, uint8_t version, uint8_t *p)
{
    u128 left[N_PLACES];
    uint8_t *start = p;

    memcpy(left, flow->mask, sizeof left);
    for (size_t i = 0; i < sizeof tlvs / sizeof *tlvs; i++) {
        const struct tlv *tlv = &tlvs[i];
        u128 bits = ones(tlv->n_bits), value, mask;
        bool is_exact;
        if (tlv->version != version || !flow->mask[tlv->place]
            || !prereq_holds(flow, tlv->prereq)) {
            continue;
        }
        value = flow->value[tlv->place] >> tlv->shift & bits;
        mask = flow->mask[tlv->place] >> tlv->shift & bits;
        if (!mask) {
            continue;
        }
        /* An ICMP type is exact in a place that is wider. */
        left[tlv->place] &= tlv->place == PLACE_TCP_SRC
            || tlv->place == PLACE_TCP_DST ? 0 : ~(bits << tlv->shift);
        is_exact = mask == bits || !tlv->maskable;
        write_number(p, 4, is_exact ? tlv->header : tlv->header_masked);
        if (tlv->place == PLACE_IN_PORT && tlv->size == 4) {
            value = port_to_11(value);
        }
        write_number(p += 4, tlv->size, value << tlv->up);
        p += tlv->size;
        if (!is_exact) {
            write_number(p, tlv->size, mask << tlv->up);
            p += tlv->size;
        }
    }
    for (size_t i = 0; i < N_PLACES; i++) {
        if (left[i]) {
            return -1;
        }
    }
    return p - start;
}

/* Is there nothing that means anything only beside what is not there? */
static bool
match_is_sound(const struct flow *flow)
{
    uint8_t unused[FLOW_MAX];

    return write_tlvs(flow, 0, unused) >= 0
           && eth_type(flow) != ETH_MPLS_MC && eth_type(flow) != ETH_NSH;
}

/* The match of OpenFlow 1.0, for which 'usable' says that it has it all. */
static void
write_match10(const struct flow *flow, uint8_t *p)
{
    enum { W_VLAN = 1 << 1, W_PCP = 1 << 20, W_TOS = 1 << 21 };
    static const struct { uint8_t place, at, size, wild; } exact[] = {
        { PLACE_IN_PORT, 4, 2, 0 }, { PLACE_ETH_SRC, 6, 6, 2 },
        { PLACE_ETH_DST, 12, 6, 3 }, { PLACE_ETH_TYPE, 22, 2, 4 },
        { PLACE_NW_PROTO, 25, 1, 5 }, { PLACE_TCP_SRC, 36, 2, 6 },
        { PLACE_TCP_DST, 38, 2, 7 },
    };
    static const struct { uint8_t place, at, wild; } addresses[] = {
        { PLACE_IP_SRC, 28, 8 }, { PLACE_IP_DST, 32, 14 },
    };
    uint32_t wild = 0;

    memset(p, 0, 40);
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        wild |= flow->mask[exact[i].place] ? 0 : 1 << exact[i].wild;
        write_number(p + exact[i].at, exact[i].size,
                     flow->value[exact[i].place]);
    }
    for (size_t i = 0; i < 2; i++) {
        uint32_t mask = flow->mask[addresses[i].place];
        wild |= (mask ? __builtin_ctz(mask) : 32) << addresses[i].wild;
        write_number(p + addresses[i].at, 4, flow->value[addresses[i].place]);
    }
    wild |= flow->mask[PLACE_NW_TOS] & 0xfc ? 0 : W_TOS;
    p[24] = flow->value[PLACE_NW_TOS] & 0xfc;

    uint16_t tci = flow->value[PLACE_VLAN_TCI];
    uint16_t tci_mask = flow->mask[PLACE_VLAN_TCI];
    if (!tci_mask) {
        wild |= W_VLAN | W_PCP;
    } else if (tci_mask & VLAN_PRESENT && !(tci & VLAN_PRESENT)) {
        write_number(p + 18, 2, 0xffff);
    } else {
        wild |= (tci_mask & 0xfff ? 0 : W_VLAN)
            | (tci_mask & 0xe000 ? 0 : W_PCP);
        write_number(p + 18, 2, tci_mask & 0xfff ? tci & 0xfff : 0);
        p[20] = tci_mask & 0xe000 ? tci >> 13 : 0;
    }
    write_number(p, 4, wild);
}

/* ---- Actions ---- */

/* Where a token ends: at a separator outside of parentheses; NULL if these do
 * not match. */
static const char *
token_end(const char *p, const char *end)
{
    int depth = 0;

    for (; p < end && (depth || !is_separator(*p)); p++) {
        depth += (*p == '(') - (*p == ')');
        if (depth < 0) {
            return NULL;
        }
    }
    return depth ? NULL : p;
}

/* Is 'token' the text of 'piece'?  With these 'numbers'?  A word alone is not
 * taken for a name of 'ports', as it may be another action. */
static bool
piece_is(const struct piece *piece, struct span token,
         const struct flow_ports *ports, u128 numbers[MAX_SLOTS])
{
    const char *p = token.start;
    int slot = 0;

    for (const char *q = piece->text; *q; q++) {
        if (*q == '%') {
            uint8_t form = piece->slots[slot].form;
            p = form == PORT ? read_port_slot(p, token.end, piece->text[1]
                                              ? ports : NULL, &numbers[slot])
                : read_one(form, p, token.end, &numbers[slot]);
            if (!p || ((form <= DECIMAL || form == PORT)
                       && numbers[slot] > piece->slots[slot].most)) {
                return false;
            }
            slot++;
        } else if (p == token.end || *p++ != *q) {
            return false;
        }
    }
    return p == token.end;
}

static int
version_index(uint8_t version)
{
    for (int i = 0; i < N_VERSIONS; i++) {
        if (versions[i] == version) {
            return i;
        }
    }
    return -1;
}

/* The bit of 'contexts' that is the flow's. */
static uint32_t
context_of(const struct flow *flow)
{
    size_t found = 0, n = sizeof kinds / sizeof *kinds;

    for (size_t i = 1; i < n; i++) {
        if (kinds[i].eth_type == eth_type(flow)
            && (!kinds[i].nw_proto || kinds[i].nw_proto == nw_proto(flow))) {
            found = i;
        }
    }
    return 1 << (2 * found + !!(flow->value[PLACE_VLAN_TCI] & VLAN_PRESENT));
}

/* Reads actions, and writes them at 'p', up to 'limit'; returns where they
 * end, NULL if they are not known. */
static uint8_t *
make_actions(struct flow *flow, const char *text, const char *end, uint8_t *p,
             const uint8_t *limit)
{
    enum { APPLY = 4, APPLY_HEAD = 8, WITH_VLAN = ALL_CONTEXTS / 3 * 2 };
    uint8_t *list = NULL;
    uint32_t needed = context_of(flow);
    int index = version_index(flow->version), rank = 0;
    bool drops = false, is_pushed = false;
    size_t n = 0;

    for (;;) {
        while (text < end && is_separator(*text)) {
            text++;
        }
        if (text == end) {
            break;
        }
        struct span token = { text, token_end(text, end) };
        const struct piece *piece = NULL;
        u128 numbers[MAX_SLOTS];
        if (!token.end) {
            return NULL;
        }
        text = token.end;
        n++;
        if (is_called(token, "drop")) {
            drops = true;
            continue;
        }
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces && !piece; i++) {
            bool is_good = !(~pieces[i].wires[index].contexts & needed);
            piece = is_good && piece_is(&pieces[i], token, flow->ports,
                                        numbers) ? &pieces[i] : NULL;
        }
        const struct wire *wire = piece ? &piece->wires[index] : NULL;
        if (!wire
            || (is_pushed && piece->change == PUSHED)
            || piece->rank < rank
            || (piece->rank == rank && rank != RANK_ACTION && n > 1)
            || (piece->rank == RANK_GOTO && flow->table != TABLE_ANY
                && numbers[0] <= flow->table)
            || limit - p < wire->size + APPLY_HEAD) {
            return NULL;
        }
        rank = piece->rank;
        if (rank == RANK_ACTION && flow->version > 1 && !list) {
            list = p;
            memset(p, 0, APPLY_HEAD);
            p[1] = APPLY;
            p += APPLY_HEAD;
        }
        flow->usable &= flow->version > 1 ? ANY_PROTOCOL : wire->usable;
        memcpy(p, wire->data, wire->size);
        for (int i = 0; i < piece->n_slots; i++) {
            uint8_t bytes[16];
            size_t size = wire->places[i].size;
            write_number(bytes, size, numbers[i] << wire->places[i].shift);
            for (size_t j = 0; j < size; j++) {
                p[wire->places[i].at + j] |= bytes[j];
            }
        }
        p += wire->size;
        if (list && rank == RANK_ACTION) {
            write_number(list + 2, 2, p - list);
        }
        if (piece->change == UNKNOWN) {
            needed = ALL_CONTEXTS;
        } else if (piece->change != SAME) {
            needed = (needed | needed << 1) & WITH_VLAN;
            is_pushed |= piece->change == PUSHED;
        }
    }
    return drops && n > 1 ? NULL : p;
}

/* ---- Messages ---- */

uint32_t
flow_format_of(uint8_t version)
{
    return version == 3 ? OF12_OXM : version == 4 ? OF13_OXM
        : version == 5 ? OF14_OXM : version == 6 ? OF15_OXM : 0;
}

/* Splits a flow into what is in front of its actions and these; 'actions' is
 * empty if the command takes none. */
static bool
split(const char *text, enum flow_command command, struct span *match,
      struct span *actions)
{
    const char *end = text + strlen(text);

    for (const char *p = text; p < end; p++) {
        if ((*p < ' ' && *p != '\t') || *p > '~' || *p == '"' || *p == '#'
            || *p == '%') {
            return false;
        }
    }
    *match = (struct span) { text, end };
    *actions = (struct span) { end, end };
    if (command >= FLOW_DELETE) {
        return true;
    }
    const char *word = strstr(text, "action");
    if (!word || (word > text && !is_separator(word[-1]))) {
        return false;
    }
    match->end = word;
    word += strlen("action");
    word += *word == 's';
    actions->start = word + 1;
    return *word == '=';
}

/* Writes TLVs with the cookie's, as NXM has them, and their padding; returns
 * the size without the latter, -1 if that cannot be. */
static int
write_nxm(const struct flow *flow, uint8_t *p)
{
    int size = write_tlvs(flow, 0, p);

    if (size < 0) {
        return -1;
    }
    if (flow->cookie_mask) {
        bool is_exact = flow->cookie_mask == UINT64_MAX;
        write_number(p + size, 4, is_exact ? 0x00013c08 : 0x00013d10);
        write_number(p + size + 4, 8, flow->cookie & flow->cookie_mask);
        size += 12;
        if (!is_exact) {
            write_number(p + size, 8, flow->cookie_mask);
            size += 8;
        }
    }
    memset(p + size, 0, 8);
    return size;
}

static int padded(int size) { return (size + 7) & ~7; }

/* Writes the match of OpenFlow 1.2 and later; returns its size or -1. */
static int
write_oxm(const struct flow *flow, uint8_t *p)
{
    int size = write_tlvs(flow, flow->version, p + 4);

    if (size < 0) {
        return -1;
    }
    size += 4;
    write_number(p, 4, 0x10000 | size);
    memset(p + size, 0, 8);
    return padded(size);
}

/* Writes a flow_mod without its actions; returns its size or -1. */
static int
write_flow_mod(const struct flow *flow, struct flow_message *out)
{
    uint8_t *p = out->body, *start = p;
    bool is_nxm = out->format & NXM_ANY;
    uint16_t command = flow->command;
    int size = 40;

    out->type = is_nxm ? VENDOR : FLOW_MOD;
    if (flow->version > 1) {
        bool adds = flow->command == FLOW_ADD;
        uint8_t table = flow->table == TABLE_ANY
            && flow->command < FLOW_DELETE ? 0 : flow->table;
        write_number(p, 8, adds ? flow->new_cookie : flow->cookie);
        write_number(p + 8, 8, adds ? 0 : flow->cookie_mask);
        p[16] = table;
        p[17] = command;
        write_number(p + 18, 2, flow->idle_timeout);
        write_number(p + 20, 2, flow->hard_timeout);
        write_number(p + 22, 2, flow->priority);
        write_number(p + 24, 4, UINT32_MAX);
        write_number(p + 28, 4, port_to_11(flow->out_port));
        write_number(p + 32, 4, flow->out_group);
        write_number(p + 36, 2, flow->flags);
        write_number(p + 38, 2, flow->version >= 5 ? flow->importance : 0);
        size = write_oxm(flow, p + 40);
        return size < 0 ? -1 : 40 + size;
    }
    if (out->format & (OF10_STD_TID | OF10_NXM_TID)) {
        command |= flow->table << 8;
    }
    if (is_nxm) {
        write_number(p, 8, (uint64_t) NX_VENDOR << 32 | NXT_FLOW_MOD);
        p += 8;
        size = write_nxm(flow, p + 32);
        if (size < 0) {
            return -1;
        }
    } else {
        write_match10(flow, p);
        p += 40;
    }
    write_number(p, 8, flow->new_cookie);
    write_number(p + 8, 2, command);
    write_number(p + 10, 2, flow->idle_timeout);
    write_number(p + 12, 2, flow->hard_timeout);
    write_number(p + 14, 2, flow->priority);
    write_number(p + 16, 4, UINT32_MAX);
    write_number(p + 20, 2, flow->out_port);
    write_number(p + 22, 2, flow->flags & (SEND_FLOW_REM | CHECK_OVERLAP));
    p += 24;
    if (is_nxm) {
        write_number(p, 2, size);
        memset(p + 2, 0, 6);
        p += 8 + padded(size);
    }
    return p - start;
}

/* Writes a request for statistics; returns its size or -1. */
static int
write_request(const struct flow *flow, bool aggregate,
              struct flow_message *out)
{
    uint8_t *p = out->body;
    int size;

    if (flow->version > 1) {
        out->type = STATS_REQUEST;
        memset(p, 0, 40);
        p[1] = aggregate ? 2 : 1;
        p[8] = flow->table;
        write_number(p + 12, 4, port_to_11(flow->out_port));
        write_number(p + 16, 4, flow->out_group);
        write_number(p + 24, 8, flow->cookie);
        write_number(p + 32, 8, flow->cookie_mask);
        size = write_oxm(flow, p + 40);
        return size < 0 ? -1 : 40 + size;
    }
    out->type = STATS_REQUEST10;
    memset(p, 0, 24);
    write_number(p, 2, 0xffff);
    write_number(p + 4, 4, NX_VENDOR);
    p[11] = aggregate;
    size = write_nxm(flow, p + 24);
    write_number(p + 16, 2, flow->out_port);
    write_number(p + 18, 2, size < 0 ? 0 : size);
    p[20] = flow->table;
    return size < 0 ? -1 : 24 + padded(size);
}

/* The flow format to use, 0: none. */
static uint32_t
choose_format(const struct flow *flow)
{
    static const uint32_t formats10[] = {
        OF10_STD, OF10_STD_TID, OF10_NXM, OF10_NXM_TID
    };
    uint32_t usable = flow->usable;

    if (flow->version > 1) {
        return usable & flow_format_of(flow->version);
    }
    if (flow->command == FLOW_SELECT) {
        /* The table is named without table ids in flow_mods. */
        return usable & NXM_ANY ? OF10_NXM : 0;
    }
    for (size_t i = 0; i < sizeof formats10 / sizeof *formats10; i++) {
        if (usable & formats10[i]) {
            return formats10[i];
        }
    }
    return 0;
}

bool
flow_make(const char *text, enum flow_command command, uint8_t version,
          bool aggregate, uint32_t formats, const struct flow_ports *ports,
          struct flow_message *out)
{
    enum { MOST_OF_MATCH = 1536, MOST_OF_TEXT = 1024 };
    uint8_t actions[FLOW_MAX - MOST_OF_MATCH - 128];
    struct flow flow = {
        .command = command, .version = version, .usable = ANY_PROTOCOL,
        .priority = 0x8000, .table = TABLE_ANY, .out_port = PORT_NONE,
        .out_group = UINT32_MAX, .ports = ports,
        .new_cookie = command == FLOW_MODIFY || command == FLOW_MODIFY_STRICT
                      ? UINT64_MAX : 0,
    };
    struct span match_text, action_text;

    if (version_index(version) < 0 || strlen(text) > MOST_OF_TEXT
        || !split(text, command, &match_text, &action_text)
        || !read_match(&flow, match_text.start, match_text.end)
        || !match_is_sound(&flow)) {
        return false;
    }
    if (command < FLOW_DELETE && !flow.cookie_mask
        && flow.new_cookie == UINT64_MAX) {
        flow.new_cookie = 0;
    }
    if (eth_type(&flow) == ETH_IPV6
        && (flow.mask[PLACE_NW_PROTO] || flow.mask[PLACE_NW_TOS]
            || flow.mask[PLACE_TCP_SRC] || flow.mask[PLACE_TCP_DST])) {
        flow.usable &= NXM_OXM_ANY;
    }
    uint8_t *end = make_actions(&flow, action_text.start, action_text.end,
                                actions, actions + sizeof actions);
    out->usable = flow.usable;
    flow.usable &= command == FLOW_SELECT ? ANY_PROTOCOL : formats;
    out->format = end ? choose_format(&flow) : 0;
    if (!out->format) {
        return false;
    }
    int size = command == FLOW_SELECT ? write_request(&flow, aggregate, out)
        : write_flow_mod(&flow, out);
    if (size < 0) {
        return false;
    }
    memcpy(out->body + size, actions, end - actions);
    out->size = size + (end - actions);
    return true;
}
