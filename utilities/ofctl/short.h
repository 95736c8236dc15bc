/* short.h: what tools can do before Python is there; start.c asks for it. */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What is left for Python to go on with, see utilities/begun.py: a switch that
 * was asked for its flows or sent some, or a daemon that was sent a request,
 * but what it answers is not usual; and what was read from stdin. */
struct short_talk {
    int fd;                     /* -1: there is no such switch. */
    uint32_t xid;               /* Of the last message to it. */
    uint32_t n_sent;            /* Flow_mods or requests so far. */
    const uint8_t *data;        /* What has been received since... */
    size_t size;                /* ...and its size. */
    const char *input;          /* NULL: nothing was read. */
    size_t input_size;
};

/* Carries out the command line if it is one of those that are known here and
 * all goes as it always does; our modules are in 'root'.  Returns an exit
 * code, or -1: nothing has been printed, and it is for Python, perhaps with
 * '*talk'. */
int ofctl_short(int argc, char **argv, const char *root, struct short_talk *);
int appctl_short(int argc, char **argv, const char *root, struct short_talk *);

/* Are stdin, stdout and stderr there?  Else Python opens something. */
bool short_may_run(void);

/* Connects to the socket file 'path'; returns its fd or -1. */
int short_connect(const char *path);

/* Writes all of 'data' to stdout; trouble is not told, as by Python. */
void short_print(const char *data, size_t size);

/* How long this process may live, in ms, -1: as long as it likes; and what is
 * left of it for Python when it 'began' a while ago. */
int short_limit(void);
void short_leave(int limit_ms, time_t began);
