/* Python face of pump.c; _segment.pyi has the Python signatures. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_segment.h"
#include "pump.h"

typedef struct {
    PyObject_HEAD PyObject *segment; /* NULL until __init__ has succeeded */
    pump pump;
    bool running; /* run() releases the GIL; other threads must not use the pump meanwhile */
} pump_object;

static int raise_errno(int problem) {
    errno = problem;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static int teach(pump *made, PyObject *commands) {
    PyObject *items = PySequence_Fast(commands, "commands: a sequence is needed");
    if (items == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        const char *bytes;
        Py_ssize_t size;
        unsigned int lane;
        const char *prefix;
        Py_ssize_t prefix_size;
        if (!PyArg_ParseTuple(PySequence_Fast_GET_ITEM(items, i), "y#Iy#", &bytes, &size, &lane,
                              &prefix, &prefix_size)) {
            break;
        }
        if (prefix_size > 1 || !pump_teach(made, bytes, (size_t)size, lane, *prefix)) {
            PyErr_Format(PyExc_ValueError, "command %zd: too many, too long, too short, or no lane",
                         i);
            break;
        }
    }
    Py_DECREF(items);
    return PyErr_Occurred() ? -1 : 0;
}

static int pump_init(PyObject *object, PyObject *args, PyObject *Py_UNUSED(keywords)) {
    pump_object *self = (pump_object *)object;
    PyObject *attached;
    PyObject *commands;
    if (!PyArg_ParseTuple(args, "OO", &attached, &commands)) {
        return -1;
    }
    if (self->segment != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a pump is made once");
        return -1;
    }
    if (!segment_is(attached)) {
        PyErr_SetString(PyExc_TypeError, "a Segment is needed");
        return -1;
    }
    segment *shared = segment_ready((segment_object *)attached, 0);
    if (shared == NULL) {
        return -1;
    }
    int problem = pump_open(&self->pump, shared);
    if (problem) {
        return raise_errno(problem);
    }
    if (teach(&self->pump, commands) < 0) {
        pump_close(&self->pump);
        return -1;
    }
    self->segment = Py_NewRef(attached);
    return 0;
}

static void pump_dealloc(PyObject *object) {
    pump_object *self = (pump_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->segment != NULL) {
        pump_close(&self->pump);
        Py_DECREF(self->segment);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

/* Return the pump; NULL with an error when __init__ has not succeeded, or it is running. */
static pump *ready(PyObject *object) {
    pump_object *self = (pump_object *)object;
    if (self->segment == NULL || self->running) {
        PyErr_SetString(PyExc_RuntimeError,
                        self->running ? "the pump is running" : "the pump is not made");
        return NULL;
    }
    return &self->pump;
}

static PyObject *pump_fileno_py(PyObject *object, PyObject *Py_UNUSED(none)) {
    pump *self = ready(object);
    return self == NULL ? NULL : PyLong_FromLong(self->epoll_fd);
}

static PyObject *pump_add_py(PyObject *object, PyObject *argument) {
    pump *self = ready(object);
    int fd = self == NULL ? -1 : PyObject_AsFileDescriptor(argument);
    if (fd < 0) {
        return NULL;
    }
    int problem = pump_add(self, fd);
    if (problem) {
        raise_errno(problem);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *pump_remove_py(PyObject *object, PyObject *argument) {
    pump *self = ready(object);
    int fd = self == NULL ? -1 : PyObject_AsFileDescriptor(argument);
    if (fd < 0) {
        return NULL;
    }
    pump_remove(self, fd);
    Py_RETURN_NONE;
}

static PyObject *pump_heard_mono_s_py(PyObject *object, PyObject *argument) {
    pump *self = ready(object);
    int fd = self == NULL ? -1 : PyObject_AsFileDescriptor(argument);
    if (fd < 0) {
        return NULL;
    }
    return PyFloat_FromDouble((double)pump_heard_ns(self, fd) * 1e-9);
}

static PyObject *list_of_returned(const pump *self) {
    PyObject *list = PyList_New((Py_ssize_t)self->returned_count);
    for (size_t i = 0; list != NULL && i < self->returned_count; i++) {
        const pump_socket *at = self->returned[i];
        PyObject *item =
            Py_BuildValue("(iy#y#)", at->fd, at->in + at->run, (Py_ssize_t)(at->read - at->run),
                          at->out + at->sent, (Py_ssize_t)(at->made - at->sent));
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

static PyObject *pump_run_py(PyObject *object, PyObject *Py_UNUSED(none)) {
    pump *self = ready(object);
    size_t answered = 0;
    if (self == NULL) {
        return NULL;
    }
    /* Sockets that an earlier call could not return, because memory ran out, come first. */
    if (self->returned_count == 0) {
        ((pump_object *)object)->running = true;
        Py_BEGIN_ALLOW_THREADS;
        answered = pump_run(self);
        Py_END_ALLOW_THREADS;
        ((pump_object *)object)->running = false;
    }
    PyObject *list = list_of_returned(self);
    PyObject *result = list == NULL ? NULL : Py_BuildValue("(nN)", (Py_ssize_t)answered, list);
    if (result != NULL) {
        self->returned_count = 0;
    }
    return result;
}

static PyMethodDef pump_methods[] = {
    {"fileno", pump_fileno_py, METH_NOARGS, NULL},
    {"add", pump_add_py, METH_O, NULL},
    {"remove", pump_remove_py, METH_O, NULL},
    {"heard_mono_s", pump_heard_mono_s_py, METH_O, NULL},
    {"run", pump_run_py, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pump_slots[] = {
    {Py_tp_new, (void *)(uintptr_t)PyType_GenericNew},
    {Py_tp_init, (void *)(uintptr_t)pump_init},
    {Py_tp_dealloc, (void *)(uintptr_t)pump_dealloc},
    {Py_tp_methods, pump_methods},
    {Py_tp_doc, "Pump(segment, commands)\n--\n\nThe fast path of the id server; see pump.h."},
    {0, NULL},
};

PyType_Spec pump_spec = {
    .name = "wbd.ids._segment.Pump",
    .basicsize = sizeof(pump_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = pump_slots,
};
