/* pcap.c: see pcap.h. */
#include "port/pcap.h"

#include <stdio.h>
#include <time.h>

#include "base/lock.h"

struct pcap {
    struct lock lock;
    FILE *file;
    uint32_t n_refs;            /* Owner: control thread. */
};

struct pcap *
pcap_open(const char *name)
{
    static const struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, link;
    } header = { 0xa1b2c3d4, 2, 4, 0, 0, 1518, 1 };
    FILE *file = fopen(name, "wbe");
    if (!file) {
        return NULL;
    }
    struct pcap *pcap = xzalloc(sizeof *pcap);
    lock_init(&pcap->lock);
    pcap->file = file;
    pcap->n_refs = 1;
    fwrite(&header, sizeof header, 1, file);
    fflush(file);
    return pcap;
}

struct pcap *
pcap_ref(struct pcap *pcap)
{
    pcap->n_refs++;
    return pcap;
}

void
pcap_close(struct pcap *pcap)
{
    if (pcap && !--pcap->n_refs) {
        fclose(pcap->file);
        lock_destroy(&pcap->lock);
        free(pcap);
    }
}

void
pcap_write(struct pcap *pcap, const uint8_t *frame, uint32_t size)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    uint32_t head[4] = { wall.tv_sec, wall.tv_nsec / 1000, size, size };
    lock_take(&pcap->lock);
    fwrite(head, sizeof head, 1, pcap->file);
    fwrite(frame, size, 1, pcap->file);
    lock_drop(&pcap->lock);
}

void
pcap_flush(struct pcap *pcap)
{
    lock_take(&pcap->lock);
    fflush(pcap->file);
    lock_drop(&pcap->lock);
}
