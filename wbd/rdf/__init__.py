"""Documents, graphs and their differences: pure functions of bytes, terms and N-Triples lines, no I/O, no clock."""
