"""Runs a program of this package: `python3 /opt/prefect/platform/current/host disk_space 85 / /var`."""

import sys
from importlib import import_module
from pathlib import Path

PROGRAMS = ("backup", "backup_report", "disk_space", "encryption", "prune", "restore_drill", "server", "worker")

if __name__ == "__main__":
    if not __package__:
        # Python has put this folder into its path, in the place of the one that this package is in.
        sys.path[0] = str(Path(__file__).parents[1])
    if not {*sys.argv[1:2]} & {*PROGRAMS}:
        sys.exit(f"Name a program: python3 {Path(__file__).parent} <{'|'.join(PROGRAMS)}> …")
    program = import_module(f"host.{sys.argv.pop(1)}")
    sys.exit(program.main(*sys.argv[1:]))
