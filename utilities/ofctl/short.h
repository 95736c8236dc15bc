/* short.h: what ovs-ofctl can do before Python is there; start.c asks for it.
 */

#pragma once

/* Carries out the command line if it is one of those that are known here and
 * all goes as it always does.  Returns an exit code, or -1: nothing has been
 * said and no flow has been changed that doing all of it anew would not
 * change, so it is for Python. */
int ofctl_short(int argc, char **argv);
