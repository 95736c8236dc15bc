/* pcap.h: files of frames in pcap's format.  Any thread. */
#pragma once

#include "base/base.h"

struct pcap;

/* Opens 'name' for writing from the start (NULL and errno on failure). */
struct pcap *pcap_open(const char *name);
struct pcap *pcap_ref(struct pcap *);
void pcap_close(struct pcap *);
void pcap_write(struct pcap *, const uint8_t *frame, uint32_t size);
void pcap_flush(struct pcap *);
