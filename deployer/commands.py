"""The commands that a message names, as one types them."""

import os


def make_command(command: str) -> str:
    """A command of the Makefile, for the environment that the present one was typed for."""
    environment = os.environ.get("ENV")
    return f"make {command} ENV={environment}" if environment else f"make {command}"
