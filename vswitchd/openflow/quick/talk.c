/* talk.c: conversations: what a peer asks is done and answered on its socket
 * for as long as it asks for nothing uncommon. */
#define _GNU_SOURCE
#include "state.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define SPIN_US 60
#define MAX_VAIN_SPINS 6

static int64_t
time_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* Stages and publishes 'n' changes; returns how many: one may be refused. */
static uint32_t
publish(const struct quick_calls *calls, uint32_t dp,
        struct rule_change *rows, uint32_t n, const uint8_t *blob,
        uint32_t blob_size)
{
    int (*open)(uint32_t, uint64_t *) = calls->version_open;
    int (*stage)(uint64_t, struct rule_change *, uint32_t, const uint8_t *,
                 uint32_t) = calls->rules_stage;
    int (*commit)(uint64_t) = calls->version_commit;
    uint64_t version;
    uint32_t done = n;

    if (open(dp, &version)) {
        return 0;
    }
    if (stage(version, rows, n, blob, blob_size)) {
        for (done = 0; done < n && !rows[done].error; done++) {
            continue;
        }
        if (done == n) {
            done = 0;           /* No rule's fault: Python will say what. */
        }
    }
    return commit(version) ? 0 : done;
}

static bool
is_reached(const struct quick_calls *calls, uint32_t dp)
{
    uint64_t (*current)(uint32_t) = calls->version_current;
    bool (*reached)(uint32_t, uint64_t) = calls->version_reached;

    return reached(dp, current(dp));
}

/* Agrees on a version by a hello; false where it is no common one. */
static bool
agree(struct quick_talk *t, const uint8_t *p, uint32_t length)
{
    uint32_t theirs = 0, common;

    if (p[1] != 0 || !p[0] || p[0] > 31) {
        return false;
    }
    if (length == 8) {
        theirs = (UINT32_C(2) << p[0]) - 2;
    } else if (length == 16 && read16(p + 8) == 1 && read16(p + 10) == 8) {
        theirs = read32(p + 12);
    }
    common = theirs >> 1 & t->versions;
    if (!common) {
        return false;
    }
    t->version = 32 - __builtin_clz(common);
    return true;
}

/* Does for a guest what those do who know their peers; returns how many bytes
 * of the whole message at 'p' are done with. */
static uint32_t
serve_guest(struct quick_talk *t, const uint8_t *p, uint32_t length)
{
    if (!t->version) {
        return agree(t, p, length) ? length : 0;
    }
    if (t->version == OF10 && p[1] == 4 && length == 20
        && read32(p + 8) == NX_VENDOR && read32(p + 12) == 12
        && (read32(p + 16) == 0 || read32(p + 16) == 2)) {
        t->flow_format = p[19];
        return length;
    }
    if (t->version == OF10 && p[1] == 4 && length == 24
        && read32(p + 8) == NX_VENDOR && read32(p + 12) == 15
        && p[16] <= 1 && is_zero(p + 17, 7)) {
        t->table_in_command = p[16];
        return length;
    }
    return 0;
}

/* Takes in what is added to the peer's bundle; false if nothing is. */
static bool
take_added(struct quick *q, struct quick_talk *t)
{
    struct quick_run run;
    uint32_t bundle, flags;

    quick_check_bundled(q, t->version, t->data + t->used, t->size - t->used,
                        &bundle, &flags, t->added + t->n_added,
                        t->added_room - t->n_added, &run);
    if (!run.n || bundle != t->bundle || flags != t->bundle_flags) {
        return false;
    }
    t->used += run.used;
    t->n_added += run.filled;
    return true;
}

/* Does what is at the beginning of what is left; false where that is for
 * somebody else or not complete. */
static bool
answer(struct quick *q, const struct quick_calls *calls, struct quick_talk *t,
       struct rule_change *rows, uint32_t max_rows, struct quick_item *items,
       uint8_t *blob, uint32_t blob_size)
{
    const uint8_t *p = t->data + t->used;
    struct quick_run run;

    if (t->size - t->used < 8) {
        return false;
    }
    if (t->is_guest && read16(p + 2) >= 8
        && read16(p + 2) <= t->size - t->used) {
        uint32_t done = serve_guest(t, p, read16(p + 2));
        if (done) {
            t->used += done;
            return true;
        }
    }
    if (p[0] != t->version || !t->version) {
        return false;
    }
    if (p[1] == (t->version == OF10 ? 18 : 20)) {
        if (read16(p + 2) != 8 || t->n_injected || !is_reached(calls, t->dp)
            || t->n_replies + 8 > sizeof t->replies) {
            return false;
        }
        memcpy(t->replies + t->n_replies, p, 8);
        t->replies[t->n_replies + 1]++;
        t->n_replies += 8;
        t->used += 8;
        return true;
    }
    if (p[1] == 13) {
        return packets_send(q, calls, t, blob, blob_size);
    }
    if (t->has_bundle && (p[1] == 34 || (p[1] == 4 && t->version == OF13))) {
        return take_added(q, t);
    }
    quick_decode(q, t->version, t->table_in_command, t->bridge, p,
                 t->size - t->used, rows, max_rows, items, blob, blob_size,
                 &run);
    if (!run.n) {
        return false;
    }
    uint32_t done = publish(calls, t->dp, rows, run.n, blob, run.filled);
    t->used += done < run.n ? items[done].offset : run.used;
    return done == run.n;
}

/* Sends what it can of the replies. */
static bool
send_replies(struct quick_talk *t)
{
    ssize_t n = t->n_replies
        ? send(t->fd, t->replies, t->n_replies, MSG_DONTWAIT | MSG_NOSIGNAL)
        : 0;

    if (n > 0) {
        memmove(t->replies, t->replies + n, t->n_replies - n);
        t->n_replies -= n;
    }
    return !t->n_replies;
}

static bool
await_input(int fd, uint32_t linger_us)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    struct timespec linger = { .tv_nsec = linger_us * 1000L };

    return ppoll(&poll_fd, 1, &linger, NULL) == 1;
}

/* Asks again and again for input for a while: to be woken up takes longer
 * than most answers do.  After each time in vain, which is mostly because
 * others need the processors, it asks less often. */
static bool
spin_for_input(struct quick *q, int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    if (q->n_unspun) {
        q->n_unspun--;
        return false;
    }
    for (int64_t end_us = time_us() + SPIN_US; time_us() < end_us; ) {
        if (poll(&poll_fd, 1, 0) == 1) {
            q->n_vain_spins = 0;
            return true;
        }
    }
    q->n_vain_spins = MIN(q->n_vain_spins + 1, MAX_VAIN_SPINS);
    q->n_unspun = (1 << q->n_vain_spins) - 1;
    return false;
}

/* Waits for the peer to say more. */
static bool
receive(struct quick *q, struct quick_talk *t)
{
    memmove(t->data, t->data + t->used, t->size - t->used);
    t->size -= t->used;
    t->used = 0;
    if (t->size == t->room) {
        return false;
    }
    if (t->n_added) {
        /* Who is asleep in poll() costs the sender time for each message. */
        struct timespec nap = { .tv_nsec = t->nap_us * 1000L };
        nanosleep(&nap, NULL);
    }
    if (t->linger_us && !spin_for_input(q, t->fd)
        && !await_input(t->fd, t->linger_us)) {
        return false;
    }
    ssize_t n = recv(t->fd, t->data + t->size, t->room - t->size,
                     MSG_DONTWAIT);
    if (n <= 0) {
        t->is_over = !n && !t->size;
        t->is_broken = n ? errno != EAGAIN && errno != EINTR : t->size;
        return false;           /* Who reads next learns why. */
    }
    t->size += n;
    return true;
}

int
quick_admit(int listener, uint32_t linger_us, const uint8_t *hello,
            uint32_t hello_size)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && errno == EAGAIN && await_input(listener, linger_us)) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    if (fd < 0) {
        return errno == EAGAIN || errno == ECONNABORTED ? -1 : -2;
    }
    /* Who does not take even that will be found to have left. */
    if (send(fd, hello, hello_size, MSG_NOSIGNAL) < 0) {
        shutdown(fd, SHUT_RDWR);
    }
    return fd;
}

void
quick_converse(struct quick *q, const struct quick_calls *calls,
               struct quick_talk *t, void *rows, uint32_t max_rows,
               struct quick_item *items, uint8_t *blob, uint32_t blob_size)
{
    int64_t end_us = time_us() + t->turn_us;
    uint32_t left;

    do {
        while (answer(q, calls, t, rows, max_rows, items, blob, blob_size)) {
            continue;
        }
        left = t->size - t->used;
        if (!send_replies(t)
            || (left >= 8 && left >= read16(t->data + t->used + 2))) {
            return;             /* A whole message is for somebody else. */
        }
    } while (time_us() < end_us && receive(q, t));
}
