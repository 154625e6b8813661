"""The commands of ``wbd``, a file a subject: add_arguments(...), and a function that returns the exit code."""
