"""A web server of the tests: files by their path, and how often each was asked for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


class Web(ThreadingHTTPServer):
    """`files` holds bytes or the number of a status; of a path in `cut` only the first half is sent.

    Of a path in `unmeasured` nothing tells the length; `headers` are added to every file; a path in `held` is sent to
    its half, and the rest when its event is set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes | int] = {}
        self.cut: set[str] = set()
        self.unmeasured: set[str] = set()
        self.headers: dict[str, str] = {}
        self.held: dict[str, Event] = {}
        self.asked: Counter[str] = Counter()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1
        content = self.server.files.get(path, 404)
        if isinstance(content, int):
            self.send_error(content)
            return
        self.send_response(200)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        if path not in self.server.unmeasured:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half, held = len(content) // 2, self.server.held.pop(path, None)
        self.wfile.write(content[:half])
        if held:
            held.wait(30)
        if path not in self.server.cut:
            self.wfile.write(content[half:])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    """Answers until the block ends."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
