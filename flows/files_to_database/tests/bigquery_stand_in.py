"""A stand-in for BigQuery: it answers the REST calls of a load job, and counts the rows of each partition."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class BigQuery(ThreadingHTTPServer):
    """`buckets` says how many rows a file has; what is not there fails the job, as it does with Google."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.buckets: dict[str, int] = {}
        self.partitions: dict[str, int] = {}
        self.jobs: dict[str, dict] = {}
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def load(self, job: dict) -> dict:
        load = job["configuration"]["load"]
        missing = [uri for uri in load["sourceUris"] if uri not in self.buckets]
        status = {"state": "DONE"}
        if missing:
            error = {"reason": "notFound", "message": f"Not found: URI {missing[0]}"}
            return job | {"status": status | {"errorResult": error, "errors": [error]}}
        rows = sum(self.buckets[uri] for uri in load["sourceUris"])
        partition = load["destinationTable"]["tableId"]
        before = 0 if load["writeDisposition"] == "WRITE_TRUNCATE" else self.partitions.get(partition, 0)
        self.partitions[partition] = before + rows
        return job | {"status": status, "statistics": {"load": {"outputRows": str(rows)}}}


class _Handler(BaseHTTPRequestHandler):
    server: BigQuery

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            job = self.server.load(job | {"id": job["jobReference"]["jobId"]})
            self.server.jobs[job["jobReference"]["jobId"]] = job
        self._answer(job)

    def do_GET(self) -> None:
        self._answer(self.server.jobs[self.path.partition("?")[0].rpartition("/")[2]])

    def _answer(self, content: dict) -> None:
        if self.server.status != 200:
            content = {"error": {"code": self.server.status, "message": "Access Denied", "errors": []}}
        body = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
