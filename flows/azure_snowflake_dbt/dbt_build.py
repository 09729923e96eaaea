"""`dbt build` of the project beside this file, every node a Prefect task run of its own."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from prefect_dbt import PrefectDbtRunner, PrefectDbtSettings

from credentials import private_key_text

PROJECT = Path(__file__).parent / "dbt"
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


def build(folder: Path, snowflake: dict, *, schema: str, variables: Mapping[str, str]) -> list[NodeResult]:
    """Build and test every model into `schema`. All that dbt writes goes to `folder`: the project may be read-only."""
    target = folder / "target"
    (target / "run_results.json").unlink(missing_ok=True)
    settings = PrefectDbtSettings(project_dir=PROJECT, profiles_dir=PROJECT, target_path=target)
    arguments = ["build", "--no-use-colors", "--log-path", str(folder / "logs"), "--vars", json.dumps(dict(variables))]
    with _environment(_profile(snowflake, schema)):
        try:
            PrefectDbtRunner(settings=settings, raise_on_failure=False).invoke(arguments)
        except ValueError as error:
            raise DbtError(str(error)) from None
    return _results(target / "run_results.json")


def check(results: list[NodeResult]) -> None:
    """Fail where a node failed, naming it and those that were skipped for it."""
    if failed := [result for result in results if result.status in FAILED]:
        skipped = sum(result.status == "skipped" for result in results)
        causes = "; ".join(f"{result.node}: {_first_line(result.message)}" for result in failed[:3])
        more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
        raise DbtError(f"dbt build: {len(failed)} of {len(results)} nodes failed, {skipped} skipped: {causes}{more}")


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
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _first_line(message: str | None) -> str:
    return (message or "no message").strip().splitlines()[0]
