/* appctl.c: `ovs-appctl [-t TARGET] COMMAND...` without Python.
 *
 * A request is sent and its answer printed if all goes as it always does.
 * Else Python has the command from the start, or goes on with what has been
 * answered once the request was sent: appctl.py knows what to make of it. */

#include "../ofctl/short.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct text {
    char *start;
    size_t size, room;
};

/* Makes room for 'n' more bytes and a NUL. */
static char *
text_room(struct text *text, size_t n)
{
    if (text->room - text->size <= n) {
        text->room = 2 * text->room + n + 1;
        text->start = realloc(text->start, text->room);
        if (!text->start) {
            abort();
        }
    }
    return text->start + text->size;
}

static void
put(struct text *text, const char *s, size_t n)
{
    memcpy(text_room(text, n), s, n);
    text->size += n;
}

static void put_string(struct text *t, const char *s) { put(t, s, strlen(s)); }

/* ---- JSON ---- */

/* Appends 's' as JSON; false if it has other characters than those that can be
 * printed. */
static bool
put_json(struct text *text, const char *s)
{
    put(text, "\"", 1);
    for (; *s; s++) {
        if (*s < ' ' || *s > '~') {
            return false;
        }
        if (*s == '"' || *s == '\\') {
            put(text, "\\", 1);
        }
        put(text, s, 1);
    }
    put(text, "\"", 1);
    return true;
}

static const char *
skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* Appends the code point that four digits at 'p' say; false if it is one of
 * two that make one. */
static bool
put_escaped(struct text *text, const char *p)
{
    char digits[5] = "", bytes[3], *end;

    strncpy(digits, p, 4);
    unsigned long code = strtoul(digits, &end, 16);
    if (end != digits + 4 || !code || (code >= 0xd800 && code < 0xe000)
        || strspn(digits, "0123456789abcdefABCDEF") != 4) {
        return false;
    }
    if (code < 0x80) {
        bytes[0] = code;
        put(text, bytes, 1);
    } else if (code < 0x800) {
        bytes[0] = 0xc0 | code >> 6;
        bytes[1] = 0x80 | (code & 0x3f);
        put(text, bytes, 2);
    } else {
        bytes[0] = 0xe0 | code >> 12;
        bytes[1] = 0x80 | (code >> 6 & 0x3f);
        bytes[2] = 0x80 | (code & 0x3f);
        put(text, bytes, 3);
    }
    return true;
}

/* Reads the string at 'p' into 'text', and returns its end; NULL if it is none
 * or has anything odd. */
static const char *
read_string(const char *p, struct text *text)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (*p++ != '"') {
        return NULL;
    }
    while (*p != '"') {
        size_t n = strcspn(p, "\"\\");
        for (size_t i = 0; i < n; i++) {
            if (p[i] < ' ' || p[i] > '~') {
                return NULL;
            }
        }
        put(text, p, n);
        p += n;
        if (*p == '\\') {
            const char *escape = p[1] ? strchr(from, p[1]) : NULL;
            if (escape) {
                put(text, &to[escape - from], 1);
                p += 2;
            } else if (p[1] != 'u' || !put_escaped(text, p + 2)) {
                return NULL;
            } else {
                p += 6;
            }
        } else if (!*p) {
            return NULL;
        }
    }
    return p + 1;
}

/* The answer to a request. */
struct reply {
    struct text result, error;
    bool has_result, has_error, has_id;
};

/* Reads one member of a reply at 'p' and returns its end; NULL if it is not
 * one that is known here. */
static const char *
read_member(const char *p, struct reply *reply)
{
    struct text key = { NULL, 0, 0 };
    bool *has = NULL;
    struct text *text = NULL;

    p = read_string(p, &key);
    if (p) {
        bool is_id = key.size == 2 && !memcmp(key.start, "id", 2);
        if (key.size == 6 && !memcmp(key.start, "result", 6)) {
            has = &reply->has_result;
            text = &reply->result;
        } else if (key.size == 5 && !memcmp(key.start, "error", 5)) {
            has = &reply->has_error;
            text = &reply->error;
        }
        p = skip_space(p);
        p = *p == ':' && (has || is_id) ? skip_space(p + 1) : NULL;
    }
    free(key.start);
    if (!p) {
        return NULL;
    }
    if (!has) {
        reply->has_id = true;
        return *p == '0' ? p + 1 : NULL;
    }
    if (*has) {
        return NULL;
    }
    if (!strncmp(p, "null", 4)) {
        return p + 4;
    }
    *has = true;
    return read_string(p, text);
}

/* Reads a whole reply, which a NUL ends. */
static bool
read_reply(const char *p, struct reply *reply)
{
    p = skip_space(p);
    if (*p++ != '{') {
        return false;
    }
    do {
        p = read_member(skip_space(p), reply);
        p = p ? skip_space(p) : "";
    } while (*p++ == ',');
    return p[-1] == '}' && !*skip_space(p) && reply->has_id
        && reply->has_result != reply->has_error;
}

/* How far an object is that comes in parts. */
struct scan {
    size_t at;
    int depth;
    bool in_string, is_escaped;
};

/* Is the object at an end? */
static bool
scan_on(struct scan *scan, const struct text *text)
{
    for (; scan->at < text->size; scan->at++) {
        char c = text->start[scan->at];
        if (scan->is_escaped) {
            scan->is_escaped = false;
        } else if (scan->in_string) {
            scan->is_escaped = c == '\\';
            scan->in_string = c != '"';
        } else if (c == '"') {
            scan->in_string = true;
        } else if (c == '{' || c == '[') {
            scan->depth++;
        } else if ((c == '}' || c == ']') && --scan->depth <= 0) {
            return true;
        }
    }
    return false;
}

/* ---- Talking ---- */

/* Writes into 'path' where the socket of 'target' is: a path, or the name of a
 * daemon, whose pidfile it must have locked. */
static bool
find_socket(const char *target, char *path, size_t size)
{
    const char *directory = getenv("OVS_RUNDIR");
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char pidfile[4096], text[64] = "";

    if (target[0] == '/') {
        return snprintf(path, size, "%s", target) < (int) size;
    }
    if (!directory || !*directory) {
        directory = "/var/run/openvswitch";
    }
    if (snprintf(pidfile, sizeof pidfile, "%s/%s.pid", directory, target)
        >= (int) sizeof pidfile) {
        return false;
    }
    int fd = open(pidfile, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool is_locked = !fcntl(fd, F_GETLK, &lock) && lock.l_type != F_UNLCK
                     && read(fd, text, sizeof text - 1) > 0;
    close(fd);
    char *end;
    long pid = strtol(text, &end, 10);
    return is_locked && text[0] >= '1' && text[0] <= '9' && pid == lock.l_pid
        && (!*end || *end == '\n')
        && snprintf(path, size, "%s/%s.%ld.ctl", directory, target, pid)
           < (int) size;
}

/* Sends all of 'text'. */
static bool
send_all(int fd, const struct text *text)
{
    size_t done = 0;

    while (done < text->size) {
        ssize_t n = send(fd, text->start + done, text->size - done,
                         MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        done += n;
    }
    return true;
}

/* Receives a whole object, within 'limit_ms'. */
static bool
receive(int fd, struct text *text, int limit_ms)
{
    enum { CHUNK = 65536 };
    struct scan scan = { 0, 0, false, false };
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    while (poll(&pollfd, 1, limit_ms) == 1) {
        ssize_t n = recv(fd, text_room(text, CHUNK), CHUNK, 0);
        if (n <= 0) {
            break;
        }
        text->size += n;
        text->start[text->size] = '\0';
        if (scan_on(&scan, text)) {
            return strlen(text->start) == text->size;
        }
    }
    return false;
}

/* Prints the answer; false if it is not known here. */
static bool
print_reply(const struct text *text, const char *target, int *code)
{
    struct reply reply = { .has_result = false };
    bool is_known = read_reply(text->start, &reply);
    struct text *said = reply.has_error ? &reply.error : &reply.result;

    if (is_known && said->size && said->start[said->size - 1] != '\n') {
        put_string(said, "\n");
    }
    if (is_known && reply.has_error) {
        if (!said->size) {
            put_string(said, "\n");
        }
        put_string(said, "ovs-appctl: ");
        put_string(said, target);
        put_string(said, ": server returned an error\n");
        is_known = write(2, said->start, said->size) >= 0;
        *code = 2;
    } else if (is_known) {
        short_print(said->start, said->size);
        *code = 0;
    }
    free(reply.result.start);
    free(reply.error.start);
    return is_known;
}

/* Reads the options; returns where the command is, 0 if there is one that is
 * not known here or no command. */
static int
read_options(int argc, char **argv, const char **target)
{
    static const char name[] = "--target";
    size_t n = strlen(name);
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *word = argv[i];
        if (!strcmp(word, "-t") || !strcmp(word, name)) {
            *target = argv[++i];
        } else if (!strncmp(word, "-t", 2)) {
            *target = word + 2;
        } else if (!strncmp(word, name, n) && word[n] == '=') {
            *target = word + n + 1;
        } else {
            return 0;
        }
        if (i >= argc) {
            return 0;
        }
    }
    return i < argc ? i : 0;
}

int
appctl_short(int argc, char **argv, const char *root, struct short_talk *talk)
{
    const char *target = "ovs-vswitchd";
    int at = read_options(argc, argv, &target), code = -1;
    struct text request = { NULL, 0, 0 };
    static struct text reply;
    char path[4096];

    (void) root;
    *talk = (struct short_talk) { .fd = -1 };
    reply.size = 0;
    if (!at || !short_may_run()) {
        return -1;
    }
    put_string(&request, "{\"id\":0,\"method\":");
    bool is_plain = put_json(&request, argv[at]);
    put_string(&request, ",\"params\":[");
    for (int i = at + 1; is_plain && i < argc; i++) {
        put(&request, ",", i > at + 1);
        is_plain = put_json(&request, argv[i]);
    }
    put_string(&request, "]}");

    int limit_ms = short_limit();
    time_t began = time(NULL);
    int fd = is_plain && find_socket(target, path, sizeof path)
        ? short_connect(path) : -1;
    if (fd >= 0) {
        /* From here on it must not be sent a second time. */
        if (!send_all(fd, &request) || !receive(fd, &reply, limit_ms)
            || !print_reply(&reply, target, &code)) {
            *talk = (struct short_talk) {
                .fd = fd, .n_sent = 1, .data = (uint8_t *) reply.start,
                .size = reply.size
            };
            code = -1;
        } else {
            close(fd);
        }
    }
    free(request.start);
    if (code < 0) {
        short_leave(limit_ms, began);
    }
    return code;
}
