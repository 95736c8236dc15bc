/* JSON text and journal records, made from the values of rows.
 *
 * Used by transact.c.  What is written is byte for byte what orjson writes.
 * Functions that return bool return false with a Python exception set, or
 * without one where a value is not of the common kind.  The caller has the
 * GIL. */

#ifndef QUICK_TEXT_H
#define QUICK_TEXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types of atoms, as road.py numbers them. */
enum atom_kind {
    ATOM_NONE,                  /* No atom: a set or scalar has no values. */
    ATOM_STRING,
    ATOM_INTEGER,
    ATOM_BOOLEAN,
    ATOM_UUID,
    ATOM_OTHER,                 /* Written by Python. */
};

/* A text that grows. */
struct text {
    char *data;                 /* Owned; PyMem. */
    size_t size;                /* Bytes written. */
    size_t room;                /* Bytes allocated. */
};

void text_clear(struct text *);
void text_free(struct text *);
bool text_append(struct text *, const char *, size_t);
bool text_append_string(struct text *, PyObject *);
bool text_append_integer(struct text *, long long);
bool text_append_atom(struct text *, enum atom_kind, PyObject *);
PyObject *text_to_bytes(const struct text *);
PyObject *text_to_record(const struct text *);

#define text_append_literal(text, literal) \
    text_append(text, literal, sizeof(literal) - 1)

#endif
