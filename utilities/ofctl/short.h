/* short.h: what ovs-ofctl can do before Python is there; start.c asks for it.
 */

#pragma once

#include <stddef.h>
#include <stdint.h>

/* What is left for Python to go on with: see begun.py.  A switch that has been
 * asked for its flows or sent some, but what it answers is not usual; and what
 * was read from stdin. */
struct short_talk {
    int fd;                     /* -1: there is no such switch. */
    uint32_t xid;               /* Of the last message to it. */
    uint32_t n_sent;            /* Flow_mods so far. */
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
