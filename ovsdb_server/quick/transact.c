/* Transactions of the common kind, decided and applied on the rows of the
 * engine.
 *
 * What
 * ====
 *
 * A `Road` belongs to a database of the server (engine/database.py) and works
 * on the same objects: rows are tuples of datums in dictionaries by UUID.
 * `decide` takes the parameters of a "transact" request and, if all of it is
 * common and plainly right, returns the reply, the journal record and the
 * delta, as the engine would have found them; it changes nothing.  `apply`
 * puts the delta in place.
 *
 * Why
 * ===
 *
 * The engine in Python takes 15 us for the insertion of a row, of which one
 * is work.
 *
 * How
 * ===
 *
 * It only ever accepts.  Whatever is not plainly right, or has consequences
 * for other rows (references, garbage), makes `decide` return None, and then
 * the engine does it, or says what is wrong.  A function that returns false
 * means that, whether or not there is a Python exception: `decide` forgets
 * the exception.
 *
 * Thread-safety
 * =============
 *
 * The caller has the GIL.  Python code that is called from here (readers of
 * unusual values) does not come back to the same Road. */

#include "text.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    TABLES_MAX = 8,             /* Tables that one transaction changes. */
    VALUES_MAX = 64,            /* Columns that one operation changes. */
    UUID_INDEX = 0,             /* Places in a row. */
    VERSION_INDEX = 1,
    FIRST_INDEX = 2
};

/* How a column's values are read, as road.py numbers the ways. */
enum read_kind {
    READ_PYTHON,                /* By the reader of the type. */
    READ_STRING,                /* Any string, exactly one. */
    READ_INTEGER,               /* Any integer, exactly one. */
    READ_BOOLEAN,               /* A boolean, exactly one. */
    READ_STRING_MAP             /* Any strings with any strings. */
};

struct column {
    PyObject *name;             /* str. */
    PyObject *read;             /* Function of JSON value and symbols. */
    PyObject *write;            /* Function of a datum. */
    PyObject *type;             /* ColumnType. */
    PyObject *default_datum;    /* tuple. */
    int read_kind;              /* enum read_kind. */
    int key_kind;               /* enum atom_kind of atoms or keys. */
    int value_kind;             /* enum atom_kind of values of a map. */
    int is_composite;           /* May it have more than one element? */
    int is_mutable;
    int is_reference;
    int is_persistent;
};

struct index {
    PyObject *keys;             /* dict of UUIDs. */
    Py_ssize_t n_columns;
    Py_ssize_t *columns;        /* Places in a row. */
};

struct table {
    PyObject *name;             /* str. */
    PyObject *base;             /* TableRows. */
    PyObject *rows;             /* dict of rows, that of 'base'. */
    PyObject *default_row;      /* tuple. */
    PyObject *places;           /* dict of places in a row by name. */
    Py_ssize_t n_columns;
    struct column *columns;
    Py_ssize_t n_indexes;
    struct index *indexes;
    int may_insert;             /* Have new rows no consequences? */
    long long max_rows;         /* -1 if unlimited. */
};

typedef struct {
    PyObject_HEAD
    PyObject *new_uuid;         /* Function, or None: random ones. */
    PyObject *find;             /* Function of TableRows and conditions. */
    PyObject *diff;             /* datum.diff. */
    PyObject *dumps;            /* orjson.dumps. */
    PyObject *numbers;          /* dict of places in 'tables' by name. */
    Py_ssize_t n_tables;
    struct table *tables;
    struct text reply;          /* What the last `decide` wrote. */
    struct text record;
} Road;

/* A table that the transaction has to do with. */
struct used {
    struct table *table;
    PyObject *changes;          /* dict of (old row, new row) by UUID. */
};

struct run {
    Road *road;
    Py_ssize_t n_used;
    struct used used[TABLES_MAX];
    PyObject *comments;         /* list of str, or NULL. */
    bool is_durable;
};

/* Names of members. */
static PyObject *s_op, *s_table, *s_row, *s_where, *s_mutations, *s_durable;
static PyObject *s_comment;

static bool
is_word(PyObject *object, const char *word)
{
    size_t size = strlen(word);

    return (PyUnicode_CheckExact(object)
            && PyUnicode_IS_COMPACT_ASCII(object)
            && (size_t) PyUnicode_GET_LENGTH(object) == size
            && !memcmp(PyUnicode_DATA(object), word, size));
}

/* Returns the number that 'dict' has under the str 'key', -1 if none. */
static Py_ssize_t
number_of(PyObject *dict, PyObject *key)
{
    if (!key || !PyUnicode_CheckExact(key)) {
        return -1;
    }
    PyObject *number = PyDict_GetItemWithError(dict, key);
    return number ? PyLong_AsSsize_t(number) : -1;
}

/* Makes 'number' what 'dict' has under 'key'. */
static bool
set_number(PyObject *dict, PyObject *key, Py_ssize_t number)
{
    PyObject *value = PyLong_FromSsize_t(number);
    bool ok = value && !PyDict_SetItem(dict, key, value);

    Py_XDECREF(value);
    return ok;
}

/* Returns the used table that the JSON value 'name' names, or NULL. */
static struct used *
use_table(struct run *run, PyObject *name)
{
    Py_ssize_t number = number_of(run->road->numbers, name);

    if (number < 0) {
        return NULL;
    }
    struct table *table = &run->road->tables[number];
    for (Py_ssize_t i = 0; i < run->n_used; i++) {
        if (run->used[i].table == table) {
            return &run->used[i];
        }
    }
    if (run->n_used == TABLES_MAX) {
        return NULL;
    }
    PyObject *changes = PyDict_New();
    if (!changes) {
        return NULL;
    }
    struct used *used = &run->used[run->n_used++];
    used->table = table;
    used->changes = changes;
    return used;
}

/* Is 'row' a tuple of as many tuples as the table has columns? */
static bool
is_row(const struct table *table, PyObject *row)
{
    if (!PyTuple_CheckExact(row)
        || PyTuple_GET_SIZE(row) != table->n_columns) {
        return false;
    }
    for (Py_ssize_t i = 0; i < table->n_columns; i++) {
        if (!PyTuple_CheckExact(PyTuple_GET_ITEM(row, i))) {
            return false;
        }
    }
    return PyTuple_GET_SIZE(PyTuple_GET_ITEM(row, UUID_INDEX)) == 1;
}

/* Returns the row 'uuid' as the transaction sees it (borrowed), or NULL. */
static PyObject *
get_row(struct used *used, PyObject *uuid)
{
    PyObject *change = PyDict_GetItemWithError(used->changes, uuid);

    if (change) {
        return PyTuple_GET_ITEM(change, 1);
    }
    return (PyErr_Occurred()
            ? NULL : PyDict_GetItemWithError(used->table->rows, uuid));
}

/* Makes the row 'uuid' be 'row'. */
static bool
put_row(struct used *used, PyObject *uuid, PyObject *row)
{
    PyObject *change = PyDict_GetItemWithError(used->changes, uuid);
    PyObject *old = NULL;

    if (change) {
        old = PyTuple_GET_ITEM(change, 0);
    } else if (!PyErr_Occurred()) {
        old = PyDict_GetItemWithError(used->table->rows, uuid);
    }
    if (PyErr_Occurred()) {
        return false;
    }
    PyObject *pair = PyTuple_Pack(2, old ? old : Py_None, row);
    if (!pair) {
        return false;
    }
    bool ok = !PyDict_SetItem(used->changes, uuid, pair);
    Py_DECREF(pair);
    return ok;
}

/* Returns a new tuple of 'a', whose reference is taken over; NULL is passed
 * on. */
static PyObject *
wrap(PyObject *a)
{
    if (!a) {
        return NULL;
    }
    PyObject *tuple = PyTuple_New(1);
    if (!tuple) {
        Py_DECREF(a);
        return NULL;
    }
    PyTuple_SET_ITEM(tuple, 0, a);
    /* Atoms, and pairs of them, make no cycles: nothing for the collector. */
    PyObject_GC_UnTrack(tuple);
    return tuple;
}

/* Random bytes in store, as many as getrandom() gives without fail. */
static uint8_t stock[256];
static size_t n_stock;

/* A child must not give out what its parent has in store. */
static void
drop_stock(void)
{
    n_stock = 0;
}

/* Returns a random (version 4) UUID as atom.random_uuid does. */
static PyObject *
random_uuid(void)
{
    static const char digits[] = "0123456789abcdef";
    enum { SIZE = 16 };

    if (n_stock < SIZE) {
        if (getrandom(stock, sizeof stock, 0) != sizeof stock) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        n_stock = sizeof stock;
    }
    n_stock -= SIZE;
    uint8_t *bytes = stock + n_stock;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    PyObject *uuid = PyUnicode_New(36, 127);
    if (!uuid) {
        return NULL;
    }
    Py_UCS1 *out = PyUnicode_1BYTE_DATA(uuid);
    for (int i = 0; i < SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out++ = '-';
        }
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return uuid;
}

static PyObject *
new_uuid_datum(Road *road)
{
    PyObject *uuid = (road->new_uuid == Py_None ? random_uuid()
                      : PyObject_CallNoArgs(road->new_uuid));

    if (uuid && !PyUnicode_CheckExact(uuid)) {
        Py_CLEAR(uuid);
    }
    return wrap(uuid);
}

/* May 'json' be an atom of a string column as it is? */
static bool
is_plain_string(PyObject *json)
{
    return (PyUnicode_CheckExact(json) && PyUnicode_IS_COMPACT_ASCII(json)
            && !memchr(PyUnicode_DATA(json), 0, PyUnicode_GET_LENGTH(json)));
}

/* Returns the elements of a JSON array ["'word'", [...]] (borrowed) or
 * NULL. */
static PyObject *
elements_of(PyObject *json, const char *word)
{
    if (PyList_CheckExact(json) && PyList_GET_SIZE(json) == 2
        && is_word(PyList_GET_ITEM(json, 0), word)
        && PyList_CheckExact(PyList_GET_ITEM(json, 1))) {
        return PyList_GET_ITEM(json, 1);
    }
    return NULL;
}

/* Returns the datum that 'json' is in 'column', or NULL. */
static PyObject *
read_datum(const struct column *column, PyObject *json)
{
    switch (column->read_kind) {
    case READ_STRING:
        if (is_plain_string(json)) {
            Py_INCREF(json);
            return wrap(json);
        }
        break;
    case READ_INTEGER:
        if (PyLong_CheckExact(json)) {
            int overflow = 0;

            PyLong_AsLongLongAndOverflow(json, &overflow);
            if (!overflow) {
                Py_INCREF(json);
                return wrap(json);
            }
        }
        break;
    case READ_BOOLEAN:
        if (PyBool_Check(json)) {
            Py_INCREF(json);
            return wrap(json);
        }
        break;
    case READ_STRING_MAP: {
        PyObject *pairs = elements_of(json, "map");

        if (pairs && PyList_GET_SIZE(pairs) == 1) {
            PyObject *pair = PyList_GET_ITEM(pairs, 0);

            if (PyList_CheckExact(pair) && PyList_GET_SIZE(pair) == 2
                && is_plain_string(PyList_GET_ITEM(pair, 0))
                && is_plain_string(PyList_GET_ITEM(pair, 1))) {
                return wrap(PyTuple_Pack(2, PyList_GET_ITEM(pair, 0),
                                         PyList_GET_ITEM(pair, 1)));
            }
        }
        break;
    }
    }
    PyObject *datum = PyObject_CallOneArg(column->read, json);
    if (datum && !PyTuple_CheckExact(datum)) {
        Py_CLEAR(datum);
    }
    return datum;
}

/* Operations. */

/* A datum for a column; those of a list are owned by it. */
struct value {
    Py_ssize_t place;
    PyObject *datum;
};

struct values {
    Py_ssize_t n;
    struct value list[VALUES_MAX];
};

static void
values_free(struct values *values)
{
    for (Py_ssize_t i = 0; i < values->n; i++) {
        Py_DECREF(values->list[i].datum);
    }
}

/* Reads the object 'json' of column values; what is read belongs to the
 * caller even if false is returned.  Columns of references are not for us
 * unless empty in a row that 'is_new'. */
static bool
read_values(const struct table *table, PyObject *json, bool is_new,
            struct values *values)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;

    values->n = 0;
    if (!json || !PyDict_CheckExact(json)) {
        return false;
    }
    while (PyDict_Next(json, &position, &name, &value)) {
        Py_ssize_t place = number_of(table->places, name);

        if (place < FIRST_INDEX || values->n == VALUES_MAX) {
            return false;
        }
        const struct column *column = &table->columns[place];
        if (!is_new && (!column->is_mutable || column->is_reference)) {
            return false;
        }
        PyObject *datum = read_datum(column, value);
        if (!datum) {
            return false;
        }
        values->list[values->n++] = (struct value) {place, datum};
        if (column->is_reference && PyTuple_GET_SIZE(datum)) {
            return false;
        }
    }
    return true;
}

/* Returns a copy of 'row' with 'values' in their places. */
static PyObject *
row_with(PyObject *row, const struct values *values)
{
    Py_ssize_t n = PyTuple_GET_SIZE(row);
    PyObject *copy = PyTuple_New(n);

    if (!copy) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *cell = PyTuple_GET_ITEM(row, i);

        Py_INCREF(cell);
        PyTuple_SET_ITEM(copy, i, cell);
    }
    for (Py_ssize_t i = 0; i < values->n; i++) {
        PyObject *old = PyTuple_GET_ITEM(copy, values->list[i].place);

        Py_INCREF(values->list[i].datum);
        PyTuple_SET_ITEM(copy, values->list[i].place, values->list[i].datum);
        Py_DECREF(old);
    }
    PyObject_GC_UnTrack(copy);          /* Neither make rows cycles. */
    return copy;
}

/* Puts 'datum' into 'row', which nobody else knows yet; takes the reference
 * over. */
static bool
set_cell(PyObject *row, Py_ssize_t place, PyObject *datum)
{
    if (!datum) {
        return false;
    }
    PyObject *old = PyTuple_GET_ITEM(row, place);
    PyTuple_SET_ITEM(row, place, datum);
    Py_XDECREF(old);
    return true;
}

static bool
run_insert(struct run *run, PyObject *json)
{
    struct text *reply = &run->road->reply;
    struct used *used = use_table(run, PyDict_GetItemWithError(json, s_table));
    struct values values = {0};
    PyObject *row = NULL;
    bool ok = false;

    if (!used || PyDict_GET_SIZE(json) != 3 || !used->table->may_insert) {
        return false;
    }
    if (read_values(used->table, PyDict_GetItemWithError(json, s_row), true,
                    &values)) {
        row = row_with(used->table->default_row, &values);
    }
    values_free(&values);
    if (!row) {
        return false;
    }
    if (set_cell(row, UUID_INDEX, new_uuid_datum(run->road))
        && set_cell(row, VERSION_INDEX, new_uuid_datum(run->road))) {
        PyObject *uuid = PyTuple_GET_ITEM(PyTuple_GET_ITEM(row, UUID_INDEX),
                                          0);

        ok = (put_row(used, uuid, row)
              && text_append_literal(reply, "{\"uuid\":")
              && text_append_atom(reply, ATOM_UUID, uuid)
              && text_append_literal(reply, "}"));
    }
    Py_DECREF(row);
    return ok;
}

/* Returns the row that the conditions [["_uuid","==",["uuid",...]]], or a
 * column with an index of its own in place of _uuid, name, in a new list;
 * NULL where the conditions are others. */
static PyObject *
look_up(struct used *used, PyObject *where, bool *is_other)
{
    const struct table *table = used->table;
    PyObject *row = NULL;

    *is_other = true;
    if (PyList_GET_SIZE(where) != 1) {
        return NULL;
    }
    PyObject *clause = PyList_GET_ITEM(where, 0);
    if (!PyList_CheckExact(clause) || PyList_GET_SIZE(clause) != 3
        || !is_word(PyList_GET_ITEM(clause, 1), "==")) {
        return NULL;
    }
    PyObject *value = PyList_GET_ITEM(clause, 2);
    Py_ssize_t place = number_of(table->places, PyList_GET_ITEM(clause, 0));
    if (place < 0) {
        return NULL;
    }
    if (place == UUID_INDEX) {
        if (!PyList_CheckExact(value) || PyList_GET_SIZE(value) != 2
            || !is_word(PyList_GET_ITEM(value, 0), "uuid")
            || !PyUnicode_CheckExact(PyList_GET_ITEM(value, 1))) {
            return NULL;
        }
        row = get_row(used, PyList_GET_ITEM(value, 1));
        if (!row) {
            return NULL;        /* No UUID perhaps, or in capitals. */
        }
    } else {
        const struct column *column = &table->columns[place];
        const struct index *index = NULL;

        for (Py_ssize_t i = 0; i < table->n_indexes; i++) {
            if (table->indexes[i].n_columns == 1
                && table->indexes[i].columns[0] == place) {
                index = &table->indexes[i];
            }
        }
        if (!index || PyDict_GET_SIZE(used->changes)
            || (column->read_kind == READ_STRING ? !is_plain_string(value)
                : column->read_kind == READ_INTEGER ? !PyLong_CheckExact(value)
                : true)) {
            return NULL;
        }
        PyObject *datum = read_datum(column, value);
        if (!datum) {
            return NULL;
        }
        PyObject *uuid = PyDict_GetItemWithError(index->keys, datum);
        Py_DECREF(datum);
        if (uuid) {
            row = PyDict_GetItemWithError(table->rows, uuid);
            if (!row) {
                return NULL;
            }
        } else if (PyErr_Occurred()) {
            return NULL;
        }
    }
    *is_other = false;
    PyObject *rows = PyList_New(row != NULL);
    if (rows && row) {
        Py_INCREF(row);
        PyList_SET_ITEM(rows, 0, row);
    }
    return rows;
}

/* Returns a new list of the rows that the conditions 'where' name. */
static PyObject *
find_rows(struct run *run, struct used *used, PyObject *where)
{
    bool is_other;

    if (!where || !PyList_CheckExact(where)) {
        return NULL;
    }
    PyObject *rows = look_up(used, where, &is_other);
    if (rows || !is_other || PyErr_Occurred()
        || PyDict_GET_SIZE(used->changes)) {
        return rows;
    }
    rows = PyObject_CallFunctionObjArgs(run->road->find, used->table->base,
                                        where, NULL);
    if (rows && !PyList_CheckExact(rows)) {
        Py_CLEAR(rows);
    }
    return rows;
}

/* Puts a changed copy of 'row' in place if 'values' change it. */
static bool
change_row(struct used *used, PyObject *row, const struct values *values)
{
    bool is_changed = false;

    if (!is_row(used->table, row)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < values->n && !is_changed; i++) {
        int equal = PyObject_RichCompareBool(
            PyTuple_GET_ITEM(row, values->list[i].place),
            values->list[i].datum, Py_EQ);

        if (equal < 0) {
            return false;
        }
        is_changed = !equal;
    }
    if (!is_changed) {
        return true;
    }
    PyObject *new = row_with(row, values);
    if (!new) {
        return false;
    }
    PyObject *uuid = PyTuple_GET_ITEM(PyTuple_GET_ITEM(row, UUID_INDEX), 0);
    bool ok = put_row(used, uuid, new);
    Py_DECREF(new);
    return ok;
}

static bool
append_count(struct text *reply, Py_ssize_t n)
{
    return (text_append_literal(reply, "{\"count\":")
            && text_append_integer(reply, n)
            && text_append_literal(reply, "}"));
}

static bool
run_update(struct run *run, PyObject *json)
{
    struct used *used = use_table(run, PyDict_GetItemWithError(json, s_table));
    struct values values = {0};
    PyObject *rows = NULL;
    bool ok = false;

    if (!used || PyDict_GET_SIZE(json) != 4) {
        return false;
    }
    if (read_values(used->table, PyDict_GetItemWithError(json, s_row), false,
                    &values)) {
        rows = find_rows(run, used, PyDict_GetItemWithError(json, s_where));
    }
    if (rows) {
        ok = true;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows) && ok; i++) {
            ok = change_row(used, PyList_GET_ITEM(rows, i), &values);
        }
        ok = ok && append_count(&run->road->reply, PyList_GET_SIZE(rows));
        Py_DECREF(rows);
    }
    values_free(&values);
    return ok;
}

/* Sums that a "mutate" adds up. */
struct sum {
    Py_ssize_t place;
    long long amount;
};

/* Reads one mutation, [column, "+=" or "-=", integer]. */
static bool
read_sum(const struct table *table, PyObject *json, struct sum *sum)
{
    int overflow = 0;

    if (!PyList_CheckExact(json) || PyList_GET_SIZE(json) != 3) {
        return false;
    }
    PyObject *operator = PyList_GET_ITEM(json, 1);
    PyObject *amount = PyList_GET_ITEM(json, 2);
    bool is_minus = is_word(operator, "-=");
    sum->place = number_of(table->places, PyList_GET_ITEM(json, 0));
    if (sum->place < FIRST_INDEX || !PyLong_CheckExact(amount)
        || (!is_minus && !is_word(operator, "+="))) {
        return false;
    }
    const struct column *column = &table->columns[sum->place];
    if (column->read_kind != READ_INTEGER || !column->is_mutable) {
        return false;
    }
    sum->amount = PyLong_AsLongLongAndOverflow(amount, &overflow);
    return (!overflow && (!is_minus || !__builtin_sub_overflow(
                0, sum->amount, &sum->amount)));
}

/* Puts a copy of 'row' in place to which 'sums' are added. */
static bool
add_to_row(struct used *used, PyObject *row, const struct sum *sums,
           Py_ssize_t n)
{
    struct values values = {0};
    bool ok = is_row(used->table, row);

    for (Py_ssize_t i = 0; i < n && ok; i++) {
        PyObject *cell = PyTuple_GET_ITEM(row, sums[i].place);
        PyObject *datum = NULL;
        Py_ssize_t j = 0;
        int overflow = 0;
        long long sum;

        while (j < values.n && values.list[j].place != sums[i].place) {
            j++;
        }
        if (j < values.n) {
            cell = values.list[j].datum;
        }
        if (PyTuple_GET_SIZE(cell) == 1) {
            sum = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(cell, 0),
                                               &overflow);
            if (!overflow && !PyErr_Occurred()
                && !__builtin_add_overflow(sum, sums[i].amount, &sum)) {
                datum = wrap(PyLong_FromLongLong(sum));
            }
        }
        ok = datum != NULL;
        if (ok && j < values.n) {
            values.list[j].datum = datum;
            Py_DECREF(cell);
        } else if (ok) {
            values.list[values.n++] = (struct value) {sums[i].place, datum};
        }
    }
    ok = ok && change_row(used, row, &values);
    values_free(&values);
    return ok;
}

static bool
run_mutate(struct run *run, PyObject *json)
{
    struct used *used = use_table(run, PyDict_GetItemWithError(json, s_table));
    PyObject *mutations = PyDict_GetItemWithError(json, s_mutations);
    struct sum sums[VALUES_MAX];

    if (!used || PyDict_GET_SIZE(json) != 4 || !mutations
        || !PyList_CheckExact(mutations)) {
        return false;
    }
    Py_ssize_t n = PyList_GET_SIZE(mutations);
    if (n > VALUES_MAX) {
        return false;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!read_sum(used->table, PyList_GET_ITEM(mutations, i), &sums[i])) {
            return false;
        }
    }
    PyObject *rows = find_rows(run, used,
                               PyDict_GetItemWithError(json, s_where));
    if (!rows) {
        return false;
    }
    bool ok = true;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows) && ok; i++) {
        ok = add_to_row(used, PyList_GET_ITEM(rows, i), sums, n);
    }
    ok = ok && append_count(&run->road->reply, PyList_GET_SIZE(rows));
    Py_DECREF(rows);
    return ok;
}

static bool
run_comment(struct run *run, PyObject *json)
{
    PyObject *comment = PyDict_GetItemWithError(json, s_comment);

    if (!comment || !PyUnicode_CheckExact(comment)
        || PyDict_GET_SIZE(json) != 2) {
        return false;
    }
    if (!run->comments) {
        run->comments = PyList_New(0);
    }
    return (run->comments && !PyList_Append(run->comments, comment)
            && text_append_literal(&run->road->reply, "{}"));
}

static bool
run_commit(struct run *run, PyObject *json)
{
    PyObject *durable = PyDict_GetItemWithError(json, s_durable);

    if (!durable || !PyBool_Check(durable) || PyDict_GET_SIZE(json) != 2) {
        return false;
    }
    run->is_durable |= durable == Py_True;
    return text_append_literal(&run->road->reply, "{}");
}

static bool
run_operation(struct run *run, PyObject *json)
{
    static const struct {
        const char *name;
        bool (*run)(struct run *, PyObject *);
    } operations[] = {
        {"insert", run_insert},
        {"update", run_update},
        {"mutate", run_mutate},
        {"comment", run_comment},
        {"commit", run_commit},
    };
    PyObject *name;

    if (!PyDict_CheckExact(json)) {
        return false;
    }
    name = PyDict_GetItemWithError(json, s_op);
    if (!name) {
        return false;
    }
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (is_word(name, operations[i].name)) {
            return operations[i].run(run, json);
        }
    }
    return false;
}

/* The commit. */

/* Drops the changes that came to nothing. */
static bool
drop_unchanged(struct used *used)
{
    PyObject *uuid, *change;
    Py_ssize_t position = 0;
    PyObject *unchanged = NULL;
    bool ok = true;

    while (ok && PyDict_Next(used->changes, &position, &uuid, &change)) {
        if (PyTuple_GET_ITEM(change, 0) == Py_None) {
            continue;
        }
        int equal = PyObject_RichCompareBool(PyTuple_GET_ITEM(change, 0),
                                             PyTuple_GET_ITEM(change, 1),
                                             Py_EQ);
        if (equal > 0 && !unchanged) {
            unchanged = PyList_New(0);
        }
        ok = equal == 0 || (equal > 0 && unchanged
                            && !PyList_Append(unchanged, uuid));
    }
    for (Py_ssize_t i = 0; ok && unchanged && i < PyList_GET_SIZE(unchanged);
         i++) {
        ok = !PyDict_DelItem(used->changes, PyList_GET_ITEM(unchanged, i));
    }
    Py_XDECREF(unchanged);
    return ok;
}

/* Returns what identifies 'row' in 'index', a new reference. */
static PyObject *
key_of(const struct index *index, PyObject *row)
{
    if (index->n_columns == 1) {
        PyObject *key = PyTuple_GET_ITEM(row, index->columns[0]);
        Py_INCREF(key);
        return key;
    }
    PyObject *key = PyTuple_New(index->n_columns);
    for (Py_ssize_t i = 0; key && i < index->n_columns; i++) {
        PyObject *cell = PyTuple_GET_ITEM(row, index->columns[i]);

        Py_INCREF(cell);
        PyTuple_SET_ITEM(key, i, cell);
    }
    return key;
}

/* Has each changed row a key of its own, and one that no other row has? */
static bool
check_index(struct used *used, const struct index *index)
{
    PyObject *uuid, *change;
    Py_ssize_t position = 0;
    PyObject *seen = NULL;
    bool ok = true;

    if (PyDict_GET_SIZE(used->changes) > 1) {
        seen = PySet_New(NULL);
        ok = seen != NULL;
    }
    while (ok && PyDict_Next(used->changes, &position, &uuid, &change)) {
        PyObject *key = key_of(index, PyTuple_GET_ITEM(change, 1));
        PyObject *other = key ? PyDict_GetItemWithError(index->keys, key)
                              : NULL;

        ok = key && !PyErr_Occurred();
        if (ok && other) {
            ok = PyObject_RichCompareBool(other, uuid, Py_EQ) == 1;
        }
        if (ok && seen) {
            ok = !PySet_Contains(seen, key) && !PySet_Add(seen, key);
        }
        Py_XDECREF(key);
    }
    Py_XDECREF(seen);
    return ok;
}

/* Gives new versions to the rows that were there before. */
static bool
renew_versions(Road *road, struct used *used)
{
    PyObject *uuid, *change;
    Py_ssize_t position = 0;

    while (PyDict_Next(used->changes, &position, &uuid, &change)) {
        struct values version = {1, {{VERSION_INDEX, NULL}}};
        bool ok;

        if (PyTuple_GET_ITEM(change, 0) == Py_None) {
            continue;
        }
        version.list[0].datum = new_uuid_datum(road);
        if (!version.list[0].datum) {
            return false;
        }
        PyObject *new = row_with(PyTuple_GET_ITEM(change, 1), &version);
        values_free(&version);
        /* An item that exists keeps its place: iterating may go on. */
        ok = new && put_row(used, uuid, new);
        Py_XDECREF(new);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool
check_max_rows(struct used *used)
{
    const struct table *table = used->table;

    return (table->max_rows < 0 || !PyDict_GET_SIZE(used->changes)
            || PyDict_GET_SIZE(table->rows) + PyDict_GET_SIZE(used->changes)
               <= table->max_rows);
}

/* The journal. */

static bool
append_by_python(Road *road, const struct column *column, PyObject *datum)
{
    PyObject *value = PyObject_CallOneArg(column->write, datum);
    PyObject *bytes = value ? PyObject_CallOneArg(road->dumps, value) : NULL;
    bool ok = (bytes && PyBytes_CheckExact(bytes)
               && text_append(&road->record, PyBytes_AS_STRING(bytes),
                              PyBytes_GET_SIZE(bytes)));

    Py_XDECREF(value);
    Py_XDECREF(bytes);
    return ok;
}

static bool
append_pair(struct text *text, const struct column *column, PyObject *pair)
{
    return (PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2
            && text_append_literal(text, "[")
            && text_append_atom(text, column->key_kind,
                                PyTuple_GET_ITEM(pair, 0))
            && text_append_literal(text, ",")
            && text_append_atom(text, column->value_kind,
                                PyTuple_GET_ITEM(pair, 1))
            && text_append_literal(text, "]"));
}

/* Appends the JSON of 'datum' to the record. */
static bool
append_datum(Road *road, const struct column *column, PyObject *datum)
{
    struct text *text = &road->record;
    bool is_map = column->value_kind != ATOM_NONE;

    if (column->key_kind == ATOM_OTHER || column->value_kind == ATOM_OTHER) {
        return append_by_python(road, column, datum);
    }
    Py_ssize_t n = PyTuple_GET_SIZE(datum);
    if (!is_map && n == 1) {
        return text_append_atom(text, column->key_kind,
                                PyTuple_GET_ITEM(datum, 0));
    }
    bool ok = (is_map ? text_append_literal(text, "[\"map\",[")
                      : text_append_literal(text, "[\"set\",["));
    for (Py_ssize_t i = 0; ok && i < n; i++) {
        PyObject *element = PyTuple_GET_ITEM(datum, i);

        ok = ((!i || text_append_literal(text, ","))
              && (is_map ? append_pair(text, column, element)
                  : text_append_atom(text, column->key_kind, element)));
    }
    return ok && text_append_literal(text, "]]");
}

/* Appends the JSON of what a change stores of 'column', the difference if
 * 'old' is not NULL and there is one to tell. */
static bool
append_cell(Road *road, const struct column *column, PyObject *old,
            PyObject *new, bool as_diff)
{
    if (!old || !as_diff || !column->is_composite) {
        return append_datum(road, column, new);
    }
    PyObject *diff = PyObject_CallFunctionObjArgs(road->diff, column->type,
                                                  old, new, NULL);
    bool ok = (diff && PyTuple_CheckExact(diff)
               && append_datum(road, column, diff));
    Py_XDECREF(diff);
    return ok;
}

/* Appends "uuid":{...} for a change if there is anything to store of it;
 * 'start' is what comes before it. */
static bool
append_row(Road *road, const struct table *table, PyObject *uuid,
           PyObject *change, bool as_diff, const char *start, bool *is_stored)
{
    struct text *text = &road->record;
    PyObject *old = PyTuple_GET_ITEM(change, 0);
    PyObject *new = PyTuple_GET_ITEM(change, 1);
    size_t size = text->size;
    bool is_first = true;

    if (old == Py_None) {
        old = NULL;
    }
    *is_stored = false;
    if (!text_append(text, start, strlen(start))
        || !text_append_string(text, uuid)
        || !text_append_literal(text, ":{")) {
        return false;
    }
    for (Py_ssize_t i = FIRST_INDEX; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];
        PyObject *after = PyTuple_GET_ITEM(new, i);
        PyObject *before = (old ? PyTuple_GET_ITEM(old, i)
                            : column->default_datum);

        if (!column->is_persistent || before == after) {
            continue;
        }
        int equal = PyObject_RichCompareBool(before, after, Py_EQ);
        if (equal < 0) {
            return false;
        }
        if (equal) {
            continue;
        }
        if ((!is_first && !text_append_literal(text, ","))
            || !text_append_string(text, column->name)
            || !text_append_literal(text, ":")
            || !append_cell(road, column, old ? before : NULL, after,
                            as_diff)) {
            return false;
        }
        is_first = false;
    }
    if (old && is_first) {
        text->size = size;
        return true;
    }
    *is_stored = true;
    return text_append_literal(text, "}");
}

/* Appends "table":{...} if anything of the changes is to be stored. */
static bool
append_table(Road *road, struct used *used, bool as_diff, bool *is_stored)
{
    struct text *text = &road->record;
    size_t size = text->size;
    PyObject *uuid, *change;
    Py_ssize_t position = 0;
    bool any = false;

    if ((*is_stored && !text_append_literal(text, ","))
        || !text_append_string(text, used->table->name)
        || !text_append_literal(text, ":{")) {
        return false;
    }
    while (PyDict_Next(used->changes, &position, &uuid, &change)) {
        bool this;

        if (!append_row(road, used->table, uuid, change, as_diff,
                        any ? "," : "", &this)) {
            return false;
        }
        any |= this;
    }
    if (!any) {
        text->size = size;
        return true;
    }
    *is_stored = true;
    return text_append_literal(text, "}");
}

/* Writes the journal record's body; 'is_stored' tells whether there is
 * anything in it. */
static bool
write_record(struct run *run, bool as_diff, bool *is_stored)
{
    Road *road = run->road;
    struct text *text = &road->record;
    struct timespec wall;

    *is_stored = false;
    text_clear(text);
    if (!text_append_literal(text, "{")) {
        return false;
    }
    for (Py_ssize_t i = 0; i < run->n_used; i++) {
        if (!append_table(road, &run->used[i], as_diff, is_stored)) {
            return false;
        }
    }
    clock_gettime(CLOCK_REALTIME, &wall);
    if (!text_append_literal(text, ",\"_date\":")
        || !text_append_integer(text, wall.tv_sec * 1000LL
                                      + wall.tv_nsec / 1000000)) {
        return false;
    }
    if (run->comments) {
        PyObject *line = PyUnicode_FromString("\n");
        PyObject *comment = line ? PyUnicode_Join(line, run->comments) : NULL;
        bool ok = (comment && text_append_literal(text, ",\"_comment\":")
                   && text_append_string(text, comment));

        Py_XDECREF(line);
        Py_XDECREF(comment);
        if (!ok) {
            return false;
        }
    }
    return ((!as_diff || text_append_literal(text, ",\"_is_diff\":true"))
            && text_append_literal(text, "}\n"));
}

/* Checks what a commit checks. */
static bool
finish(struct run *run, Py_ssize_t n_operations)
{
    for (Py_ssize_t i = 0; i < run->n_used; i++) {
        struct used *used = &run->used[i];

        if ((n_operations > 1 && !drop_unchanged(used))
            || !check_max_rows(used)) {
            return false;
        }
        for (Py_ssize_t j = 0; j < used->table->n_indexes; j++) {
            if (!check_index(used, &used->table->indexes[j])) {
                return false;
            }
        }
    }
    for (Py_ssize_t i = 0; i < run->n_used; i++) {
        if (!renew_versions(run->road, &run->used[i])) {
            return false;
        }
    }
    return true;
}

/* Returns a new dict of the changes by table. */
static PyObject *
make_delta(struct run *run)
{
    PyObject *delta = PyDict_New();

    for (Py_ssize_t i = 0; delta && i < run->n_used; i++) {
        struct used *used = &run->used[i];

        if (PyDict_GET_SIZE(used->changes)
            && PyDict_SetItem(delta, used->table->name, used->changes)) {
            Py_CLEAR(delta);
        }
    }
    return delta;
}

static bool
begin_reply(struct text *reply, PyObject *id)
{
    text_clear(reply);
    return (text_append_literal(reply, "{\"id\":")
            && text_append_atom(reply, PyLong_CheckExact(id) ? ATOM_INTEGER
                                       : ATOM_STRING, id)
            && text_append_literal(reply, ",\"result\":["));
}

/* Runs the operations in 'params', from the second element on. */
static PyObject *
decide(struct run *run, PyObject *params, PyObject *id, bool as_diff)
{
    struct text *reply = &run->road->reply;
    Py_ssize_t n = PyList_GET_SIZE(params);
    PyObject *outcome = NULL;
    bool is_stored;

    if (n < 2 || !begin_reply(reply, id)) {
        return NULL;
    }
    for (Py_ssize_t i = 1; i < n; i++) {
        if ((i > 1 && !text_append_literal(reply, ","))
            || !run_operation(run, PyList_GET_ITEM(params, i))) {
            return NULL;
        }
    }
    if (!text_append_literal(reply, "],\"error\":null}")
        || !finish(run, n - 1)
        || !write_record(run, as_diff, &is_stored)) {
        return NULL;
    }
    PyObject *answer = text_to_bytes(reply);
    PyObject *delta = answer ? make_delta(run) : NULL;
    PyObject *record = NULL;
    if (delta && is_stored) {
        record = text_to_record(&run->road->record);
    } else if (delta) {
        Py_INCREF(Py_None);
        record = Py_None;
    }
    if (record) {
        outcome = PyTuple_Pack(4, answer, record, delta,
                               run->is_durable ? Py_True : Py_False);
    }
    Py_XDECREF(answer);
    Py_XDECREF(delta);
    Py_XDECREF(record);
    return outcome;
}

/* decide(params, id, as_diff) */
static PyObject *
road_decide(PyObject *self, PyObject *const *arguments, Py_ssize_t n)
{
    struct run run = {.road = (Road *) self};
    PyObject *outcome;

    if (n != 3 || !PyList_CheckExact(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "decide(params, id, as_diff)");
        return NULL;
    }
    outcome = decide(&run, arguments[0], arguments[1],
                     PyObject_IsTrue(arguments[2]) == 1);
    for (Py_ssize_t i = 0; i < run.n_used; i++) {
        Py_DECREF(run.used[i].changes);
    }
    Py_XDECREF(run.comments);
    if (outcome) {
        return outcome;
    }
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) {
            return NULL;
        }
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

/* Brings an index up to date with 'changes', removals first. */
static bool
apply_index(const struct index *index, PyObject *changes)
{
    PyObject *uuid, *change;

    for (int is_adding = 0; is_adding < 2; is_adding++) {
        Py_ssize_t position = 0;

        while (PyDict_Next(changes, &position, &uuid, &change)) {
            PyObject *row = PyTuple_GET_ITEM(change, is_adding);
            bool ok;

            if (row == Py_None) {
                continue;
            }
            PyObject *key = key_of(index, row);
            if (is_adding) {
                ok = key && !PyDict_SetItem(index->keys, key, uuid);
            } else {
                PyObject *owner = (key ? PyDict_GetItemWithError(index->keys,
                                                                 key)
                                   : NULL);
                ok = key && !PyErr_Occurred();
                if (owner && PyObject_RichCompareBool(owner, uuid, Py_EQ)
                    == 1) {
                    ok = !PyDict_DelItem(index->keys, key);
                }
            }
            Py_XDECREF(key);
            if (!ok) {
                return false;
            }
        }
    }
    return true;
}

/* Is 'change' a pair of a row or None and a row? */
static bool
is_change(const struct table *table, PyObject *change)
{
    return (PyTuple_CheckExact(change) && PyTuple_GET_SIZE(change) == 2
            && (PyTuple_GET_ITEM(change, 0) == Py_None
                || is_row(table, PyTuple_GET_ITEM(change, 0)))
            && is_row(table, PyTuple_GET_ITEM(change, 1)));
}

/* apply(delta) */
static PyObject *
road_apply(PyObject *self, PyObject *delta)
{
    Road *road = (Road *) self;
    PyObject *name, *changes, *uuid, *change;
    Py_ssize_t at = 0;

    if (!PyDict_CheckExact(delta)) {
        PyErr_SetString(PyExc_TypeError, "apply(delta)");
        return NULL;
    }
    while (PyDict_Next(delta, &at, &name, &changes)) {
        Py_ssize_t number = number_of(road->numbers, name);
        Py_ssize_t position = 0;

        if (number < 0 || !PyDict_CheckExact(changes)) {
            PyErr_SetString(PyExc_ValueError, "not a delta of this database");
            return NULL;
        }
        struct table *table = &road->tables[number];
        while (PyDict_Next(changes, &position, &uuid, &change)) {
            if (!is_change(table, change)) {
                PyErr_SetString(PyExc_ValueError, "not a change");
                return NULL;
            }
        }
        position = 0;
        while (PyDict_Next(changes, &position, &uuid, &change)) {
            if (PyDict_SetItem(table->rows, uuid,
                               PyTuple_GET_ITEM(change, 1))) {
                return NULL;
            }
        }
        for (Py_ssize_t i = 0; i < table->n_indexes; i++) {
            if (!apply_index(&table->indexes[i], changes)) {
                return NULL;
            }
        }
    }
    Py_RETURN_NONE;
}

/* Construction. */

static PyObject *
own(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}

static bool
load_column(struct column *column, PyObject *row)
{
    if (!PyArg_ParseTuple(
            row, "UOOOO!iiipppp", &column->name, &column->read, &column->write,
            &column->type, &PyTuple_Type, &column->default_datum,
            &column->read_kind, &column->key_kind, &column->value_kind,
            &column->is_composite, &column->is_mutable,
            &column->is_reference, &column->is_persistent)) {
        memset(column, 0, sizeof *column);
        return false;
    }
    own(column->name);
    own(column->read);
    own(column->write);
    own(column->type);
    own(column->default_datum);
    return true;
}

static bool
load_columns(struct table *table, PyObject *rows)
{
    table->places = PyDict_New();
    table->columns = PyMem_Calloc(PyTuple_GET_SIZE(rows) + 1,
                                  sizeof *table->columns);
    if (!table->places || !table->columns) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows); i++) {
        if (!load_column(&table->columns[i], PyTuple_GET_ITEM(rows, i))) {
            return false;
        }
        table->n_columns++;
        if (!set_number(table->places, table->columns[i].name, i)) {
            return false;
        }
    }
    return true;
}

static bool
load_index(struct table *table, struct index *index, PyObject *row)
{
    PyObject *keys, *places;

    if (!PyArg_ParseTuple(row, "O!O!", &PyDict_Type, &keys, &PyTuple_Type,
                          &places)) {
        return false;
    }
    index->keys = own(keys);
    index->n_columns = PyTuple_GET_SIZE(places);
    index->columns = PyMem_Calloc(index->n_columns + 1,
                                  sizeof *index->columns);
    if (!index->columns) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < index->n_columns; i++) {
        Py_ssize_t place = PyLong_AsSsize_t(PyTuple_GET_ITEM(places, i));

        if (place < 0 || place >= table->n_columns) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "no such column");
            }
            return false;
        }
        index->columns[i] = place;
    }
    return true;
}

static bool
load_table(struct table *table, PyObject *row)
{
    PyObject *name, *base, *rows, *default_row, *columns, *indexes;
    int may_insert;
    long long max_rows;

    if (!PyArg_ParseTuple(row, "UOO!O!O!O!pL", &name, &base, &PyDict_Type,
                          &rows, &PyTuple_Type, &default_row, &PyTuple_Type,
                          &columns, &PyTuple_Type, &indexes, &may_insert,
                          &max_rows)) {
        return false;
    }
    table->name = own(name);
    table->base = own(base);
    table->rows = own(rows);
    table->default_row = own(default_row);
    table->may_insert = may_insert;
    table->max_rows = max_rows;
    table->indexes = PyMem_Calloc(PyTuple_GET_SIZE(indexes) + 1,
                                  sizeof *table->indexes);
    if (!table->indexes || !load_columns(table, columns)) {
        return false;
    }
    if (table->n_columns != PyTuple_GET_SIZE(default_row)
        || table->n_columns < FIRST_INDEX || !is_row(table, default_row)) {
        PyErr_SetString(PyExc_ValueError, "rows without all columns");
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(indexes); i++) {
        table->n_indexes++;
        if (!load_index(table, &table->indexes[i],
                        PyTuple_GET_ITEM(indexes, i))) {
            return false;
        }
    }
    return true;
}

static void
free_table(struct table *table)
{
    for (Py_ssize_t i = 0; i < table->n_columns; i++) {
        struct column *column = &table->columns[i];

        Py_XDECREF(column->name);
        Py_XDECREF(column->read);
        Py_XDECREF(column->write);
        Py_XDECREF(column->type);
        Py_XDECREF(column->default_datum);
    }
    for (Py_ssize_t i = 0; i < table->n_indexes; i++) {
        Py_XDECREF(table->indexes[i].keys);
        PyMem_Free(table->indexes[i].columns);
    }
    PyMem_Free(table->columns);
    PyMem_Free(table->indexes);
    Py_XDECREF(table->name);
    Py_XDECREF(table->base);
    Py_XDECREF(table->rows);
    Py_XDECREF(table->default_row);
    Py_XDECREF(table->places);
}

static void
road_dealloc(PyObject *self)
{
    Road *road = (Road *) self;

    for (Py_ssize_t i = 0; i < road->n_tables; i++) {
        free_table(&road->tables[i]);
    }
    PyMem_Free(road->tables);
    text_free(&road->reply);
    text_free(&road->record);
    Py_XDECREF(road->numbers);
    Py_XDECREF(road->new_uuid);
    Py_XDECREF(road->find);
    Py_XDECREF(road->diff);
    Py_XDECREF(road->dumps);
    Py_TYPE(self)->tp_free(self);
}

static bool
load_tables(Road *road, PyObject *rows)
{
    road->numbers = PyDict_New();
    road->tables = PyMem_Calloc(PyTuple_GET_SIZE(rows) + 1,
                                sizeof *road->tables);
    if (!road->numbers || !road->tables) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows); i++) {
        road->n_tables++;
        if (!load_table(&road->tables[i], PyTuple_GET_ITEM(rows, i))) {
            return false;
        }
        if (!set_number(road->numbers, road->tables[i].name, i)) {
            return false;
        }
    }
    return true;
}

/* Road(tables, new_uuid, find, diff, dumps) */
static PyObject *
road_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *tables, *new_uuid, *find, *diff, *dumps;

    (void) keywords;
    if (!PyArg_ParseTuple(arguments, "O!OOOO", &PyTuple_Type, &tables,
                          &new_uuid, &find, &diff, &dumps)) {
        return NULL;
    }
    Road *road = (Road *) type->tp_alloc(type, 0);
    if (!road) {
        return NULL;
    }
    road->new_uuid = own(new_uuid);
    road->find = own(find);
    road->diff = own(diff);
    road->dumps = own(dumps);
    if (!load_tables(road, tables)) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        Py_DECREF(road);
        return NULL;
    }
    return (PyObject *) road;
}

static PyMethodDef road_methods[] = {
    {"decide", (PyCFunction) (void (*)(void)) road_decide, METH_FASTCALL,
     "decide(params, id, as_diff) -> (reply, record or None, delta, "
     "is_durable), or None: ask the engine."},
    {"apply", road_apply, METH_O, "apply(delta): put it in place."},
    {NULL, NULL, 0, NULL}
};

PyTypeObject RoadType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ovsdb_server.quick._road.Road",
    .tp_doc = "The common transactions of one database.",
    .tp_basicsize = sizeof(Road),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = road_new,
    .tp_dealloc = road_dealloc,
    .tp_methods = road_methods,
};

/* Makes what this file needs at run time. */
bool
transact_prepare(void)
{
    return ((s_op = PyUnicode_InternFromString("op"))
            && (s_table = PyUnicode_InternFromString("table"))
            && (s_row = PyUnicode_InternFromString("row"))
            && (s_where = PyUnicode_InternFromString("where"))
            && (s_mutations = PyUnicode_InternFromString("mutations"))
            && (s_durable = PyUnicode_InternFromString("durable"))
            && (s_comment = PyUnicode_InternFromString("comment"))
            && !pthread_atfork(NULL, NULL, drop_stock)
            && !PyType_Ready(&RoadType));
}
