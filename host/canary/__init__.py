"""The smallest flow: `make upgrade` runs it on every pool to prove an upgrade."""
