/* short_lines.c: carries out command lines of ovs-ofctl as the tool does
 * before Python is there, one after another in one process, so that thousands
 * of them can be tried under sanitizers.
 *
 * Usage: short_lines ROOT.  Each line of stdin is a command line, its words
 * separated by tabs; behind what it prints comes a line "\1CODE\n" with the
 * result of ofctl_short(). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../utilities/ofctl/short.h"

int
main(int argc, char *argv[])
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    while (argc == 2 && (n = getline(&line, &room, stdin)) > 0) {
        struct short_talk talk = { .fd = -1 };
        char *words[32] = { "ovs-ofctl" };
        int n_words = 1;

        line[n - 1] = '\0';
        for (char *p = line, *word; (word = strsep(&p, "\t")) && n_words < 31;
             n_words++) {
            words[n_words] = word;
        }
        int code = ofctl_short(n_words, words, argv[1], &talk);
        if (talk.fd >= 0) {
            close(talk.fd);
        }
        dprintf(STDOUT_FILENO, "\1%d\n", code);
    }
    free(line);
    return argc != 2;
}
