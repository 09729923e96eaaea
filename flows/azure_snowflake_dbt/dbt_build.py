"""`dbt build` of the project beside this file, every node a Prefect task run of its own."""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from prefect_dbt import PrefectDbtRunner, PrefectDbtSettings

from credentials import private_key_text
from report import fields

PROJECT = Path(__file__).parent / "dbt"
RESULTS = "run_results.json"
STATE = "built_on.json"
FAILED_RUNS_KEPT = 10
FAILED = {"error", "fail", "runtime error", "partial success"}


class DbtError(RuntimeError):
    """dbt could not run, or a model or a test failed; the message names it."""


@dataclass
class NodeResult:
    """What became of one model or test."""

    node: str
    status: str
    seconds: float
    message: str | None

    def row(self) -> dict:
        """As a row of a table."""
        return asdict(self)


@dataclass
class Built:
    """What dbt did: the nodes it ran, and whether these are only those that an earlier try had left."""

    results: list[NodeResult]
    retried: bool


def build(
    folder: Path,
    snowflake: dict,
    *,
    schema: str,
    variables: Mapping[str, str],
    data: str,
    logger: logging.Logger | logging.LoggerAdapter,
) -> Built:
    """Build and test every model into `schema`, or what an earlier try in the same `folder` left to do.

    All that dbt writes goes to `folder`: the project may be read-only. `data` is the state of what the models read.
    Only where it and the project are as they were may models of the earlier try stay: else all is built anew.
    """
    started = time.monotonic()
    target = folder / "target"
    state = {"data": data, "project": _digest(PROJECT)}
    command = "retry" if _can_retry(folder, state) else "build"
    arguments = [command, "--no-use-colors", "--log-path", str(folder / "logs")]
    if command == "build":  # a retry takes them from the results
        arguments += ["--vars", json.dumps(dict(variables))]
        # In this order: killed in between, or before there are results, the next try builds all.
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
    """Remove what failed runs left, but for the last ones; those of the last day may belong to a run at work."""
    with suppress(FileNotFoundError):  # there is none yet, or another run prunes them too
        newest_first = sorted(folders.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in newest_first[FAILED_RUNS_KEPT:]:
            if folder.stat().st_mtime < time.time() - 24 * 3600:
                shutil.rmtree(folder)


def check(results: list[NodeResult]) -> list[str]:
    """Fail where a node failed, naming it and those that were skipped for it, or where there was none.

    Returns what is to be said of tests that found something and only warn of it.
    """
    if not results:
        raise DbtError("dbt build: no model and no test was selected: is there one in dbt/models that is enabled?")
    if failed := [result for result in results if result.status in FAILED]:
        skipped = sum(result.status == "skipped" for result in results)
        causes = "; ".join(f"{result.node}: {_one_line(result.message)}" for result in failed[:3])
        more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
        raise DbtError(f"dbt build: {len(failed)} of {len(results)} nodes failed, {skipped} skipped: {causes}{more}")
    return [f"{result.node} warns: {_one_line(result.message)}" for result in results if result.status == "warn"]


def _can_retry(folder: Path, state: dict) -> bool:
    """Whether an earlier try left results with something still to do, of this same data and project."""
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


def _profile(snowflake: dict, schema: str) -> dict[str, str]:
    """What profiles.yml reads. dbt keeps DBT_ENV_SECRET_* out of its logs and artifacts."""
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
    """Set environment variables for dbt alone."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _one_line(message: str | None) -> str:
    """All of it, because the first line of a database error names the model only; cut where a statement follows."""
    return " ".join((message or "no message").split())[:300]
