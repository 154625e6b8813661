/* Python face of segment.c: Segment, the ring as its publisher and the id server see it. The
 * contract is in segment.h; _segment.pyi has the Python signatures. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "_segment.h"

static PyObject *unusable;      /* wbd.errors.SegmentUnusable */
static PyObject *range_refused; /* wbd.errors.RangeRefused */

static PyObject *refuse(const char *problem) { return PyErr_Format(unusable, "%s", problem); }

/* Map *fd*, or memory for this process and its children when it is negative. */
static segment *map(int fd) {
    int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    void *memory = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED) {
        PyErr_SetFromErrno(PyExc_OSError);
        return NULL;
    }
    return memory;
}

static int segment_init(PyObject *object, PyObject *args, PyObject *keywords) {
    static char *names[] = {"fd", "origin", "create", "publish", NULL};
    segment_object *self = (segment_object *)object;
    segment_identity identity = {.origin = ""};
    int fd = -1;
    int create = 0;
    int publish = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|iz$pp", names, &fd, &identity.origin,
                                     &create, &publish)) {
        return -1;
    }
    if (self->shared != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a segment is made once");
        return -1;
    }
    if (identity.origin == NULL ? create || publish || fd < 0
                                : strlen(identity.origin) >= SEGMENT_ORIGIN_BYTES) {
        PyErr_SetString(PyExc_ValueError, "origin missing or too long");
        return -1;
    }
    size_t bytes = SEGMENT_BYTES;
    if (fd >= 0) {
        struct stat found;
        if (fstat(fd, &found) < 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        identity.device = found.st_dev;
        identity.inode = found.st_ino;
        bytes = found.st_size < 0 ? 0 : (size_t)found.st_size;
    }
    /* Memory behind the end of a file cannot be read, so the size comes first. */
    if (bytes != SEGMENT_BYTES) {
        refuse("not of the size of a segment");
        return -1;
    }
    segment *shared = map(fd);
    if (shared == NULL) {
        return -1;
    }
    if (create || fd < 0) {
        segment_format(shared, identity);
    }
    const char *problem = segment_problem(shared, bytes, identity);
    if (problem == NULL && publish && atomic_load(&shared->closed)) {
        problem = "closed by its last publisher";
    }
    if (problem) {
        munmap(shared, SEGMENT_BYTES);
        refuse(problem);
        return -1;
    }
    if (publish) {
        segment_adopt(&self->publisher, shared);
    }
    self->shared = shared;
    return 0;
}

static void segment_dealloc(PyObject *object) {
    segment_object *self = (segment_object *)object;
    if (self->shared != NULL) {
        munmap(self->shared, SEGMENT_BYTES);
    }
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Return the mapped memory; NULL with an error when __init__ has not succeeded, *lane* is out of
 * range, or it is the -1 of a failed conversion. */
segment *segment_ready(segment_object *self, Py_ssize_t lane) {
    if (lane == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (self->shared == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the segment is not mapped");
        return NULL;
    }
    if (lane < 0 || lane >= SEGMENT_LANES) {
        PyErr_Format(PyExc_IndexError, "lane %zd not within 0..%d", lane, SEGMENT_LANES - 1);
        return NULL;
    }
    return self->shared;
}

bool segment_is(PyObject *object) { return Py_TYPE(object)->tp_dealloc == segment_dealloc; }

static segment_publisher *publisher(segment_object *self, Py_ssize_t lane) {
    if (segment_ready(self, lane) == NULL) {
        return NULL;
    }
    if (self->publisher.shared == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the segment was opened to take, not to publish");
        return NULL;
    }
    return &self->publisher;
}

static PyObject *raise_status(segment_status status) {
    switch (status) {
    case SEGMENT_CORRUPT:
        return refuse("a lane holds what no publisher writes");
    case SEGMENT_EXHAUSTED:
        return refuse("the sequences of a lane are used up");
    case SEGMENT_REFUSED:
        return PyErr_Format(range_refused, "not above all that the lane has held, or too large, "
                                           "or the segment is closed");
    default:
        return PyErr_Format(PyExc_RuntimeError, "unexpected status %d", (int)status);
    }
}

static PyObject *list_of(const segment_piece *pieces, size_t count) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *pair = Py_BuildValue("(KK)", (unsigned long long)pieces[i].first,
                                       (unsigned long long)(pieces[i].first + pieces[i].count - 1));
        if (pair == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, pair);
        }
    }
    return list;
}

static PyObject *segment_take_one_py(PyObject *object, PyObject *argument) {
    Py_ssize_t lane = PyLong_AsSsize_t(argument);
    segment *shared = segment_ready((segment_object *)object, lane);
    uint64_t number = 0;
    if (shared == NULL) {
        return NULL;
    }
    if (segment_take_one(shared, (unsigned)lane, &number) == SEGMENT_CORRUPT) {
        return raise_status(SEGMENT_CORRUPT);
    }
    return PyLong_FromUnsignedLongLong(number);
}

static PyObject *segment_take_py(PyObject *object, PyObject *args) {
    Py_ssize_t lane;
    long long count;
    int mode;
    segment_piece pieces[SEGMENT_SLOTS];
    size_t piece_count;
    if (!PyArg_ParseTuple(args, "nLi", &lane, &count, &mode)) {
        return NULL;
    }
    segment *shared = segment_ready((segment_object *)object, lane);
    if (shared == NULL) {
        return NULL;
    }
    if (count < 1 || mode < SEGMENT_ALL || mode > SEGMENT_BLOCK) {
        PyErr_SetString(PyExc_ValueError, "count below 1, or no such mode");
        return NULL;
    }
    if (segment_take(shared, (unsigned)lane, (uint64_t)count, (segment_mode)mode, pieces,
                     &piece_count) == SEGMENT_CORRUPT) {
        return raise_status(SEGMENT_CORRUPT);
    }
    return list_of(pieces, piece_count);
}

static PyObject *segment_skip_to_py(PyObject *object, PyObject *args) {
    Py_ssize_t lane;
    long long number;
    uint64_t dropped;
    if (!PyArg_ParseTuple(args, "nL", &lane, &number)) {
        return NULL;
    }
    segment *shared = segment_ready((segment_object *)object, lane);
    if (shared == NULL) {
        return NULL;
    }
    /* No id lies below 1. */
    if (segment_skip_to(shared, (unsigned)lane, number < 0 ? 0 : (uint64_t)number, &dropped) ==
        SEGMENT_CORRUPT) {
        return raise_status(SEGMENT_CORRUPT);
    }
    return PyLong_FromUnsignedLongLong(dropped);
}

static PyObject *segment_look_py(PyObject *object, PyObject *argument) {
    Py_ssize_t lane = PyLong_AsSsize_t(argument);
    segment *shared = segment_ready((segment_object *)object, lane);
    segment_state state;
    if (shared == NULL) {
        return NULL;
    }
    if (segment_look(shared, (unsigned)lane, &state) == SEGMENT_CORRUPT) {
        return raise_status(SEGMENT_CORRUPT);
    }
    PyObject *pieces = list_of(state.pieces, state.piece_count);
    if (pieces == NULL) {
        return NULL;
    }
    return Py_BuildValue(
        "{sKsKsKsKsKsKsKsN}", "left", (unsigned long long)state.left, "added",
        (unsigned long long)state.added, "skipped", (unsigned long long)state.skipped, "returned",
        (unsigned long long)state.returned, "contended", (unsigned long long)state.contended,
        "high", (unsigned long long)state.high, "low_left", (unsigned long long)state.low_left,
        "pieces", pieces);
}

static PyObject *segment_publish_py(PyObject *object, PyObject *args) {
    Py_ssize_t lane;
    long long first, last, low_left;
    if (!PyArg_ParseTuple(args, "nLLL", &lane, &first, &last, &low_left)) {
        return NULL;
    }
    segment_publisher *by = publisher((segment_object *)object, lane);
    if (by == NULL) {
        return NULL;
    }
    if (first < 1 || last < first) {
        return raise_status(SEGMENT_REFUSED);
    }
    segment_status status =
        segment_publish(by, (unsigned)lane, (uint64_t)first, (uint64_t)(last - first) + 1,
                        low_left < 0 ? 0 : (uint64_t)low_left);
    if (status != SEGMENT_OK && status != SEGMENT_FULL) {
        return raise_status(status);
    }
    return PyBool_FromLong(status == SEGMENT_OK);
}

static PyObject *segment_check_py(PyObject *object, PyObject *Py_UNUSED(none)) {
    for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
        segment_publisher *by = publisher((segment_object *)object, lane);
        if (by == NULL) {
            return NULL;
        }
        if (segment_check(by, lane) != SEGMENT_OK) {
            return raise_status(SEGMENT_CORRUPT);
        }
    }
    Py_RETURN_NONE;
}

static PyObject *segment_drain_py(PyObject *object, PyObject *argument) {
    Py_ssize_t lane = PyLong_AsSsize_t(argument);
    segment_publisher *by = publisher((segment_object *)object, lane);
    segment_piece pieces[SEGMENT_SLOTS];
    size_t piece_count;
    if (by == NULL) {
        return NULL;
    }
    if (segment_drain(by, (unsigned)lane, pieces, &piece_count) == SEGMENT_CORRUPT) {
        return raise_status(SEGMENT_CORRUPT);
    }
    return list_of(pieces, piece_count);
}

static PyObject *segment_close_py(PyObject *object, PyObject *Py_UNUSED(none)) {
    segment_publisher *by = publisher((segment_object *)object, 0);
    if (by == NULL) {
        return NULL;
    }
    segment_close(by);
    Py_RETURN_NONE;
}

static PyObject *segment_wake_py(PyObject *object, PyObject *Py_UNUSED(none)) {
    segment *shared = segment_ready((segment_object *)object, 0);
    if (shared == NULL) {
        return NULL;
    }
    segment_wake(shared);
    Py_RETURN_NONE;
}

static PyObject *segment_wait_py(PyObject *object, PyObject *args) {
    unsigned int seen;
    double timeout_s;
    if (!PyArg_ParseTuple(args, "Id", &seen, &timeout_s)) {
        return NULL;
    }
    segment *shared = segment_ready((segment_object *)object, 0);
    if (shared == NULL) {
        return NULL;
    }
    if (!(timeout_s >= 0 && timeout_s <= 3600)) {
        PyErr_SetString(PyExc_ValueError, "timeout_s not within 0..3600");
        return NULL;
    }
    uint32_t now;
    Py_BEGIN_ALLOW_THREADS;
    now = segment_wait(shared, seen, (uint64_t)(timeout_s * 1e9));
    Py_END_ALLOW_THREADS;
    return PyLong_FromUnsignedLong(now);
}

static PyObject *segment_closed(PyObject *object, void *Py_UNUSED(closure)) {
    segment *shared = segment_ready((segment_object *)object, 0);
    return shared == NULL ? NULL : PyBool_FromLong(atomic_load(&shared->closed) != 0);
}

static PyMethodDef segment_methods[] = {
    {"take_one", segment_take_one_py, METH_O, NULL},
    {"take", segment_take_py, METH_VARARGS, NULL},
    {"skip_to", segment_skip_to_py, METH_VARARGS, NULL},
    {"look", segment_look_py, METH_O, NULL},
    {"publish", segment_publish_py, METH_VARARGS, NULL},
    {"check", segment_check_py, METH_NOARGS, NULL},
    {"drain", segment_drain_py, METH_O, NULL},
    {"close", segment_close_py, METH_NOARGS, NULL},
    {"wake", segment_wake_py, METH_NOARGS, NULL},
    {"wait", segment_wait_py, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef segment_getters[] = {
    {"closed", segment_closed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot segment_slots[] = {
    {Py_tp_new, (void *)(uintptr_t)PyType_GenericNew},
    {Py_tp_init, (void *)(uintptr_t)segment_init},
    {Py_tp_dealloc, (void *)(uintptr_t)segment_dealloc},
    {Py_tp_methods, segment_methods},
    {Py_tp_getset, segment_getters},
    {Py_tp_doc, "Segment(fd=-1, origin='', *, create=False, publish=False)\n--\n\n"
                "The ring of reserved ids; see segment.h."},
    {0, NULL},
};

static PyType_Spec segment_spec = {
    .name = "wbd.ids._segment.Segment",
    .basicsize = sizeof(segment_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = segment_slots,
};

static int execute(PyObject *module) {
    PyObject *errors = PyImport_ImportModule("wbd.errors");
    if (errors == NULL) {
        return -1;
    }
    Py_XSETREF(unusable, PyObject_GetAttrString(errors, "SegmentUnusable"));
    Py_XSETREF(range_refused, PyObject_GetAttrString(errors, "RangeRefused"));
    Py_DECREF(errors);
    PyObject *segment_type = PyType_FromSpec(&segment_spec);
    PyObject *taker_type = PyType_FromSpec(&taker_spec);
    PyObject *pump_type = PyType_FromSpec(&pump_spec);
    int failed = unusable == NULL || range_refused == NULL || segment_type == NULL ||
                 taker_type == NULL || PyModule_AddObjectRef(module, "Segment", segment_type) < 0 ||
                 PyModule_AddObjectRef(module, "Taker", taker_type) < 0 ||
                 PyModule_AddObjectRef(module, "Pump", pump_type) < 0 ||
                 PyModule_AddIntConstant(module, "SEGMENT_BYTES", SEGMENT_BYTES) < 0 ||
                 PyModule_AddIntConstant(module, "SLOTS", SEGMENT_SLOTS) < 0 ||
                 PyModule_AddIntConstant(module, "LAYOUT_VERSION", SEGMENT_VERSION) < 0 ||
                 PyModule_AddIntConstant(module, "ALL", SEGMENT_ALL) < 0 ||
                 PyModule_AddIntConstant(module, "UP_TO", SEGMENT_UP_TO) < 0 ||
                 PyModule_AddIntConstant(module, "BLOCK", SEGMENT_BLOCK) < 0;
    Py_XDECREF(segment_type);
    Py_XDECREF(taker_type);
    Py_XDECREF(pump_type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_segment",
    .m_doc = "The ring of reserved ids in shared memory; see segment.h.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__segment(void) { return PyModuleDef_Init(&definition); }
