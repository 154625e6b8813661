/* Python face of spans.c: two bytes objects in, packed rows out. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "spans.h"

/* Two texts of this size together take about 30 microseconds. A thread that gives the GIL away may
 * wait for it far longer. */
#define KEEP_GIL_BYTES 65536

_Static_assert(sizeof(spans_row) == 32, "wbd/diff/spans.py reads rows of 32 bytes");

static PyObject *compare(PyObject *Py_UNUSED(module), PyObject *arguments) {
    const char *texts[2];
    Py_ssize_t sizes[2];
    spans_result result;
    if (!PyArg_ParseTuple(arguments, "y#y#:compare", &texts[0], &sizes[0], &texts[1], &sizes[1])) {
        return NULL;
    }
    const spans_text sides[2] = {{(const uint8_t *)texts[0], (size_t)sizes[0]},
                                 {(const uint8_t *)texts[1], (size_t)sizes[1]}};
    PyThreadState *saved = sizes[0] + sizes[1] > KEEP_GIL_BYTES ? PyEval_SaveThread() : NULL;
    const spans_status status = spans_compare(sides, &result);
    if (saved != NULL) {
        PyEval_RestoreThread(saved);
    }
    if (status != SPANS_OK) {
        return status == SPANS_UNUSUAL ? Py_NewRef(Py_None) : PyErr_NoMemory();
    }
    PyObject *const built =
        Py_BuildValue("y#nn", result.rows == NULL ? "" : (const char *)result.rows,
                      (Py_ssize_t)(result.count * sizeof(spans_row)), (Py_ssize_t)result.ends[0],
                      (Py_ssize_t)result.ends[1]);
    free(result.rows);
    return built;
}

static PyMethodDef methods[] = {
    {"compare", compare, METH_VARARGS, "Return rows about parts of two snapshots; see spans.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "wbd.diff._spans",
                                        .m_methods = methods};

PyMODINIT_FUNC PyInit__spans(void) { return PyModuleDef_Init(&definition); }
