/* Python face of segment.c: Taker, the fast path of IdClient. Whatever it cannot do at once goes to
 * the methods _slow_next, _slow_next_int and _slow_take, which its Python subclass defines. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "_segment.h"
#include "decimal.h"

static const char PREFIXES[SEGMENT_LANES] = {'Q', 'P', 'L', 'E'};

/* Types are looked up by identity: callers pass a constant of their module or a member of the
 * enum. */
#define SPELLINGS (2 * SEGMENT_LANES)

typedef struct {
    PyObject_HEAD PyObject *attached; /* Segment or NULL */
    long long count_max;
    PyObject *spellings[SPELLINGS]; /* for each lane its name as a plain str, and its enum member */
} taker_object;

static int taker_traverse(PyObject *object, visitproc visit, void *arg) {
    taker_object *self = (taker_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->attached);
    for (size_t i = 0; i < SPELLINGS; i++) {
        Py_VISIT(self->spellings[i]);
    }
    return 0;
}

static int taker_clear(PyObject *object) {
    taker_object *self = (taker_object *)object;
    Py_CLEAR(self->attached);
    for (size_t i = 0; i < SPELLINGS; i++) {
        Py_CLEAR(self->spellings[i]);
    }
    return 0;
}

static void taker_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    taker_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static int taker_init(PyObject *object, PyObject *args, PyObject *Py_UNUSED(keywords)) {
    taker_object *self = (taker_object *)object;
    PyObject *members;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &members)) {
        return -1;
    }
    if (PyTuple_GET_SIZE(members) != SEGMENT_LANES) {
        PyErr_Format(PyExc_ValueError, "%d entity types are needed", SEGMENT_LANES);
        return -1;
    }
    for (Py_ssize_t lane = 0; lane < SEGMENT_LANES; lane++) {
        PyObject *member = PyTuple_GET_ITEM(members, lane);
        PyObject *text = PyUnicode_FromObject(member);
        if (text == NULL) {
            return -1;
        }
        PyUnicode_InternInPlace(&text);
        Py_XSETREF(self->spellings[2 * lane], text);
        Py_XSETREF(self->spellings[2 * lane + 1], Py_NewRef(member));
    }
    return 0;
}

/* The segment and the lane to take from; false when the slow path has to do it. */
static bool fast(taker_object *self, PyObject *entity_type, segment **shared, unsigned *lane) {
    if (self->attached == NULL) {
        return false;
    }
    for (unsigned i = 0; i < SPELLINGS; i++) {
        if (self->spellings[i] == entity_type) {
            *lane = i / 2;
            *shared = ((segment_object *)self->attached)->shared;
            return true;
        }
    }
    return false;
}

static PyObject *text_of(unsigned lane, uint64_t number, size_t digits) {
    PyObject *text = PyUnicode_New((Py_ssize_t)(digits + 1), 127);
    if (text != NULL) {
        char *to = (char *)PyUnicode_1BYTE_DATA(text);
        *to = PREFIXES[lane];
        decimal_write(to + 1, digits, number);
    }
    return text;
}

static PyObject *taker_next(PyObject *object, PyObject *entity_type) {
    segment *shared;
    unsigned lane;
    uint64_t number;
    if (fast((taker_object *)object, entity_type, &shared, &lane) &&
        segment_take_one(shared, lane, &number) == SEGMENT_OK) {
        return text_of(lane, number, decimal_digits(number));
    }
    return PyObject_CallMethod(object, "_slow_next", "O", entity_type);
}

static PyObject *taker_next_int(PyObject *object, PyObject *entity_type) {
    segment *shared;
    unsigned lane;
    uint64_t number;
    if (fast((taker_object *)object, entity_type, &shared, &lane) &&
        segment_take_one(shared, lane, &number) == SEGMENT_OK) {
        return PyLong_FromUnsignedLongLong(number);
    }
    return PyObject_CallMethod(object, "_slow_next_int", "O", entity_type);
}

/* Return the ids of *pieces* as text; when memory runs out, the ids become a gap. */
static PyObject *texts_of(unsigned lane, const segment_piece *pieces, size_t piece_count,
                          Py_ssize_t count) {
    PyObject *list = PyList_New(count);
    Py_ssize_t at = 0;
    for (size_t i = 0; list != NULL && i < piece_count; i++) {
        for (uint64_t j = 0; j < pieces[i].count; j++) {
            uint64_t number = pieces[i].first + j;
            PyObject *text = text_of(lane, number, decimal_digits(number));
            if (text == NULL) {
                Py_DECREF(list);
                return NULL;
            }
            PyList_SET_ITEM(list, at++, text);
        }
    }
    return list;
}

static PyObject *taker_take(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    taker_object *self = (taker_object *)object;
    segment *shared;
    unsigned lane;
    segment_piece pieces[SEGMENT_SLOTS];
    size_t piece_count;
    if (nargs != 2) {
        return PyErr_Format(PyExc_TypeError, "take() takes an entity type and a count");
    }
    if (PyLong_CheckExact(args[1]) && fast(self, args[0], &shared, &lane)) {
        int overflow;
        long long count = PyLong_AsLongLongAndOverflow(args[1], &overflow);
        if (count >= 1 && count <= self->count_max &&
            segment_take(shared, lane, (uint64_t)count, SEGMENT_ALL, pieces, &piece_count) ==
                SEGMENT_OK) {
            return texts_of(lane, pieces, piece_count, (Py_ssize_t)count);
        }
    }
    return PyObject_CallMethod(object, "_slow_take", "OO", args[0], args[1]);
}

static PyObject *taker_attach(PyObject *object, PyObject *args) {
    taker_object *self = (taker_object *)object;
    PyObject *attached;
    long long count_max;
    if (!PyArg_ParseTuple(args, "OL", &attached, &count_max)) {
        return NULL;
    }
    if (attached != Py_None && !segment_is(attached)) {
        return PyErr_Format(PyExc_TypeError, "a Segment or None is needed");
    }
    if (attached != Py_None && segment_ready((segment_object *)attached, 0) == NULL) {
        return NULL;
    }
    self->count_max = count_max;
    Py_XSETREF(self->attached, attached == Py_None ? NULL : Py_NewRef(attached));
    Py_RETURN_NONE;
}

static PyMethodDef taker_methods[] = {
    {"next", taker_next, METH_O, NULL},
    {"next_int", taker_next_int, METH_O, NULL},
    {"take", _PyCFunction_CAST(taker_take), METH_FASTCALL, NULL},
    {"_attach", taker_attach, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef taker_members[] = {
    {"_attached", T_OBJECT, offsetof(taker_object, attached), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot taker_slots[] = {
    {Py_tp_new, (void *)(uintptr_t)PyType_GenericNew},
    {Py_tp_init, (void *)(uintptr_t)taker_init},
    {Py_tp_dealloc, (void *)(uintptr_t)taker_dealloc},
    {Py_tp_traverse, (void *)(uintptr_t)taker_traverse},
    {Py_tp_clear, (void *)(uintptr_t)taker_clear},
    {Py_tp_methods, taker_methods},
    {Py_tp_members, taker_members},
    {Py_tp_doc, "Taker(entity_types)\n--\n\nThe fast path of IdClient, which is its subclass."},
    {0, NULL},
};

PyType_Spec taker_spec = {
    .name = "wbd.ids._segment.Taker",
    .basicsize = sizeof(taker_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = taker_slots,
};
