"""The lines of the file are checked one by one, and arrive with the digits they had."""

import functools
import http.server
import threading
from datetime import date
from pathlib import Path

import pytest

import order_details
from errors import StepError, Unavailable
from files import Day

# Of most files somebody tells the length
extracted = functools.partial(order_details.extract, warn=pytest.fail)

HEADER = "order_id,product_id,unit_price,quantity,discount\n"
SAMPLE = Path(order_details.__file__).parent / "sample/order_details.csv"


@pytest.fixture
def day(tmp_path):
    return Day(tmp_path / "root", date(2026, 11, 19))


@pytest.fixture
def extract(day, tmp_path):
    def run(text):
        file = tmp_path / "details.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        counts = extracted(str(file), day)
        return counts, (day.root / "csv/2026-11-19/order_details.csv").read_text()

    return run


def test_the_sample_is_copied_unchanged(day):
    assert extracted("sample/order_details.csv", day) == {"order_details": 150}
    assert (day.root / "csv/2026-11-19/order_details.csv").read_bytes() == SAMPLE.read_bytes()


@pytest.mark.parametrize("digits", ["9.80", "0.15000000596046448", "0", "123456789012345678901234567890.123456789"])
def test_digits_are_kept(extract, digits):
    line = f"10248,11,{digits},12,0\n"
    assert extract(HEADER + line) == ({"order_details": 1}, HEADER + line)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_ways_to_write_csv(extract, mark, quote):
    header = ",".join(f"{quote}{name}{quote}" for name in HEADER.strip().split(","))
    text = f'{mark}{header}\r\n"10248","11","14","12","0"\r\n\r\n'
    assert extract(text) == ({"order_details": 1}, HEADER + "10248,11,14,12,0\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the header is ''; it must be 'order_id,product_id"),
        ("order_id,product_id\n10248,11\n", "the header is 'order_id,product_id'; it must be"),
        (HEADER.replace(",", ";"), "the header is 'order_id;product_id"),
        (HEADER, "there are no lines below the header"),
        (HEADER + "10248,11,14,12,0\n10248,42,9.8\n", "line 3: 3 values; there must be 5"),
        (HEADER + "10248,11,14,12,0,1\n", "line 2: 6 values; there must be 5"),
        (HEADER + "10248,11,14,12,0\n10248,42,9.8,ten,0\n", "line 3, quantity: .*integer.*, not 'ten'"),
        (HEADER + "10248,42,,10,0\n", "line 2, unit_price: .*, not ''"),
        (HEADER + "10248,42,NaN,10,0\n", "line 2, unit_price: .*finite.*, not 'NaN'"),
        (HEADER + "10248,42,-1,10,0\n", "line 2, unit_price: .*greater than or equal to 0, not '-1'"),
        (HEADER + "10248,42,1,10,15\n", "line 2, discount: .*less than or equal to 1, not '15'"),
        (HEADER + "2147483648,42,1,10,0\n", "line 2, order_id: .*2147483647"),
        (HEADER + "1,1,1,1,0\n1,2,1,1,0\n1,1,2,1,0\n", "line 4: order 1 has product 1 already"),
        (HEADER + '1,1,"1,1,0\n', "line 2: unexpected end of data"),
        (HEADER.encode() + b"\xff\xfe,1,1,1,0\n", "line 2, order_id: .*integer"),
    ],
)
def test_mistakes_are_reported_with_their_place(extract, day, text, message):
    with pytest.raises(StepError, match=rf"details\.csv.*{message}") as caught:
        extract(text)
    assert "\n" not in str(caught.value)
    assert day.manifest("extract_csv") is None
    assert list(day.root.rglob("*.csv*")) == []


def test_a_missing_file(day):
    with pytest.raises(StepError, match=r"nowhere\.csv cannot be read \(No such file.*order_details_csv"):
        extracted("nowhere.csv", day)
    for name in ("a" * 300, "a\0"):
        with pytest.raises(StepError, match=r"cannot be read \(.+\); give order_details_csv a path or URL"):
            extracted(name, day)


@pytest.fixture
def site():
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            self.send_error(503) if "busy" in self.path else super().do_GET()

        def send_header(self, keyword, value):
            if "unmeasured" not in self.path or keyword != "Content-Length":
                super().send_header(keyword, value)

    handler = functools.partial(Quiet, directory=SAMPLE.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_by_url(day, site):
    assert extracted(f"http://{site}/order_details.csv?sig=hunter2", day) == {"order_details": 150}
    assert (day.root / "csv/2026-11-19/order_details.csv").read_bytes() == SAMPLE.read_bytes()
    assert "hunter2" not in day.manifest("extract_csv").source


@pytest.mark.parametrize(("path", "kind", "answer"), [("nowhere.csv", StepError, 404), ("busy.csv", Unavailable, 503)])
def test_a_url_without_a_file(day, site, path, kind, answer):
    with pytest.raises(StepError, match=rf"/{path}: the server answers {answer}; check order_details_csv") as caught:
        extracted(f"http://me:hunter2@{site}/{path}?sig=hunter2", day)
    assert type(caught.value) is kind
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_url_without_a_server(day):
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1/x cannot be read \(ConnectError\)"):
        extracted("http://127.0.0.1:1/x?sig=hunter2", day)


@pytest.mark.parametrize("url", ["http://me:hunter2@127.0.0.1:99999/x", "http://me:hunter2@127.0.0.1:port/x"])
def test_an_invalid_url(day, url):
    with pytest.raises(
        StepError, match=r"^http://127\.0\.0\.1:\w+/x is not an address; check order_details_csv"
    ) as caught:
        extracted(url, day)
    assert type(caught.value) is StepError


def test_an_address_of_another_scheme(day):
    with pytest.raises(StepError, match=r"^ftp://example\.org/x cannot be read") as caught:
        extracted("ftp://me:hunter2@example.org/x?sig=hunter2", day)
    assert "hunter2" not in str(caught.value)


def test_a_file_of_unknown_length_gives_a_warning_with_the_received_bytes(day, site):
    warnings, url = [], f"http://{site}/order_details.csv"
    order_details.extract(f"{url}?sig=hunter2&unmeasured", day, warnings.append)
    size = f"{SAMPLE.stat().st_size:,}"
    assert warnings == [f"{url}: {size} bytes were received, and the server does not say whether that is all"]
