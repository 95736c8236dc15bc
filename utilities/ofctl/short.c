/* short.c: `ovs-ofctl del-flows BRIDGE` and `dump-flows` without Python.
 *
 * What is said to the switch and what it answers is then always the same, and
 * to start Python takes three times as long as all the rest.  At any other
 * option or argument, and at any other answer, the module flows.py has the
 * command from the start, which is the only one that knows what it means and
 * what can go wrong.
 *
 * Flows are shown by lines.c, whose extension is loaded for that, if there are
 * few and it knows them all; else short.py goes on with what has come. */

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
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER = 8,
    HELLO = 0, FEATURES_REQUEST = 5, FEATURES_REPLY = 6, FLOW_MOD = 14,
    STATS_REQUEST = 16, STATS_REPLY = 17, BARRIER_REQUEST = 18,
    BARRIER_REPLY = 19, VENDOR = 4,
    HELLO_WAIT_MS = 50,         /* For the peer, that says hello first. */
    WAIT_MS = 500,              /* For answers that take no time. */
};

/* Bodies of messages of OpenFlow 1.0. */
static const uint8_t table_stats[4] = { 0, 3, 0, 0 };
static const uint8_t delete_all[64] = {
    [0] = 0x00, 0x38, 0x20, 0xff,               /* Anything. */
    [48] = 0, 3,                                /* Delete, */
    [54] = 0x80, 0, 0xff, 0xff, 0xff, 0xff,     /* priority, no buffer, */
    [60] = 0xff, 0xff,                          /* to whatever port. */
};
static const uint8_t use_nxm[12] = { 0, 0, 0x23, 0x20, [7] = 12, [11] = 2 };
static const uint8_t flow_stats[24] = {
    0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20,         /* Nicira's statistics: */
    [16] = 0xff, 0xff, 0, 0, 0xff,              /* of all tables. */
};
enum { FLOW_STATS_HEAD = 16 };  /* Of the latter, before entries. */

struct peer {                   /* A switch. */
    int fd;
    uint32_t xid;               /* Of the last message to it. */
    size_t size;                /* Bytes received and not dropped yet. */
    uint8_t data[65536];
};

static uint32_t
read16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static void
put_head(uint8_t *p, uint8_t type, size_t size, uint32_t xid)
{
    const uint8_t head[HEADER] = {
        1, type, size >> 8, size, xid >> 24, xid >> 16, xid >> 8, xid
    };

    memcpy(p, head, sizeof head);
}

static bool
is_numbered(const uint8_t *message, uint32_t xid)
{
    uint8_t head[HEADER];

    put_head(head, 0, 0, xid);
    return !memcmp(message + 4, head + 4, 4);
}

/* Connects to the socket file 'path'; returns its fd or -1. */
static int
connect_unix(const char *path)
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
    peer->size = 0;
    peer->fd = -1;
    for (size_t i = 0; i < 2 && peer->fd < 0; i++) {
        snprintf(path, sizeof path, "%s/%s%s", directory, name, ends[i]);
        peer->fd = connect_unix(path);
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
    uint8_t out[128];
    size_t n = HEADER + size;

    put_head(out, type, n, ++peer->xid);
    if (size) {
        memcpy(out + HEADER, body, size);
    }
    if (barrier) {
        put_head(out + n, BARRIER_REQUEST, HEADER, ++peer->xid);
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

/* Receives until there is a whole message; returns its size, or 0. */
static size_t
peer_receive(struct peer *peer, int wait_ms)
{
    for (;;) {
        size_t size = peer->size < HEADER ? 0 : read16(peer->data + 2);
        if (size && (size < HEADER || size <= peer->size)) {
            return size < HEADER ? 0 : size;
        }
        if (!peer_wait(peer, wait_ms)) {
            return 0;
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
    memmove(peer->data, peer->data + size, peer->size);
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
    if (!is_first && !peer_send(peer, HELLO, NULL, 0, false)) {
        return false;
    }
    bool is_usual = peer_receive(peer, WAIT_MS) == HEADER
                    && peer->data[0] > 0 && peer->data[1] == HELLO;
    peer_drop(peer, is_usual ? HEADER : 0);
    return is_usual && (!is_first || peer_send(peer, HELLO, NULL, 0, false));
}

/* Asks something of which only that it is answered matters. */
static bool
peer_ask(struct peer *peer, uint8_t request, const void *body, size_t size,
         uint8_t reply)
{
    enum { MORE = 1 };
    size_t n = peer_send(peer, request, body, size, false)
        ? peer_receive(peer, WAIT_MS) : 0;
    const uint8_t *p = peer->data;

    if (!n || p[1] != reply || !is_numbered(p, peer->xid)
        || (reply == STATS_REPLY && (n < 12 || p[11] & MORE))) {
        return false;
    }
    peer_drop(peer, n);
    return true;
}

/* Deletes all flows of a bridge; first asks for the names that could have
 * stood in a match, as always, on connections of their own. */
static bool
delete_flows(struct peer *peer, const char *name, int wait_ms)
{
    if (!peer_open(peer, name)
        || !peer_ask(peer, STATS_REQUEST, table_stats, sizeof table_stats,
                     STATS_REPLY)) {
        return false;
    }
    peer_close(peer);
    if (!peer_open(peer, name)
        || !peer_ask(peer, FEATURES_REQUEST, NULL, 0, FEATURES_REPLY)) {
        return false;
    }
    peer_close(peer);
    return peer_open(peer, name)
           && peer_send(peer, FLOW_MOD, delete_all, sizeof delete_all, true)
           && peer_receive(peer, wait_ms) == HEADER
           && peer->data[1] == BARRIER_REPLY
           && is_numbered(peer->data, peer->xid);
}

/* The function lines_text of lines.c, NULL if there is none. */
static char *
(*find_lines_text(const char *root))(const void *, size_t, bool, size_t *)
{
    char path[4096];
    int n = snprintf(path, sizeof path,
                     "%s/vswitchd/openflow/quick/_lines" EXT_SUFFIX, root);
    void *library = n < (int) sizeof path ? dlopen(path, RTLD_LAZY) : NULL;
    void *function = library ? dlsym(library, "lines_text") : NULL;
    char *(*text)(const void *, size_t, bool, size_t *);

    memcpy(&text, &function, sizeof text);
    return text;
}

/* Writes all of 'data' to stdout; false if nothing was as nobody reads it.  A
 * full disk is not told, as by Python. */
static bool
print(const char *data, size_t size)
{
    size_t done = 0;

    signal(SIGPIPE, SIG_IGN);   /* As Python does. */
    while (done < size) {
        ssize_t n = write(1, data + done, size - done);
        if (n < 0 && errno != EINTR) {
            return done || errno != EPIPE;
        }
        done += n > 0 ? n : 0;
    }
    return true;
}

/* Shows all flows of a bridge if they come in one message.  If 'peer' is left
 * open it has been asked for them, and what has come is in there. */
static bool
dump_flows(struct peer *peer, const char *name, bool has_stats,
           const char *root)
{
    char *(*lines_text)(const void *, size_t, bool, size_t *)
        = find_lines_text(root);
    bool is_asked = lines_text && peer_open(peer, name)
        && peer_send(peer, VENDOR, use_nxm, sizeof use_nxm, true)
        && peer_receive(peer, WAIT_MS) == HEADER
        && peer->data[1] == BARRIER_REPLY
        && is_numbered(peer->data, peer->xid);
    if (!is_asked) {
        peer_close(peer);
        return false;
    }
    peer_drop(peer, HEADER);
    if (!peer_send(peer, STATS_REQUEST, flow_stats, sizeof flow_stats,
                   false)) {
        peer_close(peer);
        return false;
    }
    size_t n = peer_receive(peer, WAIT_MS);
    const uint8_t *p = peer->data;
    enum { START = HEADER + FLOW_STATS_HEAD };
    if (n < START || p[0] != 1 || p[1] != STATS_REPLY
        || !is_numbered(p, peer->xid)
        || memcmp(p + HEADER, flow_stats, FLOW_STATS_HEAD)) {
        return false;
    }
    size_t size;
    char *text = lines_text(p + START, n - START, has_stats, &size);
    if (!text) {
        return false;
    }
    char *out = malloc(size + 64);
    bool is_done = false;
    if (out) {
        int head = has_stats ? snprintf(
            out, 64, "NXST_FLOW reply (xid=0x%x):", peer->xid) : 0;
        memcpy(out + head, text, size);
        out[head + size] = '\n';
        is_done = print(out, head + size + has_stats);
    }
    free(out);
    free(text);
    return is_done;
}

/* How long this process may live, in ms, -1: as long as it likes. */
static int
time_limit(void)
{
    const char *text = getenv("OVS_CTL_TIMEOUT");
    bool is_number = text && !text[strspn(text, "0123456789")];
    long seconds = is_number ? strtol(text, NULL, 10) : 0;

    return seconds <= 0 ? -1 : seconds < 1000000 ? seconds * 1000 : 1000000000;
}

/* What a command line asks for. */
enum command { OTHER, DELETE, DUMP, DUMP_WITHOUT_STATS };

/* Returns the command and, in '*bridge', what it is about. */
static enum command
read_words(int argc, char **argv, const char **bridge)
{
    enum command command = OTHER;
    int at = 1;

    if (argc == 3 && !strcmp(argv[1], "del-flows")) {
        command = DELETE;
    } else {
        bool is_short = argc == 4 && !strcmp(argv[1], "--no-stats");
        at += is_short;
        if (argc == at + 2 && !strcmp(argv[at], "dump-flows")
            && !isatty(1)) {            /* Terminals see names. */
            command = is_short ? DUMP_WITHOUT_STATS : DUMP;
        }
    }
    *bridge = command == OTHER ? "" : argv[at + 1];
    return **bridge && **bridge != '-' && !strpbrk(*bridge, ":@/")
        ? command : OTHER;
}

int
ofctl_short(int argc, char **argv, const char *root, struct short_talk *talk)
{
    static struct peer peer = { .fd = -1 };
    const char *bridge;
    enum command command = read_words(argc, argv, &bridge);

    talk->fd = -1;
    if (command == OTHER) {
        return -1;
    }
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            return -1;
        }
    }
    peer.xid = 0;
    int limit_ms = time_limit();
    time_t began = time(NULL);
    bool is_done = command == DELETE ? delete_flows(&peer, bridge, limit_ms)
        : dump_flows(&peer, bridge, command == DUMP, root);
    if (is_done || command == DELETE) {
        peer_close(&peer);
    }
    if (is_done) {
        return 0;
    }
    *talk = (struct short_talk) { peer.fd, peer.xid, peer.data, peer.size };
    if (limit_ms > 0) {
        /* What has passed of the limit is not there for Python. */
        char left[24];
        long seconds = limit_ms / 1000 - (time(NULL) - began);
        snprintf(left, sizeof left, "%ld", seconds > 1 ? seconds : 1);
        setenv("OVS_CTL_TIMEOUT", left, 1);
    }
    return -1;
}
