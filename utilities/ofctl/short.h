/* short.h: what ovs-ofctl can do before Python is there; start.c asks for it.
 */

#pragma once

#include <stddef.h>
#include <stdint.h>

/* A switch that has been asked for its flows, but what it answers is for
 * Python: see short.py. */
struct short_talk {
    int fd;                     /* -1: there is none. */
    uint32_t xid;               /* Of the last message to it. */
    const uint8_t *data;        /* What has been received since... */
    size_t size;                /* ...and its size. */
};

/* Carries out the command line if it is one of those that are known here and
 * all goes as it always does; our modules are in 'root'.  Returns an exit
 * code, or -1: nothing has been printed, and no flow has been changed that
 * doing all of it anew would not change, so it is for Python, perhaps with
 * '*talk'. */
int ofctl_short(int argc, char **argv, const char *root, struct short_talk *);
