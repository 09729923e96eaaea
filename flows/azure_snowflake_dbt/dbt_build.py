"""`dbt build` of the project beside this file; every node is a Prefect task run."""

import hashlib
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect_dbt import PrefectDbtRunner, PrefectDbtSettings

from credentials import private_key_text
from report import Logger, fields

PROJECT = Path(__file__).parent / "dbt"
RESULTS = "run_results.json"
STATE = "built_on.json"
FAILED_RUNS_KEPT = 10
FAILED = {"error", "fail", "runtime error", "partial success"}


class DbtError(RuntimeError):
    """dbt could not run, or a model or a test failed; the message names it."""


@dataclass
class NodeResult:
    """The result of a model or test."""

    node: str
    status: str
    seconds: float
    message: str | None

    def row(self) -> dict[str, Any]:
        """The result as a row of a table artifact."""
        return asdict(self)


@dataclass
class Built:
    """The nodes that dbt ran, and whether they are only those that an earlier attempt left."""

    results: list[NodeResult]
    retried: bool


def build(
    folder: Path,
    snowflake: dict[str, Any],
    *,
    schema: str,
    variables: Mapping[str, str],
    data: str,
    logger: Logger,
) -> Built:
    """Build and test every model into `schema`, or only those that an earlier attempt in the same `folder` left.

    dbt writes to `folder` only: the project may be read-only. `data` is the state of the tables that the models read.
    Models of the earlier attempt stay only if `data` and the project have not changed. Raises DbtError where dbt cannot
    run.
    """
    started = time.monotonic()
    target = folder / "target"
    state = {"data": data, "project": _digest(PROJECT)}
    command = "retry" if _can_retry(folder, state) else "build"
    arguments = [command, "--no-use-colors", "--log-path", str(folder / "logs")]
    if command == "build":  # a retry takes them from the results
        arguments += ["--vars", json.dumps(dict(variables))]
        # in this order: after a kill in between, or before there are results, the next attempt builds all
        (target / RESULTS).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).write_text(json.dumps(state))

    settings = PrefectDbtSettings(project_dir=PROJECT, profiles_dir=PROJECT, target_path=target)
    with _environment(_profile(snowflake, schema)):
        try:
            PrefectDbtRunner(settings=settings, raise_on_failure=False).invoke(arguments)
        except ValueError as error:
            cause = " ".join(str(error).split())
            raise DbtError(re.sub(r"^Failed to invoke dbt command '.*?': ", f"dbt {command}: ", cause)) from None
    results = _results(target / RESULTS)
    counts = Counter(result.status.replace(" ", "_") for result in results)
    seconds = time.monotonic() - started
    logger.info("dbt %s finished %s", command, fields(schema=schema, nodes=len(results), **counts, seconds=seconds))
    return Built(results, retried=command == "retry")


def prune(folders: Path) -> None:
    """Remove folders of failed runs, except the latest; those of the last day may belong to an active run."""
    with suppress(FileNotFoundError):  # there are no folders yet, or another run removes them too
        newest_first = sorted(folders.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in newest_first[FAILED_RUNS_KEPT:]:
            if folder.stat().st_mtime < time.time() - 24 * 3600:
                shutil.rmtree(folder)


def check(results: list[NodeResult]) -> list[str]:
    """Raise DbtError where a node failed, or where there was none; returns the warnings of tests."""
    if not results:
        raise DbtError("dbt build: no model and no test was selected: is there one in dbt/models that is enabled?")
    if failed := [result for result in results if result.status in FAILED]:
        skipped = sum(result.status == "skipped" for result in results)
        causes = "; ".join(f"{result.node}: {_one_line(result.message)}" for result in failed[:3])
        more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
        raise DbtError(f"dbt build: {len(failed)} of {len(results)} nodes failed, {skipped} skipped: {causes}{more}")
    return [f"{result.node} warns: {_one_line(result.message)}" for result in results if result.status == "warn"]


def _can_retry(folder: Path, state: dict[str, str]) -> bool:
    """Whether an earlier attempt with the same data and project left unfinished nodes."""
    try:
        if json.loads((folder / STATE).read_text()) != state:
            return False
        return any(result.status in FAILED | {"skipped"} for result in _results(folder / "target" / RESULTS))
    except (OSError, ValueError, DbtError):
        return False


def _digest(project: Path) -> str:
    files = sorted(path for path in project.rglob("*") if path.is_file())
    content = b"".join(str(path.relative_to(project)).encode() + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()


def _results(path: Path) -> list[NodeResult]:
    if not path.exists():
        raise DbtError(f"dbt build left no results: see {path.parents[1] / 'logs' / 'dbt.log'}")
    return [
        NodeResult(result["unique_id"], result["status"], round(result["execution_time"], 2), result["message"])
        for result in json.loads(path.read_text())["results"]
    ]


def _profile(snowflake: dict[str, Any], schema: str) -> dict[str, str]:
    """The variables that profiles.yml reads. dbt keeps DBT_ENV_SECRET_* out of its logs and artifacts."""
    plain = {
        f"DBT_SNOWFLAKE_{name.upper()}": str(snowflake[name])
        for name in ("account", "user", "role", "warehouse", "database", "host", "port", "protocol")
        if snowflake.get(name)
    }
    return plain | {
        "DBT_SNOWFLAKE_SCHEMA": schema,
        "DBT_ENV_SECRET_SNOWFLAKE_PRIVATE_KEY": private_key_text(snowflake),
        "DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": snowflake.get("password", ""),
    }


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for dbt, and restore them afterwards."""
    original = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in original.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _one_line(message: str | None) -> str:
    """The message in one line, cut where a statement may follow; the first line alone names only the model."""
    return " ".join((message or "no message").split())[:300]
