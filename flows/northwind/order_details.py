"""The second source: the details of the orders, a CSV file."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError

from errors import StepError, Unavailable
from files import Day
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
TYPES = {int: "integer", Decimal: "numeric"}
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


def extract(address: str, files: Day) -> dict[str, int]:
    """Write the file's lines, each of which is what it should be; returns their number."""
    shown = show(address)

    def write(file: IO[bytes]) -> int:
        file.write((",".join(HEADER) + "\n").encode())
        number = 0
        with open_lines(address) as lines:
            for detail in parse(lines, shown):
                file.write((",".join(str(value) for _, value in detail) + "\n").encode())
                number += 1
        if not number:
            raise StepError(f"{shown}: there are no lines below the header; put the file right, or give another")
        return number

    with files.extraction("extract_csv", shown) as writing:
        return {TABLE.name: writing.file(TABLE, write).rows}


def parse(lines: Iterator[str], shown: str) -> Iterator[OrderDetail]:
    """The lines, checked; what is wrong is told with its place."""
    reader = csv.reader(lines, strict=True)
    seen = set()
    try:
        header = next(reader, [])
        if [name.removeprefix("\ufeff") for name in header] != HEADER:
            raise StepError(f"{shown}: the header is {','.join(header)!r}; it must be {','.join(HEADER)!r}")
        for cells in reader:
            if not cells:
                # an empty line
                continue
            where = f"{shown}, line {reader.line_num}"
            if len(cells) != len(HEADER):
                raise StepError(f"{where}: {len(cells)} values; there must be {len(HEADER)}")
            try:
                detail = OrderDetail.model_validate(dict(zip(HEADER, cells, strict=True)))
            except ValidationError as error:
                [first, *_] = error.errors()
                raise StepError(f"{where}, {first['loc'][0]}: {first['msg']}, not {first['input']!r}") from None
            if (detail.order_id, detail.product_id) in seen:
                raise StepError(
                    f"{where}: order {detail.order_id} has product {detail.product_id} already; leave one line of it"
                )
            seen.add((detail.order_id, detail.product_id))
            yield detail
    except csv.Error as error:
        raise StepError(f"{shown}, line {reader.line_num}: {error}; put the line right") from None


@contextmanager
def open_lines(address: str) -> Iterator[Iterator[str]]:
    """The lines of a file at a path or URL."""
    if not is_url(address):
        try:
            # what is no text then shows as a wrong value
            with path(address).open(encoding="utf-8", errors="replace", newline="") as lines:
                yield lines
        except OSError as error:
            raise StepError(
                f"{address} cannot be read ({error.strerror}); give order_details_csv a path or URL"
            ) from None
        return
    # httpx names the whole address in its errors, and a key may be in it
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=60) as response:
            response.raise_for_status()
            yield response.iter_lines()
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        kind = Unavailable if code >= 500 or code in (408, 429) else StepError
        raise kind(f"{show(address)}: the server answers {code}; check order_details_csv") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{show(address)} cannot be read ({type(error).__name__}); check order_details_csv") from None


def is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def path(address: str) -> Path:
    """A relative one begins in the project's folder."""
    return Path(__file__).parent / address


def show(address: str) -> str:
    """The address without what may be secret in it."""
    if not is_url(address):
        return address
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
