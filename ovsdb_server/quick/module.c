/* The module `_road`: what the server does most often, in C.
 *
 * transact.c has transactions, text.c what they write; here are sockets and
 * the list of what Python sees. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/socket.h>

extern PyTypeObject RoadType;
bool transact_prepare(void);

enum {
    BATCH_MAX = 64,             /* Sent while the GIL is released once. */
    CHUNK = 64 * 1024,          /* Received from one socket at a time. */
    ROOM = 16 * CHUNK           /* Received while the GIL is released once. */
};

/* A message on its way. */
struct parcel {
    int fd;
    const char *data;           /* Of a bytes object that the list keeps. */
    size_t size;
    ssize_t n_sent;             /* -errno if it failed. */
};

static bool
read_parcel(PyObject *pair, struct parcel *parcel)
{
    PyObject *data;

    if (!PyTuple_CheckExact(pair)
        || !PyArg_ParseTuple(pair, "iO!", &parcel->fd, &PyBytes_Type, &data)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "not a pair");
        }
        return false;
    }
    parcel->data = PyBytes_AS_STRING(data);
    parcel->size = PyBytes_GET_SIZE(data);
    return true;
}

static void
send_parcels(struct parcel *parcels, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        struct parcel *parcel = &parcels[i];

        do {
            parcel->n_sent = send(parcel->fd, parcel->data, parcel->size,
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
        } while (parcel->n_sent < 0 && errno == EINTR);
        if (parcel->n_sent < 0) {
            parcel->n_sent = -errno;
        }
    }
}

/* Adds (place, number of bytes sent or -errno) of those not sent whole. */
static bool
note_rests(PyObject *rests, const struct parcel *parcels, Py_ssize_t n,
           Py_ssize_t first)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        if (parcels[i].n_sent == (ssize_t) parcels[i].size) {
            continue;
        }
        PyObject *rest = Py_BuildValue("(nn)", first + i,
                                       (Py_ssize_t) parcels[i].n_sent);
        bool ok = rest && !PyList_Append(rests, rest);

        Py_XDECREF(rest);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* send_all(pairs of a descriptor and bytes) -> what could not be sent. */
static PyObject *
send_all(PyObject *self, PyObject *pairs)
{
    struct parcel parcels[BATCH_MAX];
    Py_ssize_t total;

    (void) self;
    if (!PyTuple_CheckExact(pairs)) {
        PyErr_SetString(PyExc_TypeError, "send_all(tuple of pairs)");
        return NULL;
    }
    PyObject *rests = PyList_New(0);
    if (!rests) {
        return NULL;
    }
    total = PyTuple_GET_SIZE(pairs);
    for (Py_ssize_t first = 0; first < total; first += BATCH_MAX) {
        Py_ssize_t n = Py_MIN(total - first, BATCH_MAX);

        for (Py_ssize_t i = 0; i < n; i++) {
            if (!read_parcel(PyTuple_GET_ITEM(pairs, first + i),
                             &parcels[i])) {
                Py_DECREF(rests);
                return NULL;
            }
        }
        Py_BEGIN_ALLOW_THREADS
        send_parcels(parcels, n);
        Py_END_ALLOW_THREADS
        if (!note_rests(rests, parcels, n, first)) {
            Py_DECREF(rests);
            return NULL;
        }
    }
    return rests;
}

/* What a socket gave. */
struct arrival {
    int fd;
    ssize_t size;               /* -errno if it failed. */
};

static char room[ROOM];         /* Guarded by 'is_room_taken'. */
static bool is_room_taken;      /* Guarded by the GIL. */

/* Receives from as many of the 'n' sockets as there is room for; returns how
 * many those are. */
static Py_ssize_t
receive_some(struct arrival *arrivals, Py_ssize_t n)
{
    size_t used = 0;
    Py_ssize_t i;

    for (i = 0; i < n && used <= ROOM - CHUNK; i++) {
        do {
            arrivals[i].size = recv(arrivals[i].fd, room + used, CHUNK,
                                    MSG_DONTWAIT);
        } while (arrivals[i].size < 0 && errno == EINTR);
        if (arrivals[i].size < 0) {
            arrivals[i].size = -errno;
        } else {
            used += arrivals[i].size;
        }
    }
    return i;
}

/* Puts what the 'n' sockets gave into 'list' from 'first' on. */
static bool
note_arrivals(PyObject *list, const struct arrival *arrivals, Py_ssize_t n,
              Py_ssize_t first)
{
    const char *data = room;

    for (Py_ssize_t i = 0; i < n; i++) {
        ssize_t size = arrivals[i].size;
        PyObject *item;

        if (size >= 0) {
            item = PyBytes_FromStringAndSize(data, size);
            data += size;
        } else {
            item = PyLong_FromSsize_t(-size);
        }
        if (!item) {
            return false;
        }
        PyList_SET_ITEM(list, first + i, item);
    }
    return true;
}

/* receive_all(descriptors) -> what each gave. */
static PyObject *
receive_all(PyObject *self, PyObject *numbers)
{
    struct arrival arrivals[BATCH_MAX];

    (void) self;
    if (!PyList_CheckExact(numbers) || is_room_taken) {
        PyErr_SetString(PyExc_TypeError, "receive_all(list of descriptors), "
                        "one at a time");
        return NULL;
    }
    Py_ssize_t total = PyList_GET_SIZE(numbers);
    PyObject *list = PyList_New(total);
    Py_ssize_t first = 0;
    bool ok = list != NULL;

    is_room_taken = true;
    while (ok && first < total) {
        Py_ssize_t n = Py_MIN(total - first, BATCH_MAX);

        for (Py_ssize_t i = 0; ok && i < n; i++) {
            long fd = PyLong_AsLong(PyList_GET_ITEM(numbers, first + i));

            ok = fd >= 0 && fd <= INT_MAX;
            arrivals[i].fd = fd;
        }
        if (!ok) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "not a descriptor");
            }
            break;
        }
        Py_BEGIN_ALLOW_THREADS
        n = receive_some(arrivals, n);
        Py_END_ALLOW_THREADS
        ok = note_arrivals(list, arrivals, n, first);
        first += n;
    }
    is_room_taken = false;
    if (!ok) {
        Py_CLEAR(list);
    }
    return list;
}

static PyMethodDef functions[] = {
    {"receive_all", receive_all, METH_O,
     "receive_all([descriptor, ...]) -> for each the bytes that have arrived "
     "(none at the end of the stream) or the errno."},
    {"send_all", send_all, METH_O,
     "send_all(((descriptor, bytes), ...)) -> [(place, bytes sent or "
     "-errno)] of those that were not sent whole."},
    {NULL, NULL, 0, NULL}
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_road", NULL, -1, functions, NULL, NULL, NULL,
    NULL
};

PyMODINIT_FUNC
PyInit__road(void)
{
    if (!transact_prepare()) {
        return NULL;
    }
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddObjectRef(module, "Road",
                                        (PyObject *) &RoadType)) {
        Py_CLEAR(module);
    }
    return module;
}
