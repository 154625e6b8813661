/* Python face of turtle.c: a list of str and a dict in, a str out. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "turtle.h"

/* Look at a str as UTF-8. False if it is none, with TypeError, or has a surrogate, with no error.
 */
static bool text_of(PyObject *string, turtle_text *text) {
    Py_ssize_t size_bytes = 0;
    const char *const start = PyUnicode_AsUTF8AndSize(string, &size_bytes);
    if (start == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
            PyErr_Clear();
        }
        return false;
    }
    *text = (turtle_text){(const uint8_t *)start, (size_t)size_bytes};
    return true;
}

static bool texts_of(PyObject *lines, turtle_text *texts) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines); i++) {
        if (!text_of(PyList_GET_ITEM(lines, i), &texts[i])) {
            return false;
        }
    }
    return true;
}

static bool prefixes_of(PyObject *dict, turtle_prefix *prefixes) {
    PyObject *name = NULL;
    PyObject *space = NULL;
    Py_ssize_t position = 0;
    for (size_t i = 0; PyDict_Next(dict, &position, &name, &space); i++) {
        if (!text_of(name, &prefixes[i].name) || !text_of(space, &prefixes[i].space)) {
            return false;
        }
    }
    return true;
}

static PyObject *write_sorted(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    PyObject *written = NULL;
    (void)module;

    if (count != 2 || !PyList_Check(args[0]) || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError,
                        "write_sorted() takes a list of lines and a dict of prefixes");
        return NULL;
    }
    PyObject *const lines = args[0];
    const size_t line_count = (size_t)PyList_GET_SIZE(lines);
    const size_t prefix_count = (size_t)PyDict_GET_SIZE(args[1]);
    turtle_text *const texts = PyMem_New(turtle_text, line_count);
    turtle_prefix *const prefixes = PyMem_New(turtle_prefix, prefix_count);
    if (texts == NULL || prefixes == NULL) {
        PyErr_NoMemory();
    } else if (texts_of(lines, texts) && prefixes_of(args[1], prefixes)) {
        /* The GIL is kept: the texts belong to a list that other threads may change. */
        turtle_result result;
        switch (turtle_write(texts, line_count, prefixes, prefix_count, &result)) {
        case TURTLE_OK:
            written = PyUnicode_DecodeUTF8((const char *)result.text, (Py_ssize_t)result.size_bytes,
                                           NULL);
            break;
        case TURTLE_NO_MEMORY:
            PyErr_NoMemory();
            break;
        case TURTLE_UNUSUAL:
            break;
        }
        turtle_free(&result);
    }
    PyMem_Free(prefixes);
    PyMem_Free(texts);
    if (written == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return written;
}

PyDoc_STRVAR(write_sorted_doc, "write_sorted(lines, prefixes, /)\n--\n\n"
                               "Return sorted lines as Turtle; None for unusual ones.");

static PyMethodDef methods[] = {
    {"write_sorted", _PyCFunction_CAST(write_sorted), METH_FASTCALL, write_sorted_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wbd.rdf._turtle",
    .m_doc = "Sorted N-Triples lines as Turtle; see wbd/rdf/turtle.py.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__turtle(void) { return PyModuleDef_Init(&definition); }
