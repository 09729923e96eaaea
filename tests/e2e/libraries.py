"""What flows do by the libraries that are used most, each in the least that shows it works where it runs."""

import asyncio
import contextlib
import multiprocessing
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

CHECKS: dict[str, Callable[[], object]] = {}
GIVEN = b"a,b\n1,2\n"


def check(function: Callable[[], object]) -> Callable[[], object]:
    """One of them, by its name."""
    CHECKS[function.__name__] = function
    return function


class Store(BaseHTTPRequestHandler):
    """As much of S3, and of the web, as it takes."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(GIVEN)))
        self.end_headers()
        self.wfile.write(GIVEN)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def store() -> Iterator[str]:
    """The address of one."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def square(number: int) -> int:
    """Work for another process."""
    return number * number


@check
def multiprocessing_pool() -> None:
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(square, range(3)) == [0, 1, 4]


@check
def process_pool_executor() -> None:
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(square, range(3))) == [0, 1, 4]


@check
def shared_memory() -> None:
    memory = SharedMemory(create=True, size=1 << 20)
    memory.buf[:3] = b"abc"
    memory.close()
    memory.unlink()


@check
def asyncio_subprocess() -> None:
    async def ask() -> bytes:
        process = await asyncio.create_subprocess_exec("/bin/echo", "here", stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0]

    assert asyncio.run(ask()) == b"here\n"


@check
def sqlite() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(sqlite3.connect(f"{folder}/a.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE a AS SELECT 1 AS b")
        assert database.execute("SELECT b FROM a").fetchone() == (1,)


@check
def files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(Path(__file__).parent, f"{folder}/copy")
        archive = shutil.make_archive(f"{folder}/archive", "gztar", f"{folder}/copy")
        shutil.unpack_archive(archive, f"{folder}/again", filter="data")
        assert Path(f"{folder}/again", Path(__file__).name).exists()


@check
def requests() -> None:
    import requests

    with store() as address:
        assert requests.get(address, timeout=10).content == GIVEN


@check
def httpx() -> None:
    import httpx

    with store() as address:
        assert httpx.get(address).content == GIVEN


@check
def aiohttp() -> None:
    import aiohttp

    async def ask(address: str) -> bytes:
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            return await answer.read()

    with store() as address:
        assert asyncio.run(ask(address)) == GIVEN


@check
def boto3() -> None:
    import boto3

    with store() as address:
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}
        s3 = boto3.client("s3", endpoint_url=address, **keys)
        s3.put_object(Bucket="bucket", Key="a.csv", Body=GIVEN)
        assert s3.get_object(Bucket="bucket", Key="a.csv")["Body"].read() == GIVEN


@check
def numpy() -> None:
    import numpy as np

    assert np.linalg.inv(np.eye(200)).trace() == 200


@check
def pandas() -> None:
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_parquet(f"{folder}/a.parquet")
        assert pd.read_parquet(f"{folder}/a.parquet").a.sum() == 3


@check
def pyarrow() -> None:
    import pyarrow as pa
    from pyarrow import dataset

    with tempfile.TemporaryDirectory() as folder:
        dataset.write_dataset(pa.table({"a": range(100_000)}), folder, format="parquet")
        assert dataset.dataset(folder).count_rows() == 100_000


@check
def duckdb() -> None:
    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect(f"{folder}/a.duckdb") as database:
        database.execute("CREATE TABLE a AS SELECT range AS b FROM range(100000)")
        assert database.execute("SELECT count(*) FROM a").fetchone() == (100_000,)


@check
def sqlalchemy() -> None:
    import sqlalchemy

    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1


@check
def psycopg() -> None:
    import psycopg

    with contextlib.suppress(psycopg.OperationalError):  # nobody listens
        psycopg.connect("host=127.0.0.1 port=9 connect_timeout=5")
    assert psycopg.pq.version()


@check
def cryptography() -> None:
    from cryptography.fernet import Fernet

    assert Fernet(Fernet.generate_key()).encrypt(GIVEN)


@check
def lxml() -> None:
    from lxml import etree

    assert etree.fromstring("<a><b/></a>").xpath("count(//b)") == 1


@check
def psutil() -> None:
    import psutil

    assert any(address.address == "127.0.0.1" for address in psutil.net_if_addrs()["lo"])
    assert psutil.net_if_stats()["lo"].isup
    assert psutil.Process().memory_info().rss
    assert psutil.virtual_memory().total
    assert psutil.cpu_count()
    psutil.disk_usage("/")
    psutil.net_connections()


@check
def pyzmq() -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        client.connect(f"tcp://127.0.0.1:{server.bind_to_random_port('tcp://lo')}")
        client.send(GIVEN)
        assert server.recv() == GIVEN


@check
def dask() -> None:
    from dask import delayed
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        assert client.compute(delayed(sum)([delayed(square)(number) for number in range(3)])).result(60) == 5


@check
def joblib() -> None:
    from joblib import Parallel, delayed

    assert Parallel(n_jobs=2)(delayed(square)(number) for number in range(3)) == [0, 1, 4]


@check
def grpcio() -> None:
    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
    server.stop(None)


@check
def uvloop() -> None:
    import uvloop

    async def ask() -> int:
        process = await asyncio.create_subprocess_exec("/bin/true")
        return await process.wait()

    assert uvloop.run(ask()) == 0


@check
def gevent() -> None:
    import gevent
    from gevent import socket, subprocess

    assert gevent.spawn(socket.getaddrinfo, "localhost", 80).get(timeout=30)
    assert subprocess.check_output(["/bin/echo", "here"]) == b"here\n"


def trouble(name: str) -> str | None:
    """What goes wrong with one of them."""
    try:
        CHECKS[name]()
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"
    return None
