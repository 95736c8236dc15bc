/* quick.h: what Python may call of the quick codec; cffi reads it.
 *
 * Decodes runs of flow_mods straight into rule_changes of the datapath, and
 * encodes dumped rules straight into flow statistics.  It knows only what is
 * common: at the first message or rule that is anything else it stops, and
 * vswitchd.openflow's codec, which knows all, does that one.  It never
 * refuses: an error is something else.
 *
 * Matches are read and written by rows that Python makes of the field table.
 * Actions are not read, but for the plainest (plain.h): their bytes, with the
 * facts of the match that their meaning hangs on, are looked up in a table of
 * what was compiled before.  One thread. */

#pragma once
#include <stdint.h>

struct quick_field {            /* A TLV. */
    uint32_t header;            /* Its first four bytes. */
    uint32_t header_masked;     /* Writing: the header with a mask. */
    uint16_t offset;            /* Container in struct flow. */
    uint8_t size;               /* Of the container: bytes, at most 8, 16. */
    uint8_t length;             /* Of the value on the wire, in bytes. */
    uint8_t shift;              /* Of the field in the container. */
    uint8_t masked;             /* Reading: a mask follows the value. */
    uint8_t maskable;
    uint8_t prereq;             /* enum prereq. */
    uint8_t form;               /* enum quick_form. */
    uint8_t pad[3];
    uint64_t ones;              /* Bits of the field; not for size 16. */
    uint64_t allowed;           /* Bits that a value may have. */
};

enum quick_form {
    QUICK_PLAIN,                /* Value and mask. */
    QUICK_WHOLE,                /* All of its container or nothing. */
    QUICK_PORT,                 /* in_port, 32 bits on the wire. */
    QUICK_PORT16,               /* in_port, 16 bits on the wire. */
    QUICK_PCP,                  /* VLAN priority, which says there is a tag. */
};

enum quick_stop {               /* Why a function did not take all. */
    QUICK_END,                  /* It did, but for an unfinished message. */
    QUICK_OTHER,                /* A message or rule of another kind. */
    QUICK_UNKNOWN,              /* Only its actions are not known yet. */
    QUICK_FULL,                 /* No room for what comes out. */
};

struct quick_item {             /* A message that was taken. */
    uint32_t offset, length;    /* In the data. */
};

struct quick_run {              /* What a function did. */
    uint32_t n;                 /* Messages or rules taken. */
    uint32_t used;              /* Bytes of input taken. */
    uint32_t filled;            /* Bytes of blob or output filled. */
    uint32_t stop;              /* enum quick_stop. */
};

/* 'read' are rows for decoding, sorted by header; 'write' rows for encoding,
 * in the order on the wire, as many as 'n_write' says for each OpenFlow
 * version; in place of 1.0 and 1.1 NXM. */
struct quick *quick_new(const struct quick_field *read, uint32_t n_read,
                        const struct quick_field *write,
                        const uint32_t n_write[7]);
void quick_free(struct quick *);

/* Says by which numbers sources name the plainest actions; 0, 0, 0: there are
 * none. */
void quick_set_kinds(struct quick *, uint32_t output, uint32_t group,
                     uint32_t goto_table);

/* Decodes flow_mods of OpenFlow 'version' in 'data' into 'rows' (struct
 * rule_change) for 'bridge'; matches and programs go to 'blob'.  In OpenFlow
 * 1.0 commands may have the table in their upper byte: 'table_in_command'. */
void quick_decode(struct quick *, uint8_t version, uint8_t table_in_command,
                  uint32_t bridge, const uint8_t *data, uint32_t size,
                  void *rows, uint32_t max_rows, struct quick_item *items,
                  uint8_t *blob, uint32_t blob_size, struct quick_run *);

struct quick_calls {            /* Functions of the switching library. */
    void *version_open, *rules_stage, *version_commit;
    void *version_current, *version_reached;
    void *packets_inject;
};

struct quick_talk {             /* A conversation with a peer on a socket. */
    int32_t fd;
    uint8_t version;            /* 0: agreed on by the peer's hello... */
    uint8_t table_in_command;
    uint8_t versions;           /* ...of these, 1 << (version - 1) each. */
    uint8_t is_guest;           /* Nobody else knows of the peer: */
    uint8_t flow_format;        /* what it asked for is kept here, */
    uint8_t is_over;            /* Out: it has left, with all answered... */
    uint8_t is_broken;          /* ...or not. */
    uint8_t has_bundle;         /* What is added to one goes to 'added'. */
    uint32_t bundle, bundle_flags;
    uint32_t dp, bridge;
    uint32_t linger_us;         /* How long to wait for the next question, */
    uint32_t turn_us;           /* and how long to go on at all. */
    uint32_t nap_us;            /* Adds to a bundle come in crowds if let. */
    uint8_t *data;              /* What has been received... */
    uint32_t size, room;        /* ...in and out, and its most. */
    uint32_t used;              /* Out: how much of it is done. */
    uint32_t n_injected;        /* Out: packet-outs done. */
    uint8_t *added;             /* flow_mods, one behind the other; */
    uint32_t added_room;
    uint32_t n_added;           /* out: bytes of these. */
    uint32_t n_replies;         /* Out: bytes of replies that are not sent, */
    uint8_t replies[4096];      /* these. */
};

/* Carries out flow_mods and packet-outs, takes in what is added to a bundle
 * and answers barriers for as long as a peer asks for nothing else and asks at
 * once.  A barrier behind packet-outs
 * is for those who first tell what these have brought about.  Guests say hello
 * and choose the format of flows, too. */
void quick_converse(struct quick *, const struct quick_calls *,
                    struct quick_talk *, void *rows, uint32_t max_rows,
                    struct quick_item *items, uint8_t *blob,
                    uint32_t blob_size);

/* Takes in who comes to a listening socket within 'linger_us' and greets him.
 * Returns his socket, -1 if nobody came, or -2 if that failed. */
int quick_admit(int listener, uint32_t linger_us, const uint8_t *hello,
                uint32_t hello_size);

/* Checks flow_mods that are added to one bundle and copies them to 'out', one
 * behind the other. */
void quick_check_bundled(struct quick *, uint8_t version, const uint8_t *data,
                         uint32_t size, uint32_t *bundle, uint32_t *flags,
                         uint8_t *out, uint32_t out_size, struct quick_run *);

/* Says what the actions mean at which a decoder just stopped with
 * QUICK_UNKNOWN. */
void quick_learn(struct quick *, const uint8_t *program,
                 uint32_t program_size, const uint8_t *source,
                 uint32_t source_size);

/* Says what a list of actions means in packet-outs of 'version'. */
void quick_learn_output(struct quick *, uint8_t version,
                        const uint8_t *actions, uint32_t actions_size,
                        const uint8_t *program, uint32_t program_size);

/* Encodes the rule_records in 'records' as entries of flow statistics; in
 * OpenFlow 1.0 of Nicira's. */
void quick_encode(struct quick *, uint8_t version, const uint8_t *records,
                  uint32_t size, int64_t now_ms, uint8_t *out,
                  uint32_t out_size, struct quick_run *);

struct quick_dump {             /* Statistics of rules on their way out. */
    void *rules_dump;           /* Of the switching library; its filter, */
    const void *filter;
    const uint8_t *match;       /* match or NULL, */
    uint64_t cursor[2];         /* and cursor. */
    uint8_t *records;           /* Read and not written yet: from 'at'... */
    uint32_t room, size, at;    /* ...to 'size'. */
    uint8_t is_last;            /* There are no more than these. */
    uint8_t version;
    uint8_t pad[2];
    int64_t now_ms;
};

/* Encodes rules until there are no more (QUICK_END) or something stops it. */
void quick_dump(struct quick *, struct quick_dump *, uint8_t *out,
                uint32_t out_size, struct quick_run *);

enum { QUICK_REASONS = 8 };

struct quick_listener {         /* Who hears of frames, as packet-ins. */
    uint32_t bridge;
    uint32_t controller_id;
    uint8_t version;            /* 1 or 4 and more, in its plain form. */
    uint8_t told[8];            /* Each reason's number, 255: none. */
    uint8_t pad[3];
};

/* Encodes the upcall_records in 'records' as packet-ins of one that listens;
 * '->n' counts the records, '->filled' bytes of messages. */
void quick_packet_ins(struct quick *, const struct quick_listener *,
                      const uint8_t *records, uint32_t size, uint8_t *out,
                      uint32_t out_size, struct quick_run *);

/* Says how 'version' encodes the actions of a rule by its source. */
void quick_learn_wire(struct quick *, uint8_t version, const uint8_t *source,
                      uint32_t source_size, const uint8_t *wire,
                      uint32_t wire_size);
