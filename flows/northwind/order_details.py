"""The second source: the details of the orders, a CSV file."""

import csv
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated, Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from errors import StepError, Unavailable
from files import Day
from redaction import shown
from tables import Column, Key, Reference, Table

Integer = Annotated[int, Field(ge=1, le=2**31 - 1)]


class OrderDetail(BaseModel):
    """A line of the file, in the order of its columns."""

    order_id: Integer
    product_id: Integer
    unit_price: Annotated[Decimal, Field(ge=0)]
    quantity: Integer
    discount: Annotated[Decimal, Field(ge=0, le=1)]


HEADER = list(OrderDetail.model_fields)
# numeric keeps the digits of the file
TYPES: dict[Any, str] = {int: "integer", Decimal: "numeric"}
TABLE = Table(
    name="order_details",
    columns=[
        Column(name=name, type=TYPES[field.annotation], not_null=True)
        for name, field in OrderDetail.model_fields.items()
    ],
    keys=[Key(columns=["order_id", "product_id"], primary=True)],
    references=[
        Reference(columns=["order_id"], table="orders", their_columns=["order_id"]),
        Reference(columns=["product_id"], table="products", their_columns=["product_id"]),
    ],
)


def extract(address: str, files: Day, warn: Callable[[str], None]) -> dict[str, int]:
    """Check and write the file's lines; returns their number. Raises StepError for a line or a file that is not right.

    `warn` receives a message when the server does not say how long the file is.
    """
    name = shown(address)

    def write(file: IO[bytes]) -> int:
        file.write((",".join(HEADER) + "\n").encode())
        number = 0
        with open_lines(address, warn) as lines:
            for detail in parse(lines, name):
                file.write((",".join(str(value) for _, value in detail) + "\n").encode())
                number += 1
        if not number:
            raise StepError(f"{name}: there are no lines below the header; correct the file, or give another")
        return number

    with files.extraction("extract_csv", name) as writer:
        return {TABLE.name: writer.file(TABLE, write).rows}


def parse(lines: Iterator[str], name: str) -> Iterator[OrderDetail]:
    """The lines as details. Raises StepError with the place of the first mistake."""
    # the byte order mark stands before the quotes of the first name
    first_line = (line.removeprefix("\ufeff") for line in itertools.islice(lines, 1))
    reader = csv.reader(itertools.chain(first_line, lines), strict=True)
    seen: set[tuple[int, int]] = set()
    try:
        header = next(reader, [])
        if header != HEADER:
            raise StepError(f"{name}: the header is {','.join(header)!r}; it must be {','.join(HEADER)!r}")
        for cells in reader:
            if not cells:
                # an empty line
                continue
            where = f"{name}, line {reader.line_num}"
            if len(cells) != len(HEADER):
                raise StepError(f"{where}: {len(cells)} values; there must be {len(HEADER)}")
            try:
                detail = OrderDetail.model_validate(dict(zip(HEADER, cells, strict=True)))
            except ValidationError as error:
                mistake = error.errors()[0]
                raise StepError(f"{where}, {mistake['loc'][0]}: {mistake['msg']}, not {mistake['input']!r}") from None
            if (detail.order_id, detail.product_id) in seen:
                raise StepError(
                    f"{where}: order {detail.order_id} has product {detail.product_id} already; remove one of the lines"
                )
            seen.add((detail.order_id, detail.product_id))
            yield detail
    except csv.Error as error:
        raise StepError(f"{name}, line {reader.line_num}: {error}; correct the line") from None


@contextmanager
def open_lines(address: str, warn: Callable[[str], None]) -> Iterator[Iterator[str]]:
    """The lines of a file at a path or URL."""
    name = shown(address)
    if not is_url(address):
        try:
            # invalid bytes then appear as a wrong value
            file = path(address).open(encoding="utf-8", errors="replace", newline="")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a valid file name"
            raise StepError(f"{name} cannot be read ({reason}); give order_details_csv a path or URL") from None
        with file as lines:
            yield lines
        return
    # the errors of httpx contain the whole address, which may contain a key
    try:
        if (httpx.URL(address).port or 0) > 65535:
            raise httpx.InvalidURL("port")
        with httpx.stream("GET", address, follow_redirects=True, timeout=60) as response:
            response.raise_for_status()
            yield response.iter_lines()
            if not response.headers.keys() & {"content-length", "transfer-encoding"}:
                received = f"{response.num_bytes_downloaded:,} bytes were received"
                warn(f"{name}: {received}, and the server does not say whether that is all")
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        kind = Unavailable if code >= 500 or code in (408, 425, 429) else StepError
        raise kind(f"{name}: the server answers {code}; check order_details_csv") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError):
        raise StepError(f"{name} is not an address; check order_details_csv") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"{name} cannot be read ({type(error).__name__}); check order_details_csv") from None


def is_url(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def path(address: str) -> Path:
    """The path; a relative one begins in the project's folder."""
    return Path(__file__).parent / address
