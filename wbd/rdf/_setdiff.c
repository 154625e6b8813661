/* Python face of setdiff.c: buffers in, two bytes objects out, the GIL released around the work. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <stdbool.h>
#include <sys/random.h>

#include "setdiff.h"

/* Two texts of up to this size, both together, take about 30 microseconds. A thread that gives the
 * GIL away may wait for it far longer. */
#define KEEP_GIL_BYTES 65536

typedef struct {
    PyObject *bad_input; /* wbd.errors.BadInput */
} module_state;

static module_state *state_of(PyObject *module) { return PyModule_GetState(module); }

static bool draw_seed(setdiff_seed *seed) {
    ssize_t drawn;
    do {
        /* Up to 256 bytes come whole or not at all. */
        drawn = getrandom(seed, sizeof *seed, 0);
    } while (drawn < 0 && errno == EINTR);
    return drawn == (ssize_t)sizeof *seed;
}

static setdiff_span span_of(const Py_buffer *buffer) {
    return (setdiff_span){buffer->buf, (size_t)buffer->len};
}

static PyObject *empty_text(const setdiff_lines *lines) {
    return PyBytes_FromStringAndSize(NULL, (Py_ssize_t)lines->text_bytes);
}

static PyObject *difference(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Py_buffer old_buffer = {0};
    Py_buffer new_buffer = {0};
    PyObject *added = NULL;
    PyObject *removed = NULL;
    PyObject *pair = NULL;
    PyThreadState *released = NULL;
    setdiff_seed seed;
    setdiff_result result = {0};
    setdiff_status status;
    bool long_work;

    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "difference() takes 2 arguments, old and new (%zd given)",
                     count);
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &old_buffer, PyBUF_SIMPLE) < 0 ||
        PyObject_GetBuffer(args[1], &new_buffer, PyBUF_SIMPLE) < 0) {
        goto fail;
    }
    if (!draw_seed(&seed)) {
        PyErr_SetFromErrno(PyExc_OSError);
        goto fail;
    }
    long_work = old_buffer.len > KEEP_GIL_BYTES || new_buffer.len > KEEP_GIL_BYTES - old_buffer.len;
    if (long_work) {
        released = PyEval_SaveThread();
    }
    status = setdiff_compute(span_of(&old_buffer), span_of(&new_buffer), seed, &result);
    if (long_work) {
        PyEval_RestoreThread(released);
    }
    if (status == SETDIFF_NO_MEMORY) {
        PyErr_NoMemory();
        goto fail;
    }
    if (status == SETDIFF_TOO_MANY_LINES) {
        PyErr_Format(state_of(module)->bad_input,
                     "two graphs of more than %llu different lines; graphs set aside",
                     (unsigned long long)SETDIFF_MAX_LINES);
        goto fail;
    }
    added = empty_text(&result.added);
    removed = added == NULL ? NULL : empty_text(&result.removed);
    if (removed == NULL) {
        goto fail;
    }
    /* Nobody else has seen the two objects yet, so they can be written without the GIL. */
    long_work = result.added.text_bytes + result.removed.text_bytes > KEEP_GIL_BYTES;
    if (long_work) {
        released = PyEval_SaveThread();
    }
    setdiff_write(&result.added, (uint8_t *)PyBytes_AS_STRING(added));
    setdiff_write(&result.removed, (uint8_t *)PyBytes_AS_STRING(removed));
    if (long_work) {
        PyEval_RestoreThread(released);
    }
    pair = PyTuple_Pack(2, added, removed);

fail:
    Py_XDECREF(added);
    Py_XDECREF(removed);
    setdiff_free(&result);
    PyBuffer_Release(&new_buffer);
    PyBuffer_Release(&old_buffer);
    return pair;
}

static int execute(PyObject *module) {
    PyObject *errors = PyImport_ImportModule("wbd.errors");
    if (errors == NULL) {
        return -1;
    }
    state_of(module)->bad_input = PyObject_GetAttrString(errors, "BadInput");
    Py_DECREF(errors);
    return state_of(module)->bad_input == NULL ? -1 : 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    Py_VISIT(state_of(module)->bad_input);
    return 0;
}

static int clear(PyObject *module) {
    Py_CLEAR(state_of(module)->bad_input);
    return 0;
}

PyDoc_STRVAR(difference_doc, "difference(old, new, /)\n--\n\n"
                             "Return the lines that only *new* has and those that only *old* has.");

static PyMethodDef methods[] = {
    {"difference", _PyCFunction_CAST(difference), METH_FASTCALL, difference_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wbd.rdf._setdiff",
    .m_doc = "Set difference over canonical N-Triples lines; see wbd/rdf/setdiff.py.",
    .m_size = sizeof(module_state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__setdiff(void) { return PyModuleDef_Init(&definition); }
