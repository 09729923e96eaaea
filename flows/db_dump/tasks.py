"""The steps of a dump as Prefect tasks."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic
from typing import Any, ParamSpec, TypeVar

import pyarrow as pa
from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from files import Layout
from processes import end_with_parent
from query import check_dates
from records import Chunk, Manifest, Record
from reports import Progress, fields
from sources import Source, SourceUnavailable
from stage import Table
from targets import Result, Target, TargetUnavailable

P = ParamSpec("P")
R = TypeVar("R")


def can_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry only after errors that may pass without a change."""
    return isinstance(state.result(raise_on_failure=False), SourceUnavailable | TargetUnavailable)


def retrying(task: Task[P, R], retries: int) -> Task[P, R]:
    """The task with this number of retries, at growing intervals."""
    return task.with_options(retries=retries, retry_delay_seconds=exponential_backoff(5), retry_jitter_factor=0.5)


@task(cache_policy=NO_CACHE, retry_condition_fn=can_retry)
def describe(source: Source, query: str, layout: Layout, by_date: bool) -> pa.Schema:
    """The query's columns. Mistakes in the login, the query or the partition columns appear here."""
    schema = source.columns(query)
    layout.schema(schema)
    if by_date:
        check_dates(layout.partition_columns[0], schema)
    return schema


@task(cache_policy=NO_CACHE, retry_condition_fn=can_retry)
def check_target(target: Target, table: Table, draft: Manifest) -> None:
    """Find out whether the target can take the table, before the source is read."""
    target.check(table, draft)


@task(cache_policy=NO_CACHE, retry_condition_fn=can_retry)
def read_chunk(
    table: Table, version: str, chunk: Chunk, schema: pa.Schema, source: Source, batch_size: int, log_every: int
) -> Record:
    """Read one piece of the query into files."""
    log = get_run_logger()

    def progress(batches: int, rows: int) -> None:
        if batches % log_every == 0:
            log.info("%s: reading %s", chunk.name, fields(batches=batches, rows=rows))

    with closing(source.batches(chunk.query, batch_size)) as batches:
        record = table.extract(version, chunk, schema, batches, progress)
    log.info("%s: read %s", chunk.name, fields(rows=record.rows, bytes=record.bytes, seconds=record.seconds))
    return record


@task(cache_policy=NO_CACHE, retry_condition_fn=can_retry)
def load(target: Target, table: Table, manifest: Manifest, allow_empty: bool) -> Result:
    """Bring the target's table to the published state."""
    log, start = get_run_logger(), monotonic()
    result = target.load(table, manifest, allow_empty)
    seconds = round(monotonic() - start, 1)
    log.info("%s: loaded %s", manifest.table_id, fields(rows=result.rows, pieces=result.chunks, seconds=seconds))
    return result


def read_all(
    chunks: list[Chunk], reading: Task[..., Record], common: dict[str, Any], max_concurrency: int, progress: Progress
) -> list[Record]:
    """Read the chunks, up to `max_concurrency` at a time; `common` has the arguments of `reading` except the chunk.

    A chunk that fails does not stop the others: their files are complete, and the next run reuses them. Raises
    RuntimeError at the end if some failed.
    """
    with _runner(min(max_concurrency, len(chunks))) as runner:
        submitted: dict[PrefectFuture[Any], Chunk] = {
            runner.submit(reading.with_options(task_run_name=f"read {chunk.name}"), common | {"chunk": chunk}): chunk
            for chunk in chunks
        }
        results: dict[str, Any] = {}
        for future in as_completed(list(submitted)):
            results[submitted[future].id] = future.result(raise_on_failure=False)
            progress.done(len(results))
    failed = [(chunk, results[chunk.id]) for chunk in chunks if isinstance(results[chunk.id], Exception)]
    if failed:
        chunk, error = failed[0]
        raise RuntimeError(
            f"{len(failed)} of {len(chunks)} pieces failed, the others are kept for the next run; {chunk.name}: {error}"
        ) from error
    return [results[chunk.id] for chunk in chunks]


@contextmanager
def _runner(workers: int) -> Iterator[ThreadPoolTaskRunner[Any] | ProcessPoolTaskRunner]:
    """Processes, as decoding rows keeps a core busy; a single worker is a thread of this process."""
    if workers <= 1:
        with ThreadPoolTaskRunner[Any](max_workers=1) as threads:
            yield threads
        return
    # a flow without a server starts a temporary one; without its address, each process would start its own
    address = {PREFECT_API_URL: str(get_client(sync_client=True).api_url)}
    with temporary_settings(address), ProcessPoolTaskRunner(workers, initializer=end_with_parent) as processes:
        yield processes
