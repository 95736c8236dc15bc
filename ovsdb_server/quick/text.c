/* JSON text and journal records; see text.h. */

#include "text.h"

#include <stdio.h>
#include <string.h>

/* Memory that a text keeps between two uses. */
enum { ROOM_KEPT = 1 << 20 };

/* Makes 'text' empty. */
void
text_clear(struct text *text)
{
    if (text->room > ROOM_KEPT) {
        text_free(text);
    }
    text->size = 0;
}

/* Frees what 'text' holds. */
void
text_free(struct text *text)
{
    PyMem_Free(text->data);
    text->data = NULL;
    text->size = text->room = 0;
}

/* Makes room for 'size' bytes more. */
static bool
text_reserve(struct text *text, size_t size)
{
    if (size <= text->room - text->size) {
        return true;
    }
    if (size > PY_SSIZE_T_MAX / 4 || text->size > PY_SSIZE_T_MAX / 4) {
        PyErr_NoMemory();
        return false;
    }
    size_t room = 2 * (text->size + size) + 512;
    char *data = PyMem_Realloc(text->data, room);
    if (!data) {
        PyErr_NoMemory();
        return false;
    }
    text->data = data;
    text->room = room;
    return true;
}

/* Appends the 'size' bytes at 'data'. */
bool
text_append(struct text *text, const char *data, size_t size)
{
    if (!text_reserve(text, size)) {
        return false;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
    return true;
}

/* Writes the escape of 'c' to 'out', which has room for 6 bytes, if it needs
 * one; returns its size. */
static size_t
escape(unsigned char c, char *out)
{
    static const char digits[] = "0123456789abcdef";
    static const char shorts[] = "btn\0fr";

    out[0] = '\\';
    if (c == '"' || c == '\\') {
        out[1] = c;
        return 2;
    }
    if (c >= '\b' && c <= '\r' && shorts[c - '\b']) {
        out[1] = shorts[c - '\b'];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = digits[c >> 4];
    out[5] = digits[c & 15];
    return 6;
}

static bool
append_escaped(struct text *text, const char *data, size_t size)
{
    if (size > PY_SSIZE_T_MAX / 8 || !text_reserve(text, 6 * size + 2)) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        return false;
    }
    char *out = text->data + text->size;
    *out++ = '"';
    for (size_t i = 0; i < size; i++) {
        unsigned char c = data[i];

        if (c < ' ' || c == '"' || c == '\\') {
            out += escape(c, out);
        } else {
            *out++ = c;
        }
    }
    *out++ = '"';
    text->size = out - text->data;
    return true;
}

/* Appends the str 'string' with its quotes. */
bool
text_append_string(struct text *text, PyObject *string)
{
    if (!PyUnicode_CheckExact(string)) {
        return false;
    }
    if (PyUnicode_IS_COMPACT_ASCII(string)) {
        return append_escaped(text, PyUnicode_DATA(string),
                              PyUnicode_GET_LENGTH(string));
    }
    PyObject *bytes = PyUnicode_AsUTF8String(string);
    if (!bytes) {
        return false;
    }
    bool ok = append_escaped(text, PyBytes_AS_STRING(bytes),
                             PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return ok;
}

/* Appends 'value' in decimal. */
bool
text_append_integer(struct text *text, long long value)
{
    char digits[24];
    char *end = digits + sizeof digits;
    char *p = end;
    unsigned long long rest = value < 0 ? 0ull - (unsigned long long) value
                                        : (unsigned long long) value;

    do {
        *--p = '0' + rest % 10;
        rest /= 10;
    } while (rest);
    if (value < 0) {
        *--p = '-';
    }
    return text_append(text, p, end - p);
}

/* Appends the JSON of an atom. */
bool
text_append_atom(struct text *text, enum atom_kind kind, PyObject *atom)
{
    switch (kind) {
    case ATOM_STRING:
        return text_append_string(text, atom);
    case ATOM_INTEGER: {
        int overflow = 0;
        long long value;

        if (!PyLong_CheckExact(atom)) {
            return false;
        }
        value = PyLong_AsLongLongAndOverflow(atom, &overflow);
        return !overflow && text_append_integer(text, value);
    }
    case ATOM_BOOLEAN:
        return (atom == Py_True ? text_append_literal(text, "true")
                : atom == Py_False ? text_append_literal(text, "false")
                : false);
    case ATOM_UUID:
        return (text_append_literal(text, "[\"uuid\",")
                && text_append_string(text, atom)
                && text_append_literal(text, "]"));
    case ATOM_NONE:
    case ATOM_OTHER:
        break;
    }
    return false;
}

/* Returns what was written as new bytes. */
PyObject *
text_to_bytes(const struct text *text)
{
    return PyBytes_FromStringAndSize(text->data, text->size);
}

/* SHA-1 (FIPS 180-4, section 6.1). */

static uint32_t
rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static uint32_t
read_be32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void
sha1_block(uint32_t state[5], const uint8_t block[64])
{
    uint32_t w[16];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4];

    for (int i = 0; i < 16; i++) {
        w[i] = read_be32(block + 4 * i);
    }
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;

        if (i >= 16) {
            w[i & 15] = rotate(w[(i + 13) & 15] ^ w[(i + 8) & 15]
                               ^ w[(i + 2) & 15] ^ w[i & 15], 1);
        }
        if (i < 20) {
            f = d ^ (b & (c ^ d));
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (d & (b | c));
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t next = rotate(a, 5) + f + e + k + w[i & 15];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

/* Writes the SHA-1 of 'data' to 'hex' as 40 digits. */
static void
sha1(const uint8_t *data, size_t size, char hex[40])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                         0xc3d2e1f0};
    uint8_t tail[128] = {0};
    size_t whole = size / 64 * 64;
    size_t rest = size - whole;
    size_t tail_size = rest < 56 ? 64 : 128;
    uint64_t n_bits = (uint64_t) size * 8;

    for (size_t i = 0; i < whole; i += 64) {
        sha1_block(state, data + i);
    }
    memcpy(tail, data + whole, rest);
    tail[rest] = 0x80;
    for (int i = 0; i < 8; i++) {
        tail[tail_size - 1 - i] = n_bits >> (8 * i);
    }
    for (size_t i = 0; i < tail_size; i += 64) {
        sha1_block(state, tail + i);
    }
    for (int i = 0; i < 40; i++) {
        hex[i] = digits[state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    }
}

/* Returns the journal record whose body is 'text', which ends in a newline,
 * as new bytes. */
PyObject *
text_to_record(const struct text *text)
{
    char header[96];
    char hex[40];

    sha1((const uint8_t *) text->data, text->size, hex);
    int n = snprintf(header, sizeof header, "OVSDB JSON %zu %.40s\n",
                     text->size, hex);
    PyObject *record = PyBytes_FromStringAndSize(NULL, n + text->size);
    if (record) {
        memcpy(PyBytes_AS_STRING(record), header, n);
        memcpy(PyBytes_AS_STRING(record) + n, text->data, text->size);
    }
    return record;
}
