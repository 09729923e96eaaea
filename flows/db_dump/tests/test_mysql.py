"""MariaDB and MySQL without a server: rows of the binary protocol, and types."""

import struct
from decimal import Decimal
from io import BufferedReader
from typing import cast

import pyarrow as pa
import pytest
from pymysql.constants import FIELD_TYPE
from pymysql.protocol import FieldDescriptorPacket

from sources import mysql
from sources.mysql_rows import blocks, decode


class Sent:
    """Rows of one column as the server sends them, at most so many bytes at a time."""

    def __init__(self, texts: list[str | None], most: int) -> None:
        packets = [*map(_row, texts), b"\xfe\0\0\2\0"]
        self._bytes = b"".join(
            len(packet).to_bytes(3, "little") + bytes([number % 256]) + packet for number, packet in enumerate(packets)
        )
        self._most = most
        self.raw = self

    def peek(self) -> bytes:
        return b""

    def read(self, size: int) -> bytes:
        assert not size
        return b""

    def readinto(self, free: memoryview) -> int:
        part = self._bytes[: min(len(free), self._most)]
        free[: len(part)] = part
        self._bytes = self._bytes[len(part) :]
        return len(part)


def _row(text: str | None) -> bytes:
    if text is None:
        return b"\0\4"
    length = bytes([len(text)]) if len(text) < 251 else b"\xfc" + len(text).to_bytes(2, "little")
    return b"\0\0" + length + text.encode()


def received(texts: list[str | None], type_: pa.DataType, most: int = 2**20) -> list:
    sent = pa.binary() if pa.types.is_string(type_) else type_
    pieces = [next(decode(*block, [sent])) for block in blocks(cast(BufferedReader, Sent(texts, most)), "utf8")]
    return pa.chunked_array(pieces).cast(type_).to_pylist()


@pytest.mark.parametrize("most", [1, 7, 4096, 2**20])
def test_mysql_rows_are_complete_for_any_packet_boundaries(most):
    texts = [None, "", "a" * 250, "b" * 251, "c" * 252, "d" * 253, "e" * 60_000, *map(str, range(500))]
    assert received(texts, pa.string(), most) == texts


@pytest.mark.parametrize("size", [65_529, 65_530, 65_531, 65_535])
def test_mysql_rows_around_two_bytes_of_length(size):
    texts = ["a" * size, None, "", "b" * size, "c"]
    assert received(texts, pa.string()) == texts


@pytest.mark.parametrize(
    ("precision", "scale"),
    [(1, 0), (1, 1), (7, 7), (8, 8), (9, 7), (12, 2), (16, 15), (18, 0), (18, 1), (18, 17), (18, 18), (19, 2), (38, 9)],
)
def test_mysql_decimals_keep_all_their_digits(precision, scale):
    most = 10**precision - 1
    numbers = [0, 1, -1, *((-1) ** n * (most * n // 997 // 10 ** (n % precision)) for n in range(998)), most, -most]
    texts = [decimal_text(number, scale) for number in numbers]
    for sent in texts, [text if number % 3 else None for number, text in enumerate(texts)]:
        assert received(sent, pa.decimal128(precision, scale)) == [text and Decimal(text) for text in sent]


def decimal_text(number: int, scale: int) -> str:
    digits = f"{abs(number):0{scale + 1}}"
    return "-" * (number < 0) + (f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits)


def test_mysql_decimals_may_have_fewer_decimals_than_their_type():
    texts = ["1.5", "-2.25", "3", None, "-0.05"]
    assert received(texts, pa.decimal128(5, 2)) == [text and Decimal(text) for text in texts]


@pytest.mark.parametrize(("text", "scale"), [("1.5", 0), ("1.555", 2)])
def test_mysql_decimals_with_more_decimals_than_their_type_are_not_cut(text, scale):
    with pytest.raises(pa.ArrowInvalid):
        received(["2", text], pa.decimal128(9, scale))


@pytest.mark.parametrize(
    "type_", [pa.decimal128(9, 2), pa.decimal128(9), pa.string(), pa.int64(), pa.timestamp("us"), pa.duration("us")]
)
def test_mysql_nulls_only(type_):
    assert received([None, None], type_) == [None, None]


@pytest.mark.parametrize(
    ("code", "charset", "type_"),
    [
        # MySQL 8 calls JSON binary; MariaDB has it as text
        (FIELD_TYPE.JSON, 63, pa.string()),
        (FIELD_TYPE.BLOB, 63, pa.binary()),
        (FIELD_TYPE.BLOB, 255, pa.string()),
        (FIELD_TYPE.GEOMETRY, 63, pa.binary()),
        (FIELD_TYPE.STRING, 255, pa.string()),
    ],
)
def test_mysql_texts_and_bytes(code, charset, type_):
    column = mysql._column(described(code, charset))
    assert (column.name, column.type) == ("value", type_)


def test_mysql_json_is_utf_8_in_any_connection_encoding():
    column, text = mysql._column(described(FIELD_TYPE.JSON, 63)), '{"name": "Zoë"}'
    assert mysql._cast(pa.array([text.encode(), None]), column, "latin1").to_pylist() == [text, None]


def described(code, charset):
    """A column as the server describes it."""
    names = b"".join(bytes([len(name)]) + name for name in [b"def", b"shop", b"t", b"t", b"value", b"value"])
    return FieldDescriptorPacket(names + struct.pack("<xHIBHBxx", charset, 2**32 - 1, code, 0, 0), "utf8")
