/* show.c: see show.h.  What bits are called is in tables of the codec
 * (pieces.py). */

#include "show.h"

#include <stdlib.h>
#include <string.h>

struct named { uint32_t bits; const char *name; };
struct capability { uint32_t bit; uint8_t first, last; const char *name; };
struct speed { uint32_t mask, mbps; };

#include "generated/names.h"

#define N(ARRAY) (sizeof ARRAY / sizeof *ARRAY)

enum {
    HEADER = 8, OF10 = 1, OF11 = 2, OF13 = 4, OF14 = 5,
    PORT10_SIZE = 48, PORT11_SIZE = 64, PORT14_SIZE = 72,
    PORTS_MAX = 0xff00,
    CONFIG10 = 0x7f, CONFIG11 = 0x65, STATE10 = 0x301, STATE11 = 7,
    STP_STATE = 0x300,
};

struct port {
    uint32_t number, index;
    const uint8_t *mac, *name;
    uint32_t config, state;
    uint32_t features[4];       /* Current, advertised, supported, peer's. */
    uint32_t speeds[2];         /* Now and at most, in Mbps. */
};

static uint32_t
read32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Reads the number of a port as OpenFlow 1.0 has it; false if it is odd. */
static bool
read_number(const uint8_t *p, uint8_t version, uint32_t *number)
{
    *number = version == OF10 ? (uint32_t) p[0] << 8 | p[1] : read32(p);
    bool is_known = version == OF10 || *number < PORTS_MAX
                    || *number >= 0xffff0000 + PORTS_MAX;
    *number &= 0xffff;
    return is_known;
}

static void
show_number(FILE *out, uint32_t number)
{
    for (size_t i = 0; i < N(port_names); i++) {
        if (port_names[i].bits == number) {
            fputs(port_names[i].name, out);
            return;
        }
    }
    fprintf(out, "%u", number);
}

static void
show_bits(FILE *out, uint32_t bits, const struct named *names, size_t n)
{
    const char *space = "";

    if (!bits) {
        fputs("0", out);
    }
    for (size_t i = 0; i < n; i++) {
        if (bits & names[i].bits) {
            fprintf(out, "%s%s", space, names[i].name);
            bits &= ~names[i].bits;
            space = " ";
        }
    }
    if (bits) {
        fprintf(out, "%s0x%x", space, bits);
    }
}

static uint32_t
speed_of(uint32_t features)
{
    for (size_t i = 0; i < N(speeds); i++) {
        if (features & speeds[i].mask) {
            return speeds[i].mbps;
        }
    }
    return 0;
}

/* Reads a port; false if it is odd. */
static bool
read_port(const uint8_t *p, uint8_t version, struct port *port)
{
    const uint8_t *rest;

    if (!read_number(p, version, &port->number)) {
        return false;
    }
    if (version == OF10) {
        port->mac = p + 2;
        rest = port->name = p + 8;
        rest += 16;
    } else {
        port->mac = p + 8;
        port->name = p + 16;
        rest = p + 32;
    }
    port->config = read32(rest) & (version == OF10 ? CONFIG10 : CONFIG11);
    port->state = read32(rest + 4) & (version == OF10 ? STATE10 : STATE11);
    rest += 8;
    if (version >= OF14) {
        /* One property, which is that of Ethernet. */
        if (read32(p + 4) >> 16 != PORT14_SIZE || read32(rest) != 32) {
            return false;
        }
        rest += 8;
    }
    for (int i = 0; i < 4; i++) {
        uint32_t bits = read32(rest + 4 * i);
        port->features[i] = version == OF10
            ? (bits & 0x7f) | (bits & 0xf80) << 4 : bits & 0xffff;
    }
    for (int i = 0; i < 2; i++) {
        port->speeds[i] = version == OF10 ? speed_of(port->features[2 * i])
            : read32(rest + 16 + 4 * i) / 1000;
    }
    for (int i = 0; i < 15 && port->name[i]; i++) {
        if (port->name[i] < ' ' || port->name[i] > '~') {
            return false;
        }
    }
    return true;
}

static void
show_port(FILE *out, const struct port *port)
{
    static const char *const titles[4] = {
        "current:    ", "advertised: ", "supported:  ", "peer:       "
    };
    const uint8_t *mac = port->mac;

    fputs(" ", out);
    show_number(out, port->number);
    fprintf(out, "(%.15s): addr:%02x:%02x:%02x:%02x:%02x:%02x\n"
            "     config:     ", (const char *) port->name,
            mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    show_bits(out, port->config, config_bits, N(config_bits));
    fputs("\n     state:      ", out);
    for (size_t i = 0; i < N(stp_states); i++) {
        if (port->state & STP_STATE
            && stp_states[i].bits == (port->state & STP_STATE)) {
            fputs(stp_states[i].name, out);
        }
    }
    if (port->state & ~STP_STATE || !port->state) {
        show_bits(out, port->state & ~STP_STATE, state_bits, N(state_bits));
    }
    fputs("\n", out);
    for (int i = 0; i < 4; i++) {
        if (port->features[i]) {
            fprintf(out, "     %s", titles[i]);
            show_bits(out, port->features[i], feature_bits, N(feature_bits));
            fputs("\n", out);
        }
    }
    fprintf(out, "     speed: %u Mbps now, %u Mbps max\n", port->speeds[0],
            port->speeds[1]);
}

static int
compare_ports(const void *a_, const void *b_)
{
    const struct port *a = a_, *b = b_;

    return a->number != b->number ? (a->number < b->number ? -1 : 1)
        : a->index < b->index ? -1 : a->index > b->index;
}

/* Shows all ports that 'p' describes, by their numbers. */
static bool
show_ports(FILE *out, const uint8_t *p, size_t size, uint8_t version)
{
    size_t each = version == OF10 ? PORT10_SIZE
        : version < OF14 ? PORT11_SIZE : PORT14_SIZE;
    size_t n = size / each;
    struct port *ports = size % each ? NULL : calloc(n + 1, sizeof *ports);
    bool is_known = ports != NULL;

    for (size_t i = 0; is_known && i < n; i++) {
        ports[i].index = i;
        is_known = read_port(p + i * each, version, &ports[i]);
    }
    if (is_known) {
        qsort(ports, n, sizeof *ports, compare_ports);
        for (size_t i = 0; i < n; i++) {
            show_port(out, &ports[i]);
        }
    }
    free(ports);
    return is_known;
}

bool
features_show(FILE *out, const uint8_t *p, size_t size)
{
    enum { FEATURES_SIZE = HEADER + 24 };
    uint8_t version = p[0];
    const char *space = "";

    if (size < FEATURES_SIZE
        || (version >= OF13 && (size > FEATURES_SIZE || p[21]))) {
        return false;
    }
    fprintf(out, " dpid:%08x%08x\nn_tables:%u, n_buffers:%u\ncapabilities: ",
            read32(p + 8), read32(p + 12), p[20], read32(p + 16));
    uint32_t bits = read32(p + 24);
    for (size_t i = 0; i < N(capabilities); i++) {
        const struct capability *c = &capabilities[i];
        if (bits & c->bit && version >= c->first && version <= c->last) {
            fprintf(out, "%s%s", space, c->name);
            space = " ";
        }
    }
    fputs(*space ? "\n" : "0\n", out);
    if (version == OF10) {
        const char *title = "actions: ";
        bits = read32(p + 28);
        for (size_t i = 0; i < N(action_bits); i++) {
            if (bits & action_bits[i].bits) {
                fprintf(out, "%s%s", title, action_bits[i].name);
                title = " ";
            }
        }
        fputs(title[1] ? "" : "\n", out);
    }
    return version >= OF13
        || show_ports(out, p + FEATURES_SIZE, size - FEATURES_SIZE, version);
}

bool
port_desc_show(FILE *out, const uint8_t *p, size_t size)
{
    size_t head = HEADER + (p[0] == OF10 ? 4 : 8);

    fputs("\n", out);
    return size >= head && show_ports(out, p + head, size - head, p[0]);
}

struct counts {
    uint32_t number;
    const uint8_t *known;       /* Packets received, sent; bytes, dropped... */
    const uint8_t *ethernet;    /* ...and of Ethernet; NULL: unknown. */
    const uint8_t *duration;    /* Or NULL. */
};

/* Reads what one port has counted; returns its size, 0 if it is odd. */
static size_t
read_counts(const uint8_t *p, size_t size, uint8_t version,
            struct counts *counts)
{
    enum { KNOWN = 8 * 8, ETHERNET = 4 * 8, PROPERTY = 8 + ETHERNET };
    size_t each = 8 + KNOWN + ETHERNET + (version < OF13 ? 0 : 8);

    *counts = (struct counts) { .known = p + 8 };
    if (version < OF14) {
        counts->ethernet = counts->known + KNOWN;
        counts->duration = version < OF13 ? NULL : counts->ethernet + ETHERNET;
        return size >= each && read_number(p, version, &counts->number)
            ? each : 0;
    }
    if (size < 16 + KNOWN || !read_number(p + 4, version, &counts->number)) {
        return 0;
    }
    each = p[0] << 8 | p[1];
    counts->duration = p + 8;
    counts->known = p + 16;
    const uint8_t *property = counts->known + KNOWN;
    if (each == 16 + KNOWN + PROPERTY && size >= each
        && read32(property) == PROPERTY) {
        counts->ethernet = property + 8;
        return each;
    }
    return each == 16 + KNOWN ? each : 0;
}

static void
show_count(FILE *out, const char *name, const uint8_t *p, const char *end)
{
    uint64_t count = p ? (uint64_t) read32(p) << 32 | read32(p + 4)
                       : UINT64_MAX;

    fprintf(out, count == UINT64_MAX ? "%s=?" : "%s=%llu", name,
            (unsigned long long) count);
    fputs(end, out);
}

static void
show_counts(FILE *out, const struct counts *c)
{
    static const struct { const char *title, *names[7]; uint8_t at[7]; } rows[]
        = {
        { "rx ", { "pkts", "bytes", "drop", "errs", "frame", "over", "crc" },
          { 0, 2, 4, 6, 8, 9, 10 } },
        { "           tx ", { "pkts", "bytes", "drop", "errs", "coll" },
          { 1, 3, 5, 7, 11 } },
    };

    fputs(c->number < 10 ? "  port  " : "  port ", out);
    show_number(out, c->number);
    fputs(": ", out);
    for (size_t i = 0; i < N(rows); i++) {
        fputs(rows[i].title, out);
        for (size_t j = 0; j < 7 && rows[i].names[j]; j++) {
            uint8_t at = rows[i].at[j];
            bool is_last = j == 6 || !rows[i].names[j + 1];
            show_count(out, rows[i].names[j], at < 8 ? c->known + 8 * at
                       : c->ethernet ? c->ethernet + 8 * (at - 8) : NULL,
                       is_last ? "\n" : ", ");
        }
    }
    if (c->duration && read32(c->duration) != UINT32_MAX) {
        uint32_t nanoseconds = read32(c->duration + 4);
        char text[16] = "";
        if (nanoseconds % 1000000 == 0) {
            if (nanoseconds) {
                snprintf(text, sizeof text, ".%03u", nanoseconds / 1000000);
            }
        } else {
            size_t n = snprintf(text, sizeof text, ".%09u", nanoseconds);
            while (text[n - 1] == '0') {
                text[--n] = '\0';
            }
        }
        fprintf(out, "           duration=%u%ss\n", read32(c->duration),
                text);
    }
}

bool
port_stats_show(FILE *out, const uint8_t *p, size_t size)
{
    size_t at = HEADER + (p[0] == OF10 ? 4 : 8), begin = at, each;
    struct counts counts;
    unsigned n = 0;

    if (size < begin) {
        return false;
    }
    for (; at < size; at += each, n++) {
        each = read_counts(p + at, size - at, p[0], &counts);
        if (!each) {
            return false;
        }
    }
    fprintf(out, " %u ports\n", n);
    for (at = begin; at < size; at += each) {
        each = read_counts(p + at, size - at, p[0], &counts);
        show_counts(out, &counts);
    }
    return true;
}

bool
config_show(FILE *out, const uint8_t *p, size_t size)
{
    enum { CONFIG_SIZE = HEADER + 4, FRAGMENTS = 3, INVALID_TTL = 4 };

    if (size != CONFIG_SIZE) {
        return false;
    }
    for (size_t i = 0; i < N(fragments); i++) {
        if (fragments[i].bits == (p[9] & FRAGMENTS)) {
            fprintf(out, " frags=%s", fragments[i].name);
        }
    }
    fprintf(out, "%s miss_send_len=%u\n", p[0] < OF13 && p[9] & INVALID_TTL
            ? " invalid_ttl_to_controller" : "", p[10] << 8 | p[11]);
    return true;
}
