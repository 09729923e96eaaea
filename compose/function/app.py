"""A stand-in for the Azure Function that exports a table of the shop to blob storage.

It answers like the real one: `POST /api/export` with the function key in `x-functions-key` gives 200 and a manifest of
the files written; with `async` (in the query or the body) it gives 202 and a durable function's `statusQueryGetUri`.
An export id names one export for ever: asking again attaches to it and never exports a second time.

It also takes the notifications of the lab, in the place of Slack or a mail server.
"""

import asyncio
import hmac
import json
import os
import secrets
from collections import deque
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient
from psycopg import sql
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

FUNCTION_KEY = os.environ["FUNCTION_KEY"]
DSN = os.environ["DSN"]
BLOB_CONNECTION_STRING = os.environ["BLOB_CONNECTION_STRING"]
CONTAINER = os.environ.get("CONTAINER", "exports")
ROWS_PER_FILE = int(os.environ.get("ROWS_PER_FILE", "1000"))

# What may be exported, and the column that says when a row came to be: an export of a past day leaves out later rows.
DATASETS = {"customers": "created_at", "orders": "ordered_at"}

STATUS_CODE = secrets.token_urlsafe(16)  # the system key of a durable function's status address
exports: dict[str, asyncio.Task] = {}
notifications: deque[dict] = deque(maxlen=100)


async def export(request: Request) -> Response:
    """Start an export, or attach to the one of this id."""
    if not hmac.compare_digest(request.headers.get("x-functions-key", ""), FUNCTION_KEY):
        return Response(status_code=401)
    try:
        body = await request.json()
        export_id, dataset, form = body["export_id"], body["dataset"], body.get("format", "csv")
        day = date.fromisoformat(body["logical_date"])
    except (ValueError, TypeError, KeyError) as error:
        return JSONResponse({"error": f"the body needs export_id, dataset, logical_date and format: {error}"}, 400)
    if dataset not in DATASETS or form not in WRITERS:
        return JSONResponse({"error": f"unknown dataset or format: {dataset}, {form}"}, 400)

    task = exports.get(export_id)
    if not task or (task.done() and task.exception()):
        exports[export_id] = asyncio.create_task(asyncio.to_thread(run_export, export_id, dataset, day, form))
    if body.get("async") or request.query_params.get("async"):
        address = f"{request.base_url}runtime/webhooks/durabletask/instances/{export_id}?code={STATUS_CODE}"
        return JSONResponse({"id": export_id, "statusQueryGetUri": address}, 202, polling(address))
    try:
        return JSONResponse(await asyncio.shield(exports[export_id]))
    except Exception as error:
        return JSONResponse({"error": f"export {export_id} failed: {error}"}, 500)


async def status(request: Request) -> Response:
    """The state of an export, in the words of a durable function."""
    if not hmac.compare_digest(request.query_params.get("code", ""), STATUS_CODE):
        return Response(status_code=401)
    export_id = request.path_params["export_id"]
    if not (task := exports.get(export_id)):
        return Response(status_code=404)
    answer = {"name": "export", "instanceId": export_id, "runtimeStatus": "Running", "output": None}
    if not task.done():
        return JSONResponse(answer, 202, polling(str(request.url)))
    if error := task.exception():
        return JSONResponse(answer | {"runtimeStatus": "Failed", "output": str(error)})
    return JSONResponse(answer | {"runtimeStatus": "Completed", "output": task.result()})


async def notify(request: Request) -> Response:
    """Keep what an automation writes to, for a look."""
    notifications.append(await request.json())
    return Response(status_code=204)


async def notified(_: Request) -> Response:
    """The last notifications."""
    return JSONResponse(list(notifications))


async def health(_: Request) -> Response:
    """For the lab's health check."""
    return Response("ok")


def polling(address: str) -> dict[str, str]:
    """The headers that tell a client where to look, and when."""
    return {"Location": address, "Retry-After": "1"}


def run_export(export_id: str, dataset: str, day: date, form: str) -> dict:
    """Write the table as it was at the end of `day` below a folder of its own; the manifest, written last, seals it."""
    path = f"{dataset}/{export_id}/"
    with ContainerClient.from_connection_string(BLOB_CONNECTION_STRING, CONTAINER) as container:
        if not container.exists():
            container.create_container()
        try:
            return json.loads(container.download_blob(f"{path}_manifest.json").readall())
        except ResourceNotFoundError:
            pass

        files = []
        with psycopg.connect(DSN) as connection, connection.cursor("export") as cursor:
            query = sql.SQL("select * from {} where {} < %s order by 1").format(
                sql.Identifier(dataset), sql.Identifier(DATASETS[dataset])
            )
            cursor.execute(query, [datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)])
            columns = [column.name for column in cursor.description]
            schema = pa.schema([(column.name, arrow_type(column)) for column in cursor.description])
            while rows := cursor.fetchmany(ROWS_PER_FILE):
                name = f"{dataset}-{len(files) + 1:04}.{form}"
                content = WRITERS[form](schema, rows)
                container.upload_blob(path + name, content, overwrite=True)
                files.append({"name": name, "rows": len(rows), "bytes": len(content)})

        manifest = {
            "export_id": export_id,
            "dataset": dataset,
            "logical_date": day.isoformat(),
            "format": form,
            "path": path,
            "columns": columns,
            "files": files,
        }
        container.upload_blob(f"{path}_manifest.json", json.dumps(manifest), overwrite=True)
        return manifest


def arrow_type(column: psycopg.Column) -> pa.DataType:
    """The Parquet type of a PostgreSQL column, so that no value is rounded and no all-null column is lost."""
    match column.type_display.split("(")[0]:
        case "int4":
            return pa.int32()
        case "numeric":
            return pa.decimal128(column.precision, column.scale)
        case "timestamptz":
            return pa.timestamp("us", "UTC")
        case _:
            return pa.string()


def text(value: object) -> str:
    """A value as text: times in ISO 8601 with their offset."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def write_csv(schema: pa.Schema, rows: list[tuple]) -> bytes:
    """All values quoted, so that an empty text differs from a null, which is an empty field."""
    lines = [",".join(schema.names)]
    for row in rows:
        lines.append(",".join("" if value is None else '"' + text(value).replace('"', '""') + '"' for value in row))
    return ("\n".join(lines) + "\n").encode()


def write_json(schema: pa.Schema, rows: list[tuple]) -> bytes:
    """One object a line; numerics as text, because a JSON number may be read as a float."""
    return "".join(
        json.dumps(dict(zip(schema.names, row, strict=True)), default=text, ensure_ascii=False) + "\n" for row in rows
    ).encode()


def write_parquet(schema: pa.Schema, rows: list[tuple]) -> bytes:
    """Typed and compressed."""
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
    out = BytesIO()
    pq.write_table(pa.table(columns, schema=schema), out)
    return out.getvalue()


WRITERS = {"csv": write_csv, "json": write_json, "parquet": write_parquet}

app = Starlette(
    routes=[
        Route("/api/export", export, methods=["POST"]),
        Route("/runtime/webhooks/durabletask/instances/{export_id}", status),
        Route("/notifications", notify, methods=["POST"]),
        Route("/notifications", notified),
        Route("/api/health", health),
    ]
)
