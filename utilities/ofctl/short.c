/* short.c: what ovs-ofctl can do without Python: add, change and delete
 * flows, dump them, sum them up, show a switch and its ports.
 *
 * What is said to the switch and what it answers is then always the same, and
 * to start Python takes three times as long as all the rest.  At any option,
 * flow or answer that is not known here, the module flows.py has the command
 * from the start, which is the only one that knows what it means and what can
 * go wrong.
 *
 * Flows are encoded by flow.c.  They are shown by lines.c, whose extension is
 * loaded for that, if it knows them all.  Of the most common dump, that of a
 * whole bridge in OpenFlow 1.0, what is not few flows is for short.py, which
 * goes on with what has come. */

#include "short.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "show.h"
#include "flow.h"

enum {
    HEADER = 8,
    HELLO = 0, FEATURES_REQUEST = 5, FEATURES_REPLY,
    GET_CONFIG_REQUEST, GET_CONFIG_REPLY,
    VENDOR = 4,
    HELLO_WAIT_MS = 50,         /* For the peer, that says hello first. */
    WAIT_MS = 500,              /* For answers that take no time. */
    OF10 = 1, OF13 = 4, OF15 = 6,
    TABLE_STATS = 3, PORT_STATS = 4, TABLE_FEATURES = 12, PORT_DESC = 13,
    PORT_MAX = 0xff00, LOCAL = 0xfffe, ANY_PORT = 0xffff,
};

/* Types of messages that later versions have, too, but elsewhere. */
static uint8_t
type_of(uint8_t version, uint8_t type10)
{
    return version == OF10 ? type10 : type10 + 2;
}

enum { STATS_REQUEST = 16, STATS_REPLY, BARRIER_REQUEST, BARRIER_REPLY };

/* Bodies of Nicira's messages. */
static const uint8_t use_nxm[12] = { 0, 0, 0x23, 0x20, [7] = 12, [11] = 2 };
static const uint8_t use_table_ids[16] = {
    0, 0, 0x23, 0x20, [7] = 15, [8] = 1
};
/* Of a reply with flows, before these: of Nicira's and of others. */
enum { NX_STATS_HEAD = 16, STATS_HEAD = 8 };

struct peer {                   /* A switch. */
    int fd;
    uint8_t version;            /* The latest of... */
    uint8_t versions;           /* ...those that we speak: bits. */
    uint32_t xid;               /* Of the last message to it. */
    size_t at, size;            /* Of what was received and not dropped. */
    uint8_t data[2 * 65536];
};

static uint32_t
read16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static void
put_head(uint8_t *p, uint8_t version, uint8_t type, size_t size, uint32_t xid)
{
    const uint8_t head[HEADER] = {
        version, type, size >> 8, size, xid >> 24, xid >> 16, xid >> 8, xid
    };

    memcpy(p, head, sizeof head);
}

static bool
is_numbered(const uint8_t *message, uint32_t xid)
{
    uint8_t head[HEADER];

    put_head(head, 0, 0, 0, xid);
    return !memcmp(message + 4, head + 4, 4);
}

int
short_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &address,
                           sizeof address)) {
        int error = errno;
        close(fd);
        errno = error;
        fd = -1;
    }
    return fd;
}

/* Connects to bridge 'name'. */
static bool
peer_connect(struct peer *peer, const char *name)
{
    const char *directory = getenv("OVS_RUNDIR"), *ends[] = { "", ".mgmt" };
    char path[sizeof((struct sockaddr_un *) 0)->sun_path + 1];

    if (!directory || !*directory) {
        directory = "/var/run/openvswitch";
    }
    peer->at = peer->size = 0;
    peer->fd = -1;
    for (size_t i = 0; i < 2 && peer->fd < 0; i++) {
        snprintf(path, sizeof path, "%s/%s%s", directory, name, ends[i]);
        peer->fd = short_connect(path);
        if (peer->fd < 0 && errno != ENOENT) {
            return false;
        }
    }
    return peer->fd >= 0;
}

static void
peer_close(struct peer *peer)
{
    if (peer->fd >= 0) {
        close(peer->fd);
    }
    peer->fd = -1;
}

/* Sends a message with the next number, and a barrier behind it if 'barrier'
 * says so. */
static bool
peer_send(struct peer *peer, uint8_t type, const void *body, size_t size,
          bool barrier)
{
    uint8_t out[HEADER + FLOW_MAX + HEADER];
    size_t n = HEADER + size;

    put_head(out, peer->version, type, n, ++peer->xid);
    if (size) {
        memcpy(out + HEADER, body, size);
    }
    if (barrier) {
        put_head(out + n, peer->version,
                 type_of(peer->version, BARRIER_REQUEST), HEADER, ++peer->xid);
        n += HEADER;
    }
    return send(peer->fd, out, n, MSG_NOSIGNAL) == (ssize_t) n;
}

/* True if there is something to read within 'wait_ms', -1: at some time. */
static bool
peer_wait(struct peer *peer, int wait_ms)
{
    struct pollfd pollfd = { .fd = peer->fd, .events = POLLIN };

    return poll(&pollfd, 1, wait_ms) == 1;
}

/* What has been received. */
static const uint8_t *
peer_data(const struct peer *peer)
{
    return peer->data + peer->at;
}

/* Receives until there is a whole message; returns its size, or 0. */
static size_t
peer_receive(struct peer *peer, int wait_ms)
{
    for (;;) {
        size_t size = peer->size < HEADER ? 0 : read16(peer_data(peer) + 2);
        if (size && (size < HEADER || size <= peer->size)) {
            return size < HEADER ? 0 : size;
        }
        if (!peer_wait(peer, wait_ms)) {
            return 0;
        }
        if (peer->at) {
            memmove(peer->data, peer_data(peer), peer->size);
            peer->at = 0;
        }
        ssize_t n = recv(peer->fd, peer->data + peer->size,
                         sizeof peer->data - peer->size, 0);
        if (n <= 0) {
            return 0;
        }
        peer->size += n;
    }
}

static void
peer_drop(struct peer *peer, size_t size)
{
    peer->size -= size;
    peer->at += size;
}

/* Does a hello of 'size' bytes say that its sender speaks 'version'? */
static bool
hello_has(const uint8_t *hello, size_t size, uint8_t version)
{
    enum { VERSIONS = 1 };
    size_t at = HEADER;

    if (hello[1] != HELLO || !hello[0]) {
        return false;
    }
    if (size == HEADER) {
        return hello[0] >= version;
    }
    /* Only the one that there is so far, with one word of bits. */
    return size == at + 8 && read16(hello + at) == VERSIONS
           && read16(hello + at + 2) == 8 && hello[at + 7] >> version & 1;
}

static bool
peer_say_hello(struct peer *peer)
{
    uint8_t body[8] = { 0, 1, 0, 8, [7] = peer->versions };
    bool are_all = peer->versions == (2 << peer->version) - 2;

    return peer_send(peer, HELLO, body, are_all ? 0 : 8, false);
}

/* Connects and exchanges hellos.  A switch says hello at once: one that wants
 * something else than we do is left without a word, as it would complain. */
static bool
peer_open(struct peer *peer, const char *name)
{
    if (!peer_connect(peer, name)) {
        return false;
    }
    bool is_first = peer_wait(peer, HELLO_WAIT_MS);
    if (!is_first && !peer_say_hello(peer)) {
        return false;
    }
    size_t size = peer_receive(peer, WAIT_MS);
    bool is_usual = size && hello_has(peer_data(peer), size, peer->version);
    peer_drop(peer, is_usual ? size : 0);
    return is_usual && (!is_first || peer_say_hello(peer));
}

/* Is what has come the reply of 'type' to the last message? */
static bool
is_reply(const struct peer *peer, uint8_t type)
{
    const uint8_t *p = peer_data(peer);

    return p[0] == peer->version && p[1] == type && is_numbered(p, peer->xid);
}

/* Adds the ports that a part of a reply describes; false if it is odd or if
 * there are more than can be. */
static bool
add_ports(struct flow_ports *ports, const uint8_t *p, size_t size)
{
    enum { FEATURES = 32, PORT_DESCS = 16, NAME = 16, OF14 = 5 };
    uint8_t version = p[0];
    size_t at = version < OF13 ? FEATURES : PORT_DESCS;

    while (at < size) {
        size_t each = version == OF10 ? 48 : version < OF14 ? 64
            : at + 8 <= size ? read16(p + at + 4) : 0;
        size_t name_at = at + (version == OF10 ? 8 : 16);
        size_t max = sizeof ports->ports / sizeof *ports->ports;
        if (each < 40 || each > size - at || ports->n == max) {
            return false;
        }
        memcpy(ports->ports[ports->n].name, p + name_at, NAME - 1);
        ports->ports[ports->n].name[NAME - 1] = '\0';
        ports->ports[ports->n++].number
            = read16(p + at + (version == OF10 ? 0 : 2));
        at += each;
    }
    return true;
}

/* Asks something of which only that it is answered matters, and what 'ports'
 * it tells if that is not NULL. */
static bool
peer_ask(struct peer *peer, uint8_t request, const void *body, size_t size,
         uint8_t reply, struct flow_ports *ports)
{
    enum { MORE = 1 };
    bool is_stats = reply == type_of(peer->version, STATS_REPLY);
    bool has_more = true;

    if (!peer_send(peer, request, body, size, false)) {
        return false;
    }
    while (has_more) {
        size_t n = peer_receive(peer, WAIT_MS);
        if (!n || !is_reply(peer, reply) || (is_stats && n < 12)) {
            return false;
        }
        has_more = is_stats && peer_data(peer)[11] & MORE;
        if (ports && !add_ports(ports, peer_data(peer), n)) {
            return false;
        }
        peer_drop(peer, n);
    }
    return true;
}

/* Sends a message that is not answered, and waits for a barrier's reply. */
static bool
peer_tell(struct peer *peer, uint8_t type, const void *body, size_t size,
          int wait_ms)
{
    bool is_done = peer_send(peer, type, body, size, true)
        && peer_receive(peer, wait_ms) == HEADER
        && is_reply(peer, type_of(peer->version, BARRIER_REPLY));

    peer_drop(peer, is_done ? HEADER : 0);
    return is_done;
}

static bool
ask_tables(struct peer *peer, const char *name)
{
    uint8_t version = peer->version;
    uint8_t tables[8] = {
        0, version < OF13 ? TABLE_STATS : TABLE_FEATURES
    };

    if (!peer_open(peer, name)
        || !peer_ask(peer, type_of(version, STATS_REQUEST), tables,
                     version == OF10 ? 4 : 8, type_of(version, STATS_REPLY),
                     NULL)) {
        return false;
    }
    peer_close(peer);
    return true;
}

static bool
ask_ports(struct peer *peer, const char *name, struct flow_ports *known)
{
    uint8_t version = peer->version;
    uint8_t ports[16] = { 0, PORT_DESC };

    if (version == OF15) {
        memset(ports + 8, 0xff, 4);         /* Of all. */
    }
    if (!peer_open(peer, name)
        || !(version < OF13
             ? peer_ask(peer, FEATURES_REQUEST, NULL, 0, FEATURES_REPLY, known)
             : peer_ask(peer, type_of(version, STATS_REQUEST), ports,
                        version == OF15 ? 16 : 8,
                        type_of(version, STATS_REPLY), known))) {
        return false;
    }
    peer_close(peer);
    return true;
}

/* Asks 'name' for the names that may stand in a flow, as always, on
 * connections of their own.  Those of tables do not matter: flow.c knows none.
 * Who dumps flows asks for 'ports_first'. */
static bool
ask_names(struct peer *peer, const char *name, bool ports_first,
          struct flow_ports *known)
{
    return (!ports_first || ask_ports(peer, name, known))
        && ask_tables(peer, name)
        && (ports_first || ask_ports(peer, name, known));
}

/* Has a connection speak a flow format. */
static bool
peer_speak(struct peer *peer, uint32_t format)
{
    return (!(format & (OF10_NXM | OF10_NXM_TID))
            || peer_tell(peer, VENDOR, use_nxm, sizeof use_nxm, WAIT_MS))
        && (!(format & (OF10_STD_TID | OF10_NXM_TID))
            || peer_tell(peer, VENDOR, use_table_ids, sizeof use_table_ids,
                         WAIT_MS));
}

/* What a command line asks for. */
struct order {
    enum flow_command command;
    uint8_t version, versions;
    bool aggregate, has_stats, has_names;
    bool is_file;               /* 'flow' is the name of one with flows. */
    enum { FLOWS, SWITCH, PORTS, PORT_COUNTERS } shows;
    const char *bridge;
    const char *flow;           /* Or port; "" if none is named. */
};

/* A flow that is to be added, changed or deleted. */
struct line {
    enum flow_command command;
    const char *text;
};

/* Reads all that there is in 'fd', and appends a NUL; NULL if that fails. */
static char *
read_all(int fd, size_t *size)
{
    size_t room = 65536;
    char *text = malloc(room);
    ssize_t n = 1;

    for (*size = 0; text && n > 0; *size += n > 0 ? n : 0) {
        if (room - *size < 4096) {
            char *grown = realloc(text, room *= 2);
            if (!grown) {
                free(text);
            }
            text = grown;
        }
        n = text ? read(fd, text + *size, room - *size - 1) : 0;
    }
    if (text) {
        text[*size] = '\0';
    }
    return text;
}

/* Reads the file 'name', "-" is stdin, which is then in '*talk'. */
static char *
read_file(const char *name, struct short_talk *talk, size_t *size)
{
    if (!strcmp(name, "-")) {
        char *text = read_all(0, size);
        talk->input = text;
        talk->input_size = text ? *size : 0;
        return text ? strdup(text) : NULL;
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : read_all(fd, size);
    if (fd >= 0) {
        close(fd);
    }
    return text;
}

/* Takes the command that a line of add-flows may begin with. */
static struct line
line_of(const char *text)
{
    static const struct line commands[] = {
        { FLOW_ADD, "add" }, { FLOW_DELETE, "delete" },
        { FLOW_DELETE_STRICT, "delete_strict" }, { FLOW_MODIFY, "modify" },
        { FLOW_MODIFY_STRICT, "modify_strict" },
    };
    size_t n = strcspn(text, ", \t");

    for (size_t i = 0; n && i < sizeof commands / sizeof *commands; i++) {
        if (!strncmp(commands[i].text, text, n)) {
            return (struct line) { commands[i].command, text + n };
        }
    }
    return (struct line) { FLOW_ADD, text };
}

/* Cuts 'text', of 'size' bytes, into the 'lines' that say something, 'max' at
 * most, and returns how many; -1 if there are more or there is anything odd.
 * They have 'command' unless they may begin with one. */
static int
split_lines(char *text, size_t size, const enum flow_command *command,
            struct line *lines, int max)
{
    char *next;
    int n = 0;

    if (strlen(text) != size) {
        return -1;
    }
    for (char *p = text; *p; p++) {
        if ((*p < ' ' && *p != '\n' && *p != '\t') || *p > '~') {
            return -1;
        }
    }
    for (char *p = text; p; p = next) {
        next = strchr(p, '\n');
        if (next) {
            *next++ = '\0';
        }
        p[strcspn(p, "#")] = '\0';
        p += strspn(p, " \t");
        size_t length = strlen(p);
        while (length && strchr(" \t", p[length - 1])) {
            p[--length] = '\0';
        }
        if (length && n == max) {
            return -1;
        } else if (length) {
            lines[n++] = command ? (struct line) { *command, p } : line_of(p);
        }
    }
    return n;
}

/* Can all flows be made with these 'ports'?  '*formats' are then those that
 * can carry all of them. */
static bool
check_lines(const struct order *order, const struct line *lines, int n,
            const struct flow_ports *ports, uint32_t *formats)
{
    struct flow_message message;

    *formats = UINT32_MAX;
    for (int i = 0; i < n; i++) {
        if (!flow_make(lines[i].text, lines[i].command, order->version, false,
                       *formats, ports, &message)) {
            return false;
        }
        *formats &= message.usable;
    }
    return true;
}

/* The ports of the switch. */
static struct flow_ports known_ports;
static const struct flow_ports any_ports = { .any = true };

/* Sends flows, one by one.  Once the first was sent all is for Python if what
 * is answered is not usual; 'peer' is then left open.  '*n_sent' counts. */
static bool
send_lines(struct peer *peer, const struct order *order,
           const struct line *lines, int n, uint32_t *n_sent, int wait_ms)
{
    struct flow_message message;
    const struct flow_ports *ports = order->has_names ? &known_ports : NULL;
    uint32_t formats;

    if (!check_lines(order, lines, n, ports ? &any_ports : NULL, &formats)
        || (ports
            && !ask_names(peer, order->bridge, false, &known_ports))
        || !check_lines(order, lines, n, ports, &formats)
        || !peer_open(peer, order->bridge)) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (!flow_make(lines[i].text, lines[i].command, order->version, false,
                       formats, ports, &message)
            || (!i && !peer_speak(peer, message.format))) {
            return false;
        }
        ++*n_sent;
        if (!peer_tell(peer, message.type, message.body, message.size,
                       wait_ms)) {
            return false;
        }
    }
    return true;
}

/* Changes flows: one, or those of a file. */
static bool
change_flows(struct peer *peer, const struct order *order, int wait_ms,
             struct short_talk *talk)
{
    enum { MAX_LINES = 1000 };
    static struct line lines[MAX_LINES] = { { 0 } };
    bool is_file = order->is_file || !strcmp(order->flow, "-");
    char *text = NULL;
    size_t size;
    int n = 1;

    lines[0] = (struct line) { order->command, order->flow };
    if (is_file) {
        text = read_file(order->flow, talk, &size);
        n = text ? split_lines(text, size,
                               order->is_file ? NULL : &order->command, lines,
                               MAX_LINES) : -1;
    }
    bool is_done = n >= 0 && send_lines(peer, order, lines, n, &talk->n_sent,
                                        wait_ms);
    free(text);
    if (is_done || !talk->n_sent) {
        peer_close(peer);
    }
    return is_done;
}

typedef char *lines_text(int, const void *, size_t, bool, size_t *);

/* The function of lines.c, NULL if there is none. */
static lines_text *
find_lines_text(const char *root)
{
    char path[4096];
    int n = snprintf(path, sizeof path,
                     "%s/vswitchd/openflow/quick/_lines" EXT_SUFFIX, root);
    void *library = n < (int) sizeof path ? dlopen(path, RTLD_LAZY) : NULL;
    void *function = library ? dlsym(library, "lines_text") : NULL;
    lines_text *text;

    memcpy(&text, &function, sizeof text);
    return text;
}

void
short_print(const char *data, size_t size)
{
    signal(SIGPIPE, SIG_IGN);   /* As Python does. */
    while (size) {
        ssize_t n = write(1, data, size);
        if (n < 0 && errno != EINTR) {
            return;
        }
        data += n > 0 ? n : 0;
        size -= n > 0 ? n : 0;
    }
}

struct output {
    char *text;
    size_t size;
};

static bool
output_add(struct output *out, const char *text, size_t size)
{
    char *grown = realloc(out->text, out->size + size + 1);

    if (!grown) {
        return false;
    }
    memcpy(grown + out->size, text, size);
    *out = (struct output) { grown, out->size + size };
    return true;
}

/* Adds the first words about a reply. */
static bool
output_title(struct output *out, const struct peer *peer, const char *what,
             bool has_more)
{
    char title[80], version[16] = "";

    if (peer->version > OF10) {
        snprintf(version, sizeof version, " (OF1.%d)", peer->version - 1);
    }
    int n = snprintf(title, sizeof title, "%s_%s reply%s (xid=0x%x):%s",
                     peer->version > OF10 ? "OFPST" : "NXST", what, version,
                     peer->xid, has_more ? " flags=[more]" : "");
    return output_add(out, title, n);
}

/* Adds one part of a reply with flows, of 'size' bytes. */
static bool
output_flows(struct output *out, const struct peer *peer, size_t size,
             bool has_stats, lines_text *lines)
{
    const uint8_t *p = peer_data(peer);
    bool is_first10 = peer->version == OF10;
    size_t head = HEADER + (is_first10 ? NX_STATS_HEAD : STATS_HEAD);
    size_t n;
    char *text = lines(is_first10 ? 0 : peer->version, p + head, size - head,
                       has_stats, &n);
    if (!text) {
        return false;
    }
    bool is_done = (!has_stats || output_title(out, peer, "FLOW", p[11] & 1))
        && output_add(out, text, n)
        && (!has_stats || output_add(out, "\n", 1));
    free(text);
    return is_done;
}

/* Adds a reply with the sums of flows. */
static bool
output_sums(struct output *out, const struct peer *peer, size_t size)
{
    const uint8_t *p = peer_data(peer) + HEADER
        + (peer->version == OF10 ? NX_STATS_HEAD : STATS_HEAD);
    uint64_t counters[2] = { 0, 0 };
    char text[128];

    if (p + 24 != peer_data(peer) + size) {
        return false;
    }
    for (int i = 0; i < 16; i++) {
        counters[i / 8] = counters[i / 8] << 8 | p[i];
    }
    int n = snprintf(text, sizeof text,
                     " packet_count=%llu byte_count=%llu flow_count=%lu\n",
                     (unsigned long long) counters[0],
                     (unsigned long long) counters[1],
                     (unsigned long) (read16(p + 16) << 16 | read16(p + 18)));
    return output_title(out, peer, "AGGREGATE", false)
           && output_add(out, text, n);
}

/* Is what has come a part of the reply to 'request'? */
static bool
is_part(const struct peer *peer, const struct flow_message *request,
        size_t size)
{
    const uint8_t *body = peer_data(peer) + HEADER;
    bool is_first10 = peer->version == OF10;

    return size >= HEADER + (is_first10 ? NX_STATS_HEAD : STATS_HEAD)
        && is_reply(peer, type_of(peer->version, STATS_REPLY))
        && !memcmp(body, request->body, 2) && !body[2] && body[3] <= 1
        && (!is_first10 || !memcmp(body + 4, request->body + 4, 8));
}

/* Shows flows or their sums.  If 'peer' is left open it has been asked for all
 * flows, and what has come is in there. */
static bool
dump_flows(struct peer *peer, const struct order *order, const char *root)
{
    lines_text *lines = order->aggregate ? NULL : find_lines_text(root);
    struct flow_message request;
    const struct flow_ports *ports
        = *order->flow && order->has_names ? &known_ports : NULL;
    struct output out = { NULL, 0 };
    /* short.py goes on with that. */
    bool may_go_on = !*order->flow && order->version == OF10
                     && !order->aggregate;

    if ((!lines && !order->aggregate)
        || (order->aggregate && order->version == OF15)
        || !flow_make(order->flow, FLOW_SELECT, order->version,
                      order->aggregate, UINT32_MAX,
                      ports ? &any_ports : NULL, &request)
        || (ports && !ask_names(peer, order->bridge, true, &known_ports))
        || !flow_make(order->flow, FLOW_SELECT, order->version,
                      order->aggregate, UINT32_MAX, ports, &request)
        || !peer_open(peer, order->bridge)
        || !peer_speak(peer, request.format)
        || !peer_send(peer, request.type, request.body, request.size,
                      false)) {
        peer_close(peer);
        return false;
    }
    bool has_more = true, is_known = true;
    while (has_more && is_known) {
        size_t size = peer_receive(peer, WAIT_MS);
        is_known = size && is_part(peer, &request, size);
        has_more = is_known && peer_data(peer)[11] & 1;
        is_known = is_known && !(has_more && (may_go_on || order->aggregate))
            && (order->aggregate ? output_sums(&out, peer, size)
                : output_flows(&out, peer, size, order->has_stats, lines));
        peer_drop(peer, is_known && has_more ? size : 0);
    }
    if (!is_known && !may_go_on) {
        peer_close(peer);
    }
    if (is_known) {
        short_print(out.text, out.size);
    }
    free(out.text);
    return is_known;
}

int
short_limit(void)
{
    const char *text = getenv("OVS_CTL_TIMEOUT");
    bool is_number = text && !text[strspn(text, "0123456789")];
    long seconds = is_number ? strtol(text, NULL, 10) : 0;

    return seconds <= 0 ? -1 : seconds < 1000000 ? seconds * 1000 : 1000000000;
}

/* Asks something and shows the answer, which must be in one part. */
static bool
show_answer(FILE *out, struct peer *peer, const char *name, uint8_t request,
            const void *body, size_t body_size, uint8_t reply,
            bool (*show)(FILE *, const uint8_t *, size_t))
{
    size_t size = peer_send(peer, request, body, body_size, false)
        ? peer_receive(peer, WAIT_MS) : 0;
    const uint8_t *p = peer_data(peer);

    if (!size || !is_reply(peer, reply)
        || (body_size && (size < HEADER + 4 || memcmp(p + HEADER, body, 2)
                          || p[10] || p[11]))) {
        return false;
    }
    fputs(name, out);
    if (peer->version > OF10) {
        fprintf(out, " (OF1.%d)", peer->version - 1);
    }
    fprintf(out, " (xid=0x%x):", peer->xid);
    bool is_known = show(out, p, size);
    peer_drop(peer, size);
    return is_known;
}

/* Shows a switch, its ports and its configuration. */
static bool
show_switch(struct peer *peer, const struct order *order)
{
    uint8_t all_ports[16] = { 0, PORT_DESC, [8] = 0xff, 0xff, 0xff, 0xff };
    uint8_t version = peer->version;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool is_known = out && peer_open(peer, order->bridge)
        && show_answer(out, peer, "OFPT_FEATURES_REPLY", FEATURES_REQUEST,
                       NULL, 0, FEATURES_REPLY, features_show)
        && (version < OF13
            || show_answer(out, peer, "OFPST_PORT_DESC reply",
                           type_of(version, STATS_REQUEST), all_ports,
                           version == OF15 ? 16 : 8,
                           type_of(version, STATS_REPLY), port_desc_show));

    peer_close(peer);
    is_known = is_known && peer_open(peer, order->bridge)
        && show_answer(out, peer, "OFPT_GET_CONFIG_REPLY", GET_CONFIG_REQUEST,
                       NULL, 0, GET_CONFIG_REPLY, config_show);
    peer_close(peer);
    is_known = out && !fclose(out) && is_known;
    if (is_known) {
        short_print(text, size);
    }
    free(text);
    return is_known;
}

/* Reads which port is asked for. */
static bool
read_port(const char *text, uint32_t *port)
{
    size_t n = strlen(text);

    if (!*text || !strcasecmp(text, "local")) {
        *port = *text ? LOCAL : ANY_PORT;
        return true;
    }
    if (n > 5 || text[strspn(text, "0123456789")]) {
        return false;
    }
    *port = strtoul(text, NULL, 10);
    return *port < PORT_MAX;
}

/* Shows the ports of a switch, or what they have counted. */
static bool
show_ports(struct peer *peer, const struct order *order)
{
    uint8_t version = peer->version, type = type_of(version, STATS_REPLY);
    uint8_t body[16] = { 0 };
    bool counts = order->shows == PORT_COUNTERS;
    size_t head = version == OF10 ? 4 : 8, size = 0;
    uint32_t port;
    char *text = NULL;

    if (!read_port(order->flow, &port)) {
        return false;
    }
    body[1] = counts ? PORT_STATS : PORT_DESC;
    if (version > OF10 && port >= PORT_MAX) {
        body[head] = body[head + 1] = 0xff;
    }
    body[version == OF10 ? head : head + 2] = port >> 8;
    body[version == OF10 ? head + 1 : head + 3] = port;
    FILE *out = open_memstream(&text, &size);
    bool is_known = out && peer_open(peer, order->bridge)
        && show_answer(out, peer, counts ? "OFPST_PORT reply"
                                         : "OFPST_PORT_DESC reply",
                       type_of(version, STATS_REQUEST), body,
                       counts || version == OF15 ? head + 8 : head, type,
                       counts ? port_stats_show : port_desc_show);
    peer_close(peer);
    is_known = out && !fclose(out) && is_known;
    if (is_known) {
        short_print(text, size);
    }
    free(text);
    return is_known;
}

bool
short_may_run(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            return false;
        }
    }
    return true;
}

void
short_leave(int limit_ms, time_t began)
{
    if (limit_ms > 0) {
        char left[24];
        long seconds = limit_ms / 1000 - (time(NULL) - began);
        snprintf(left, sizeof left, "%ld", seconds > 1 ? seconds : 1);
        setenv("OVS_CTL_TIMEOUT", left, 1);
    }
}

/* The version of 'name', 0: unknown here. */
static uint8_t
version_of(const char *name)
{
    static const char prefix[] = "openflow1";
    const char *p = prefix;

    for (; *p && (*name | 0x20) == (*p | 0x20); p++, name++) {
    }
    return *p || name[0] < '0' || name[0] > '5' || name[1] ? 0
        : name[0] - '0' + OF10;
}

/* Reads the versions in 'text', between commas; false if there is anything
 * else. */
static bool
read_versions(const char *text, struct order *order)
{
    order->version = order->versions = 0;
    for (const char *p = text; p; p = strchr(p, ',')) {
        char name[16];
        p += p > text;
        snprintf(name, sizeof name, "%.*s", (int) strcspn(p, ","), p);
        uint8_t version = version_of(name);
        if (!version) {
            return false;
        }
        order->versions |= 1 << version;
        order->version = order->version > version ? order->version : version;
    }
    return order->version != 0;
}

/* Takes one option, with 'next' as the word behind it; returns the number of
 * words that it is, 0 if it is not known here. */
static int
read_option(const char *word, const char *next, bool *is_strict,
            struct order *order)
{
    static const char protocols[] = "--protocols";
    size_t n = strlen(protocols);

    if (!strcmp(word, "--strict")) {
        *is_strict = true;
    } else if (!strcmp(word, "--no-stats") || !strcmp(word, "--stats")) {
        order->has_stats = word[2] == 's';
    } else if (!strcmp(word, "--no-names")) {
        order->has_names = false;
    } else if (!strcmp(word, "-O") || !strcmp(word, protocols)) {
        return next && read_versions(next, order) ? 2 : 0;
    } else if (!strncmp(word, "-O", 2)
               || (!strncmp(word, protocols, n) && word[n] == '=')) {
        return read_versions(word + (word[1] == 'O' ? 2 : n + 1), order);
    } else {
        return 0;
    }
    return 1;
}

/* Reads a command line; false if it is not known here. */
static bool
read_words(int argc, char **argv, struct order *order)
{
    static const struct {
        const char *name;
        bool needs_flow;
        enum flow_command command, strict;
    } commands[] = {
        { "add-flow", true, FLOW_ADD, FLOW_ADD },
        { "add-flows", true, FLOW_ADD, FLOW_ADD },
        { "mod-flows", true, FLOW_MODIFY, FLOW_MODIFY_STRICT },
        { "del-flows", false, FLOW_DELETE, FLOW_DELETE_STRICT },
        { "dump-flows", false, FLOW_SELECT, FLOW_SELECT },
        { "dump-aggregate", false, FLOW_SELECT, FLOW_SELECT },
        { "show", false, FLOW_SELECT, FLOW_SELECT },
        { "dump-ports", false, FLOW_SELECT, FLOW_SELECT },
        { "dump-ports-desc", false, FLOW_SELECT, FLOW_SELECT },
    };
    const char *words[3] = { "", "", "" };
    bool is_strict = false, is_known = false;
    int n = 0;

    *order = (struct order) {
        .version = OF10, .versions = 1 << OF10, .has_stats = true,
        .has_names = true
    };
    for (int i = 1; i < argc;) {
        if (argv[i][0] == '-' && argv[i][1]) {
            int taken = read_option(argv[i], argv[i + 1], &is_strict, order);
            if (!taken) {
                return false;
            }
            i += taken;
        } else if (n == 3) {
            return false;
        } else {
            words[n++] = argv[i++];
        }
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!strcmp(words[0], commands[i].name)) {
            is_known = n == 3 || (n == 2 && !commands[i].needs_flow);
            order->command = is_strict ? commands[i].strict
                : commands[i].command;
        }
    }
    order->aggregate = !strcmp(words[0], "dump-aggregate");
    order->is_file = !strcmp(words[0], "add-flows");
    order->shows = !strcmp(words[0], "show") ? SWITCH
        : !strcmp(words[0], "dump-ports") ? PORT_COUNTERS
        : !strcmp(words[0], "dump-ports-desc") ? PORTS : FLOWS;
    /* No port has an empty name. */
    is_known = is_known && !(n == 3 && (order->shows == SWITCH
                                        || (order->shows != FLOWS
                                            && !*words[2])));
    order->bridge = words[1];
    order->flow = words[2];
    /* Terminals see names. */
    return is_known && *words[1] && !strpbrk(words[1], ":@/")
        && (order->command != FLOW_SELECT || !order->has_names || !isatty(1));
}

int
ofctl_short(int argc, char **argv, const char *root, struct short_talk *talk)
{
    static struct peer peer = { .fd = -1 };
    struct order order;

    *talk = (struct short_talk) { .fd = -1 };
    if (!read_words(argc, argv, &order) || !short_may_run()) {
        return -1;
    }
    peer.xid = 0;
    known_ports.n = 0;
    peer.version = order.version;
    peer.versions = order.versions;
    int limit_ms = short_limit();
    time_t began = time(NULL);
    bool dumps = order.command == FLOW_SELECT;
    bool is_done = order.shows == SWITCH ? show_switch(&peer, &order)
        : order.shows ? show_ports(&peer, &order)
        : dumps ? dump_flows(&peer, &order, root)
        : change_flows(&peer, &order, limit_ms, talk);
    if (is_done) {
        peer_close(&peer);
        return 0;
    }
    talk->fd = peer.fd;
    talk->xid = peer.xid;
    talk->data = peer_data(&peer);
    talk->size = peer.size;
    short_leave(limit_ms, began);
    return -1;
}
