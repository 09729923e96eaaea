"""One module a tool; each function does the same work and gives the number of rows."""
