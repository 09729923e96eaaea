"""Run by a project's own Python: writes what the flows of several projects are, as JSON.

Standard input holds {folder: [entrypoint, ...]}; the answers go into the folder named first, one file a project:
<number>.json, or <number>.err with the output in its place. Prefect is imported once, and each project by a process of
its own, which may take as many seconds as the second argument says.

Stands alone: of the packages it may only import Prefect, in whatever version the projects have.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import prefect
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema


def describe(entrypoint: str) -> dict[str, Any]:
    """The flow at `entrypoint` as a deployment needs it, or why it cannot be imported."""
    try:
        flow: prefect.Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
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


def answer(folder: str, entrypoints: list[str], file: Path) -> None:
    """Write the answer for one project, in a process that does nothing else."""
    os.chdir(folder)
    with file.with_suffix(".err").open("wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    flows = {entrypoint: describe(entrypoint) for entrypoint in entrypoints}
    file.with_suffix(".part").write_text(json.dumps(flows))
    file.with_suffix(".part").rename(file)


def main(answers: Path, seconds: int) -> None:
    """All projects, as many at a time as there are processors."""
    # A first flow sets Prefect up, once for all projects
    parameter_schema(prefect.flow(describe))
    running = 0
    for number, (folder, entrypoints) in enumerate(json.load(sys.stdin).items()):
        if running == os.cpu_count():
            os.wait()
            running -= 1
        if os.fork() == 0:
            signal.alarm(seconds)  # ends this process
            try:
                answer(folder, entrypoints, answers / f"{number}.json")
            finally:
                sys.stderr.flush()
                os._exit(0)
        running += 1
    for _ in range(running):
        os.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
