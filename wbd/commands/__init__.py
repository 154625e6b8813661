"""The commands of ``wbd``, a file a subject; each gives add_arguments(...) and a function that returns the exit code."""
