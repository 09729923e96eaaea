"""Run by a project's own Python, in its folder: writes what its flows are, as JSON, to the file named first.

Stands alone: of the packages it may only import Prefect, in whatever version the project has.
"""

import json
import sys
import traceback
from pathlib import Path

from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema


def describe(entrypoint: str) -> dict:
    """The flow at `entrypoint` as a deployment needs it, or why it cannot be imported."""
    try:
        flow = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
        return {
            "name": flow.name,
            "description": flow.description,
            "parameters": parameter_schema(flow).model_dump(mode="json"),
        }
    except BaseException as error:  # a module may also call sys.exit()
        return {"error": reason(error)}


def reason(error: BaseException) -> str:
    """The exception's own words, and the project's line it came from."""
    error = getattr(error, "user_exc", None) or error
    here = Path.cwd()
    lines = [
        f" ({Path(frame.filename).relative_to(here)} line {frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(here)
    ]
    return f"{type(error).__name__}: {error}{lines[-1] if lines else ''}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps({entrypoint: describe(entrypoint) for entrypoint in sys.argv[2:]}))
