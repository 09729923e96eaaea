"""One module per tool; each function does the same work and returns the number of rows."""
