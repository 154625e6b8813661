"""Entities and graphs as RDF: pure functions from bytes and dicts to N-Triples lines, no I/O and no clock."""
