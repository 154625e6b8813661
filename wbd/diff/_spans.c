/* Python face of spans.c: two bytes objects in, a tuple out, the GIL released around long work. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "spans.h"

/* Two texts of up to this size, both together, take about 30 microseconds. A thread that gives the
 * GIL away may wait for it far longer. */
#define KEEP_GIL_BYTES 65536

/* Columns of a row about a group; spans.py names them. */
enum { COLUMNS = 7 };

static spans_text text_of(PyObject *bytes) {
    return (spans_text){(const uint8_t *)PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
}

static PyObject *json_of(const spans_side *side, spans_text text) {
    PyObject *json = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)side->written_bytes);
    if (json != NULL) {
        spans_write(side, text, (uint8_t *)PyBytes_AS_STRING(json));
    }
    return json;
}

static PyObject *rows_of(const spans_result *result) {
    const size_t size_bytes = result->groups * COLUMNS * sizeof(uint32_t);
    PyObject *rows = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size_bytes);
    if (rows == NULL) {
        return NULL;
    }
    char *target = PyBytes_AS_STRING(rows);
    for (size_t i = 0; i < result->old_side.count; i++) {
        const spans_part *const part = &result->old_side.parts[i];
        if (part->map == SPANS_CLAIMS && part->alike) {
            const uint32_t row[COLUMNS] = {part->key,         part->key_bytes,  part->value,
                                           part->value_bytes, part->statements, part->identifiers,
                                           part->opaque};
            memcpy(target, row, sizeof row);
            target += sizeof row;
        }
    }
    return rows;
}

static PyObject *compare(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    PyObject *found = NULL;
    PyObject *old_json = NULL;
    PyObject *new_json = NULL;
    PyObject *rows = NULL;
    spans_result result;
    spans_status status;
    (void)module;

    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "compare() takes 2 arguments, old and new (%zd given)",
                     count);
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        if (!PyBytes_Check(args[i])) {
            PyErr_Format(PyExc_TypeError, "a snapshot is a bytes object, not %.100s",
                         Py_TYPE(args[i])->tp_name);
            return NULL;
        }
    }
    const spans_text old_text = text_of(args[0]);
    const spans_text new_text = text_of(args[1]);
    if (old_text.size_bytes + new_text.size_bytes > KEEP_GIL_BYTES) {
        PyThreadState *released = PyEval_SaveThread();
        status = spans_compare(old_text, new_text, &result);
        PyEval_RestoreThread(released);
    } else {
        status = spans_compare(old_text, new_text, &result);
    }
    if (status == SPANS_NO_MEMORY) {
        return PyErr_NoMemory();
    }
    if (status == SPANS_UNUSUAL) {
        Py_RETURN_NONE;
    }
    old_json = json_of(&result.old_side, old_text);
    new_json = old_json == NULL ? NULL : json_of(&result.new_side, new_text);
    rows = new_json == NULL ? NULL : rows_of(&result);
    if (rows == NULL) {
        goto fail;
    }
    found = Py_BuildValue("OOnnnO", old_json, new_json, (Py_ssize_t)result.terms,
                          (Py_ssize_t)result.sitelinks, (Py_ssize_t)result.statements, rows);

fail:
    Py_XDECREF(old_json);
    Py_XDECREF(new_json);
    Py_XDECREF(rows);
    spans_free(&result);
    return found;
}

PyDoc_STRVAR(compare_doc, "compare(old, new, /)\n--\n\n"
                          "Return what two snapshots do not share; None for unusual ones.");

static PyMethodDef methods[] = {
    {"compare", _PyCFunction_CAST(compare), METH_FASTCALL, compare_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wbd.diff._spans",
    .m_doc = "Parts of snapshots that are not alike; see wbd/diff/spans.py.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__spans(void) { return PyModuleDef_Init(&definition); }
