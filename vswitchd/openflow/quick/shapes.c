/* shapes.c: the module `_shapes`, which makes messages of lines of text by
 * shapes that it was taught; shapes.py calls it.
 *
 * Files of flows repeat themselves: the same words in the same order, with
 * other numbers.  A line is cut into its skeleton and the numbers that stand
 * in it; 'words' say behind which words there may be one, and of what form.
 * A shape is a skeleton with a message and the places where the numbers go in
 * there.  What a flow means is not known here: shapes.py asks the codec in
 * Python, which also has every line whose shape is not known or odd. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "numbers.h"

enum {
    MAX_LINE = 2048,
    MAX_NAME = 64,
    MAX_SLOTS = 32,
    MAX_SHAPES = 4096,
    WORD_BUCKETS = 2048,        /* Powers of two. */
    SHAPE_BUCKETS = 4096,
    MAX_ANSWER = 65536,
};

#define MASK_MAX 16

enum where { IN_MATCH, IN_ACTIONS, TARGET, N_WHERES };

struct word {
    struct word *next;
    uint64_t most;              /* The greatest number. */
    uint8_t where, form, size;
    char unless[MAX_NAME];      /* Lines with this in them keep the number. */
    char name[];
};

struct slot {                   /* A number in a line. */
    uint16_t start, end;
    uint8_t form;
    uint64_t most;
    uint64_t number;            /* What it says... */
    uint8_t bytes[16];          /* ...or these, if it is an address. */
};

struct place {                  /* Where the number of a slot goes. */
    uint32_t at;
    uint8_t size, shift;
    uint64_t most;
    uint8_t mask[MASK_MAX];     /* Of numbers the last eight bytes. */
};

struct shape {
    struct shape *next;
    uint64_t hash;
    uint32_t usable;            /* Bits that hold for all of its lines. */
    uint32_t size;              /* Of the message, 0: the shape is odd. */
    uint16_t skeleton_size, n;
    uint8_t *bytes;             /* The skeleton, then the message. */
    struct place places[];
};

struct shapes {
    PyObject_HEAD
    struct word *words[WORD_BUCKETS];
    struct shape *shapes[SHAPE_BUCKETS];
    uint32_t n_shapes;
};

/* A line that has been cut. */
struct cut {
    uint8_t skeleton[MAX_LINE];
    uint32_t size;
    uint32_t n;
    struct slot slots[MAX_SLOTS];
};

static uint64_t
hash_bytes(const void *data, uint32_t size)
{
    const uint8_t *p = data;
    uint64_t hash = size, chunk;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&chunk, p, 8);
        hash = (hash ^ chunk) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    chunk = 0;
    memcpy(&chunk, p, size);
    hash = (hash ^ chunk) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static const char *
read_slot(enum form form, const char *p, const char *end, struct slot *slot)
{
    switch (form) {
    case NUMBER:
    case DECIMAL:
        p = read_number(p, end, form == NUMBER, &slot->number);
        return p && slot->number <= slot->most ? p : NULL;
    case IPV4:
        return read_ipv4(p, end, slot->bytes);
    case MAC:
        return read_mac(p, end, slot->bytes);
    case IPV6:
        return read_ipv6(p, end, slot->bytes);
    default:
        return NULL;
    }
}

static uint32_t
form_size(enum form form)
{
    return form == IPV4 ? 4 : form == MAC ? 6 : form == IPV6 ? 16 : 8;
}

/* ---- Lines ---- */

static const struct word *
word_find(const struct shapes *s, enum where where, const char *name,
          uint32_t size)
{
    uint64_t hash = hash_bytes(name, size);
    const struct word *word = s->words[hash % WORD_BUCKETS];

    while (word && (word->where != where || word->size != size
                    || memcmp(word->name, name, size))) {
        word = word->next;
    }
    return word;
}

static inline bool
is_space(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

static inline bool
is_name(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_'
           || (c >= 'A' && c <= 'Z');
}

/* Where a token ends: at a space outside of parentheses. */
static const char *
token_end(const char *p, const char *end)
{
    int depth = 0;

    for (; p < end && (depth > 0 || !is_space(*p)); p++) {
        depth += (*p == '(') - (*p == ')');
    }
    return p;
}

static void
keep(struct cut *cut, const char *p, const char *end)
{
    memcpy(cut->skeleton + cut->size, p, end - p);
    cut->size += end - p;
}

/* Finds the number behind 'word', whose value begins at 'p', in 'slot';
 * returns its end, NULL if there is none. */
static const char *
find_number(const struct shapes *s, const struct word *word, const char *p,
            const char *end, struct slot *slot)
{
    if (word->form == SETTER) {
        const char *arrow = memmem(p, end - p, "->", 2);
        const char *name = arrow ? arrow + 2 : end, *q = name;
        while (q < end && is_name(*q)) {
            q++;
        }
        word = word_find(s, TARGET, name, q - name);
        if (!word || (q < end && *q != '[')) {
            return NULL;
        }
        end = arrow;
    }
    slot->form = word->form;
    slot->most = word->most;
    const char *stop = read_slot(word->form, p, end, slot);
    return stop == end
           || (stop && word->where == IN_MATCH && *stop == '/') ? stop : NULL;
}

/* Cuts one token of the line, from 'p' to 'end'. */
static void
cut_token(const struct shapes *s, const char *line, uint32_t size,
          const char *p, const char *end, bool in_actions, struct cut *cut)
{
    struct slot *slot = &cut->slots[cut->n];
    const char *name_end = p, *value = NULL, *stop = NULL;

    while (name_end < end && is_name(*name_end)) {
        name_end++;
    }
    const struct word *word = NULL;
    if (cut->n == MAX_SLOTS) {
        /* The rest stays as it is. */
    } else if (name_end < end && *name_end == (in_actions ? ':' : '=')) {
        word = word_find(s, in_actions ? IN_ACTIONS : IN_MATCH, p,
                         name_end - p);
        value = name_end + 1;
    } else if (name_end == end && in_actions && is_digit(*p)) {
        word = word_find(s, IN_ACTIONS, p, 0);
        value = p;
    }
    if (word && (!*word->unless || !memmem(line, size, word->unless,
                                           strlen(word->unless)))) {
        stop = find_number(s, word, value, end, slot);
    }
    if (stop) {
        keep(cut, p, value);
        cut->skeleton[cut->size++] = 1 + slot->form;
        slot->start = value - line;
        slot->end = stop - line;
        cut->n++;
        p = stop;
    }
    keep(cut, p, end);
}

/* Are there characters in the line that in a skeleton mean a number? */
static bool
has_marks(const char *line, uint32_t size)
{
    bool found = false;

    for (uint32_t i = 0; i < size; i++) {
        found |= (uint8_t) (line[i] - 1) < N_FORMS;
    }
    return found;
}

/* Cuts the line of 'size' characters.  False if it is too long, or has what
 * no line of flows has. */
static bool
cut_line(const struct shapes *s, const char *line, uint32_t size,
         struct cut *cut)
{
    const char *p = line, *end = line + size;

    cut->size = cut->n = 0;
    if (size > MAX_LINE / 2 || has_marks(line, size)) {
        return false;
    }
    const char *actions = memmem(line, size, "action", 6);
    const char *equals = actions ? memchr(actions, '=', end - actions) : NULL;
    const char *middle = equals ? actions : end;
    while (p < end) {
        if (p == actions && equals) {
            keep(cut, p, equals + 1);
            p = equals + 1;
            middle = end;
        } else if (is_space(*p)) {
            cut->skeleton[cut->size++] = *p++;
        } else {
            const char *stop = token_end(p, middle);
            cut_token(s, line, size, p, stop, equals && p > equals, cut);
            p = stop;
        }
    }
    return true;
}

static struct shape **
shape_slot(struct shapes *s, uint64_t hash)
{
    return &s->shapes[hash % SHAPE_BUCKETS];
}

static struct shape *
shape_find(struct shapes *s, const struct cut *cut)
{
    uint64_t hash = hash_bytes(cut->skeleton, cut->size);
    struct shape *shape = *shape_slot(s, hash);

    while (shape && (shape->hash != hash || shape->skeleton_size != cut->size
                     || memcmp(shape->bytes, cut->skeleton, cut->size))) {
        shape = shape->next;
    }
    return shape;
}

/* ---- Messages ---- */

/* Puts the number of 'slot' into 'message'. */
static bool
put_slot(const struct slot *slot, const struct place *place, uint8_t *message)
{
    uint8_t *p = message + place->at;

    if (slot->form >= IPV4) {
        for (uint32_t i = 0; i < place->size; i++) {
            p[i] = slot->bytes[i] & place->mask[i];
        }
        return true;
    }
    if (slot->number > place->most) {
        return false;
    }
    uint64_t x = slot->number, mask = 0;
    for (int i = 0; i < 8; i++) {
        mask = mask << 8 | place->mask[MASK_MAX - 8 + i];
    }
    x = (x & mask) << place->shift;
    for (uint32_t i = place->size; i--; x >>= 8) {
        p[i] |= x;
    }
    return true;
}

struct bytes {                  /* That grow. */
    PyObject *object;
    Py_ssize_t size;
};

static uint8_t *
bytes_room(struct bytes *b, Py_ssize_t n)
{
    Py_ssize_t room = PyBytes_GET_SIZE(b->object);

    if (room - b->size < n && _PyBytes_Resize(&b->object, room * 2 + n)) {
        return NULL;
    }
    return (uint8_t *) PyBytes_AS_STRING(b->object) + b->size;
}

/* The line that begins at 'p': from '*start' to '*end' without a comment and
 * spaces.  Returns where the next one begins. */
static const char *
next_line(const char *p, const char *data_end, const char **start,
          const char **end)
{
    const char *newline = memchr(p, '\n', data_end - p);
    const char *next = newline ? newline + 1 : data_end;
    const char *q = newline ? newline : data_end;
    const char *comment = memchr(p, '#', q - p);

    q = comment ? comment : q;
    while (p < q && (*p == ' ' || *p == '\t')) {
        p++;
    }
    while (q > p && (q[-1] == ' ' || q[-1] == '\t')) {
        q--;
    }
    *start = p;
    *end = q;
    return next;
}

enum stop { STOP_END, STOP_NEW, STOP_ODD };

/* Makes messages of the lines from '*at' on, until one cannot be made here. */
static enum stop
make_messages(struct shapes *s, const char *data, Py_ssize_t size,
              Py_ssize_t *at, uint32_t *usable, uint32_t *n, struct bytes *out)
{
    struct cut cut;

    while (*at < size) {
        const char *start, *end;
        const char *next = next_line(data + *at, data + size, &start, &end);
        if (start < end) {
            if (!cut_line(s, start, end - start, &cut)) {
                return STOP_ODD;
            }
            struct shape *shape = shape_find(s, &cut);
            if (!shape || !shape->size) {
                return shape || s->n_shapes == MAX_SHAPES ? STOP_ODD
                    : STOP_NEW;
            }
            uint8_t *message = bytes_room(out, shape->size);
            if (!message) {
                return STOP_ODD;
            }
            memcpy(message, shape->bytes + shape->skeleton_size, shape->size);
            for (uint32_t i = 0; i < shape->n; i++) {
                if (!put_slot(&cut.slots[i], &shape->places[i], message)) {
                    return STOP_ODD;
                }
            }
            out->size += shape->size;
            *usable &= shape->usable;
            ++*n;
        }
        *at = next - data;
    }
    return STOP_END;
}

/* ---- The type Shapes ---- */

static PyObject *
shapes_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    PyObject *words;
    static char *keywords[] = { "words", NULL };

    if (!PyArg_ParseTupleAndKeywords(arguments, names, "O!", keywords,
                                     &PyList_Type, &words)) {
        return NULL;
    }
    struct shapes *s = (struct shapes *) type->tp_alloc(type, 0);
    for (Py_ssize_t i = 0; s && i < PyList_GET_SIZE(words); i++) {
        const char *name, *unless;
        Py_ssize_t size;
        int where, form;
        unsigned long long most;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(words, i), "s#iiKs", &name,
                              &size, &where, &form, &most, &unless)) {
            Py_DECREF(s);
            return NULL;
        }
        if (size >= MAX_NAME || strlen(unless) >= MAX_NAME || where < 0
            || where >= N_WHERES || form < 0 || form >= N_FORMS) {
            PyErr_SetString(PyExc_ValueError, "no such word");
            Py_DECREF(s);
            return NULL;
        }
        struct word *word = PyMem_Calloc(1, sizeof *word + size);
        if (!word) {
            Py_DECREF(s);
            return PyErr_NoMemory();
        }
        word->most = most;
        word->where = where;
        word->form = form;
        word->size = size;
        strcpy(word->unless, unless);
        memcpy(word->name, name, size);
        struct word **slot
            = &s->words[hash_bytes(name, size) % WORD_BUCKETS];
        word->next = *slot;
        *slot = word;
    }
    return (PyObject *) s;
}

static void
shapes_dealloc(PyObject *self)
{
    struct shapes *s = (struct shapes *) self;

    for (uint32_t i = 0; i < WORD_BUCKETS; i++) {
        for (struct word *word = s->words[i], *next; word; word = next) {
            next = word->next;
            PyMem_Free(word);
        }
    }
    for (uint32_t i = 0; i < SHAPE_BUCKETS; i++) {
        for (struct shape *shape = s->shapes[i], *next; shape; shape = next) {
            next = shape->next;
            PyMem_Free(shape->bytes);
            PyMem_Free(shape);
        }
    }
    Py_TYPE(self)->tp_free(self);
}

static PyObject *
shapes_slots(PyObject *self, PyObject *line)
{
    struct cut cut;

    if (!PyBytes_Check(line)) {
        PyErr_SetString(PyExc_TypeError, "not bytes");
        return NULL;
    }
    if (!cut_line((struct shapes *) self, PyBytes_AS_STRING(line),
                  PyBytes_GET_SIZE(line), &cut)) {
        Py_RETURN_NONE;
    }
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < cut.n; i++) {
        const struct slot *slot = &cut.slots[i];
        PyObject *row = Py_BuildValue("(iiiK)", slot->start, slot->end,
                                      slot->form,
                                      (unsigned long long) slot->most);
        if (!row || PyList_Append(list, row)) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    return list;
}

/* Fills 'place' for 'slot' of a message of 'size' bytes; false if that is not
 * possible. */
static bool
place_fill(PyObject *row, const struct slot *slot, Py_ssize_t size,
           struct place *place)
{
    unsigned int at;
    int bytes, shift;
    unsigned long long most;
    const char *mask;
    Py_ssize_t mask_size, most_bytes = form_size(slot->form);

    if (!PyArg_ParseTuple(row, "IiiKy#", &at, &bytes, &shift, &most, &mask,
                          &mask_size)) {
        return false;
    }
    if (bytes < 1 || bytes > most_bytes || (Py_ssize_t) at + bytes > size
        || mask_size != most_bytes || shift < 0 || shift > 7
        || (slot->form >= IPV4 && (shift || bytes != most_bytes))) {
        PyErr_SetString(PyExc_ValueError, "no such place");
        return false;
    }
    place->at = at;
    place->size = bytes;
    place->shift = shift;
    place->most = most;
    memcpy(place->mask + (slot->form >= IPV4 ? 0 : MASK_MAX - 8), mask,
           mask_size);
    return true;
}

static PyObject *
shapes_learn(PyObject *self, PyObject *arguments)
{
    struct shapes *s = (struct shapes *) self;
    const char *line, *message;
    Py_ssize_t line_size, message_size;
    unsigned int usable;
    PyObject *places;
    struct cut cut;

    if (!PyArg_ParseTuple(arguments, "y#y#IO!", &line, &line_size, &message,
                          &message_size, &usable, &PyList_Type, &places)) {
        return NULL;
    }
    if (!cut_line(s, line, line_size, &cut) || message_size > UINT16_MAX
        || (message_size && cut.n != PyList_GET_SIZE(places))) {
        PyErr_SetString(PyExc_ValueError, "no such shape");
        return NULL;
    }
    struct shape *known = shape_find(s, &cut);
    if (known && !message_size) {
        known->size = known->n = 0;
    }
    if (known || s->n_shapes == MAX_SHAPES) {
        Py_RETURN_NONE;
    }
    uint32_t n = message_size ? cut.n : 0;
    struct shape *shape = PyMem_Calloc(
        1, sizeof *shape + n * sizeof *shape->places);
    if (!shape || !(shape->bytes = PyMem_Calloc(1, cut.size + message_size))) {
        PyMem_Free(shape);
        return PyErr_NoMemory();
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!place_fill(PyList_GET_ITEM(places, i), &cut.slots[i],
                        message_size, &shape->places[i])) {
            PyMem_Free(shape->bytes);
            PyMem_Free(shape);
            return NULL;
        }
    }
    shape->hash = hash_bytes(cut.skeleton, cut.size);
    shape->usable = usable;
    shape->skeleton_size = cut.size;
    shape->size = message_size;
    shape->n = n;
    memcpy(shape->bytes, cut.skeleton, cut.size);
    memcpy(shape->bytes + cut.size, message, message_size);
    struct shape **slot = shape_slot(s, shape->hash);
    shape->next = *slot;
    *slot = shape;
    s->n_shapes++;
    Py_RETURN_NONE;
}

static PyObject *
shapes_read(PyObject *self, PyObject *arguments)
{
    const char *data;
    Py_ssize_t size, at;
    uint32_t usable = UINT32_MAX, n = 0;

    if (!PyArg_ParseTuple(arguments, "y#n", &data, &size, &at)) {
        return NULL;
    }
    if (at < 0 || at > size) {
        PyErr_SetString(PyExc_ValueError, "no such place");
        return NULL;
    }
    struct bytes out = { .object = PyBytes_FromStringAndSize(
        NULL, (size - at) * 2 + 256) };
    if (!out.object) {
        return NULL;
    }
    enum stop stop = make_messages((struct shapes *) self, data, size, &at,
                                   &usable, &n, &out);
    if (!out.object || _PyBytes_Resize(&out.object, out.size)) {
        return NULL;
    }
    return Py_BuildValue("(NnIIi)", out.object, at, n, usable, stop);
}

static PyMethodDef shapes_methods[] = {
    { "slots", shapes_slots, METH_O,
      "slots(line): (start, end, form, most) of the numbers in a line, None "
      "if it is too long or odd." },
    { "learn", shapes_learn, METH_VARARGS,
      "learn(line, message, usable, places): what is made of lines of this "
      "shape; an empty message: nothing is, any more.  A place is (offset, "
      "size, shift, most, mask)." },
    { "read", shapes_read, METH_VARARGS,
      "read(data, at): the messages of the lines from 'at' on, where the "
      "first other line is, how many they are, the bits usable with all of "
      "them, and why that line is left." },
    { NULL, NULL, 0, NULL },
};

static PyTypeObject shapes_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "vswitchd.openflow.quick._shapes.Shapes",
    .tp_basicsize = sizeof(struct shapes),
    .tp_dealloc = shapes_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Shapes(words): shapes of lines; a word is (name, where, form, "
              "most, unless).",
    .tp_methods = shapes_methods,
    .tp_new = shapes_new,
};

/* ---- Sending messages ---- */

/* Size of the message at 'p' of 'left' bytes, 0 if it is cut off. */
static uint32_t
message_size(const uint8_t *p, Py_ssize_t left)
{
    uint32_t size = left < 8 ? 0 : p[2] << 8 | p[3];

    return size >= 8 && size <= left ? size : 0;
}

static void
put_be32(uint8_t *p, uint32_t x)
{
    x = htonl(x);
    memcpy(p, &x, sizeof x);
}

static PyObject *
module_wrap(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    const uint8_t *data, *head;
    Py_ssize_t size, head_size, n = 0;
    unsigned int number;

    if (!PyArg_ParseTuple(arguments, "y#y#I", &data, &size, &head, &head_size,
                          &number)) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < size; n++) {
        uint32_t length = message_size(data + at, size - at);
        if (!length || head_size < 8 || length + head_size > UINT16_MAX) {
            PyErr_SetString(PyExc_ValueError, "no such message");
            return NULL;
        }
        at += length;
    }
    PyObject *object = PyBytes_FromStringAndSize(NULL, size + n * head_size);
    if (!object) {
        return NULL;
    }
    uint8_t *out = (uint8_t *) PyBytes_AS_STRING(object);
    while (n--) {
        uint32_t length = message_size(data, size);
        memcpy(out, head, head_size);
        out[2] = (head_size + length) >> 8;
        out[3] = head_size + length;
        put_be32(out + 4, number);
        out += head_size;
        memcpy(out, data, length);
        put_be32(out + 4, number++);
        out += length;
        data += length;
        size -= length;
    }
    return object;
}

/* Receives up to 'size' bytes; -1 with an exception.  To sleep in poll() costs
 * the peer less than in recv(). */
static ssize_t
receive(int fd, uint8_t *data, size_t size)
{
    for (;;) {
        ssize_t n;
        Py_BEGIN_ALLOW_THREADS
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };
        n = poll(&pollfd, 1, -1) < 0 ? -1 : recv(fd, data, size, 0);
        Py_END_ALLOW_THREADS
        if (n >= 0) {
            return n;
        } else if (errno != EINTR || PyErr_CheckSignals()) {
            if (!PyErr_Occurred()) {
                PyErr_SetFromErrno(PyExc_OSError);
            }
            return -1;
        }
    }
}

/* Sends all of 'data'; false with an exception. */
static bool
send_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n;
        Py_BEGIN_ALLOW_THREADS
        n = send(fd, data, size, MSG_NOSIGNAL);
        Py_END_ALLOW_THREADS
        if (n >= 0) {
            data += n;
            size -= n;
        } else if (errno != EINTR || PyErr_CheckSignals()) {
            if (!PyErr_Occurred()) {
                PyErr_SetFromErrno(PyExc_OSError);
            }
            return false;
        }
    }
    return true;
}

static PyObject *
module_exchange(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    uint8_t buffer[UINT16_MAX + 8], answer[MAX_ANSWER];
    const uint8_t *data;
    Py_ssize_t size, at;
    unsigned int number, request, reply;
    int fd;

    if (!PyArg_ParseTuple(arguments, "iy#nIII", &fd, &data, &size, &at,
                          &number, &request, &reply)) {
        return NULL;
    }
    if (at < 0 || at > size) {
        PyErr_SetString(PyExc_ValueError, "no such place");
        return NULL;
    }
    uint8_t expected[8];
    ssize_t n;
    put_be32(expected, reply);
    while (at < size) {
        uint32_t length = message_size(data + at, size - at);
        if (!length) {
            PyErr_SetString(PyExc_ValueError, "no such message");
            return NULL;
        }
        memcpy(buffer, data + at, length);
        put_be32(buffer + 4, number);
        put_be32(buffer + length, request);
        put_be32(buffer + length + 4, number + 1);
        /* The peer may begin with the first while we send the second. */
        if (!send_all(fd, buffer, length)
            || !send_all(fd, buffer + length, 8)) {
            return NULL;
        }
        at += length;
        number += 2;
        put_be32(expected + 4, number - 1);
        n = receive(fd, answer, sizeof answer);
        if (n < 0) {
            return NULL;
        }
        if (n != sizeof expected || memcmp(answer, expected, n)) {
            return Py_BuildValue("(nIy#)", at, number, answer, n);
        }
    }
    return Py_BuildValue("(nIO)", at, number, Py_None);
}

static PyMethodDef methods[] = {
    { "wrap", module_wrap, METH_VARARGS,
      "wrap(messages, head, number): the messages, each behind the head of "
      "another, both with one number, which counts up." },
    { "exchange", module_exchange, METH_VARARGS,
      "exchange(fd, messages, at, number, request, reply): sends the messages "
      "from 'at' on with a barrier behind each, whose answer it awaits.  At "
      "another answer it returns where the next message is, its number, and "
      "that answer; at the end None instead.  Raises OSError." },
    { NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_shapes", NULL, -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__shapes(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (module && PyModule_AddType(module, &shapes_type)) {
        Py_CLEAR(module);
    }
    return module;
}
