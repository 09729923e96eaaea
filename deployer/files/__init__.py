"""The files that people write, with the file, line and field of each problem."""
