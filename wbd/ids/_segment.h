/* The Python object that holds a mapped segment, for the other faces in this extension. */
#ifndef WBD_IDS__SEGMENT_H
#define WBD_IDS__SEGMENT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "segment.h"

typedef struct {
    PyObject_HEAD segment *shared; /* NULL until __init__ has succeeded */
    segment_publisher publisher;   /* .shared is NULL in a process that only takes */
} segment_object;

/* The mapped memory; NULL with a Python error when there is none or *lane* is out of range. */
segment *segment_ready(segment_object *self, Py_ssize_t lane);

/* Tell whether *object* is a Segment. */
bool segment_is(PyObject *object);

/* The other types of the extension. */
extern PyType_Spec taker_spec;
extern PyType_Spec pump_spec;

#endif
