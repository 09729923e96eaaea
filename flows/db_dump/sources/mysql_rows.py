"""Rows as MySQL's binary protocol sends them, turned into Arrow a block of rows and then a column at a time.

https://mariadb.com/docs/server/reference/clientserver-protocol/4-server-response-packets/resultset-row
"""

from collections.abc import Callable, Iterator
from io import BufferedReader
from struct import Struct

import numpy as np
import pyarrow as pa
from pymysql.constants import CR
from pymysql.err import OperationalError
from pymysql.protocol import MysqlPacket

# A block fits the processor's cache, and the server goes on sending while it becomes Arrow
BLOCK_BYTES = 1024 * 1024
# A value is read in the longest form of its type, which may end behind the last row
MARGIN = 16
HEADER = Struct("<I")
LARGEST_PACKET = 0xFFFFFF

MOMENT = np.dtype("u1, <u2, u1, u1, u1, u1, u1, <u4")
MOMENT.names = "length", "year", "month", "day", "hour", "minute", "second", "microsecond"
TIME = np.dtype("u1, u1, <u4, u1, u1, u1, <u4")
TIME.names = "length", "negative", "days", "hour", "minute", "second", "microsecond"

# A column, and where the values of the next one are
Column = tuple[pa.Array, np.ndarray]
Reader = Callable[[np.ndarray, np.ndarray, np.ndarray, pa.DataType], Column]

# The first day of each month of the years 0 to 9999, counted from 1970
MONTHS = np.arange("0000-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
MONTH_LENGTHS = np.diff(MONTHS)


def blocks(file: BufferedReader, encoding: str) -> Iterator[tuple[bytearray, np.ndarray]]:
    """Whole rows, and at which byte each starts; a block is overwritten by the next."""
    # what is read ahead already, and from then on straight from the socket
    block, socket = bytearray(file.peek()), file.raw
    position, end = 0, len(block)
    block += bytes(BLOCK_BYTES)
    starts, goes_on = [], False
    while True:
        while True:
            length = HEADER.unpack_from(block, position)[0] & LARGEST_PACKET
            following = position + 4 + length
            if following > end:
                break
            if goes_on:
                # a row of several packets becomes one
                block[position : end - 4] = block[position + 4 : end]
                following, end, goes_on = following - 4, end - 4, False
            else:
                starts.append(position + 4)
            position = following
            if length == LARGEST_PACKET:
                goes_on = True
        if starts and not goes_on:
            # a row begins with a zero byte, what comes after the last row does not
            if block[starts[-1]]:
                last = bytes(block[starts.pop() : position])
                if starts:
                    yield block, np.array(starts)
                MysqlPacket(last, encoding).check_error()
                return
            if position >= BLOCK_BYTES:
                yield block, np.array(starts)
                block[: end - position] = block[position:end]
                position, end, starts = 0, end - position, []
        if end + MARGIN >= len(block):
            block = block + bytes(len(block))
        with memoryview(block) as view, view[end:-MARGIN] as free:
            received = socket.readinto(free)
        if not received:
            raise OperationalError(CR.CR_SERVER_LOST, "the server broke off the connection")
        end += received


def decode(block: bytearray, starts: np.ndarray, types: list[pa.DataType]) -> Iterator[pa.Array]:
    """The columns of these rows, one after the other; text and decimals are of type binary, times durations."""
    data = np.frombuffer(block, np.uint8)
    # after a byte that is zero, one bit a column, from the third bit on
    width = (len(types) + 9) // 8
    bits = _values(data, starts + 1, np.dtype((np.void, width))).view(np.uint8).reshape(-1, width)
    nulls = np.unpackbits(bits, axis=1, bitorder="little").view(bool)
    position = starts + 1 + width
    for number, type_ in enumerate(types):
        array, position = _reader(type_)(data, position, nulls[:, number + 2], type_)
        yield array


def _reader(type_: pa.DataType) -> Reader:
    if pa.types.is_binary(type_):
        return _binary
    if pa.types.is_duration(type_):
        return _time
    return _moment if pa.types.is_temporal(type_) else _number


def _values(data: np.ndarray, position: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What is at these positions, seen as this type."""
    windows = np.ndarray(len(data) - dtype.itemsize + 1, np.dtype((np.void, dtype.itemsize)), data, strides=(1,))
    return windows[position].view(dtype)


def _number(data: np.ndarray, position: np.ndarray, null: np.ndarray, type_: pa.DataType) -> Column:
    dtype = np.dtype(type_.to_pandas_dtype())
    return pa.array(_values(data, position, dtype), mask=null), position + dtype.itemsize * ~null


def _binary(data: np.ndarray, position: np.ndarray, null: np.ndarray, type_: pa.DataType) -> Column:
    first = data[position]
    first[null] = 0
    length, start = first.astype(np.int64), position + ~null
    # from 252 on, it says how many bytes the length itself takes
    for mark, width in ((252, 2), (253, 3), (254, 8)) if first.max() > 250 else ():
        [long] = np.nonzero(first == mark)
        length[long] = _values(data, start[long], np.dtype("<u8")) & (256**width - 1)
        start[long] += width
    end = start + length
    # Arrow sees the values and what is between them as one column, and takes every other
    offsets = np.empty(2 * len(start), np.int32)
    offsets[::2], offsets[1::2] = start, end
    both = pa.Array.from_buffers(type_, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return both.take(pa.array(np.arange(0, len(offsets), 2), mask=null)), end


def _moment(data: np.ndarray, position: np.ndarray, null: np.ndarray, type_: pa.DataType) -> Column:
    at = _values(data, position, MOMENT)
    length = np.where(null, 0, at["length"])
    month, day = at["month"], at["day"]
    known = (length > 0) & (month >= 1) & (month <= 12)
    index = np.where(known, at["year"].astype(np.int64) * 12 + month - 1, 0)
    known &= (day >= 1) & (day <= MONTH_LENGTHS[index])
    wrong = ~(known | null)
    if wrong.any():
        one = at[wrong][0]
        year, month, day = (one["year"], one["month"], one["day"]) if one["length"] else (0, 0, 0)
        raise ValueError(f"{year:04}-{month:02}-{day:02} is no date")
    days = MONTHS[index] + day - 1
    position = position + length + ~null
    if pa.types.is_date(type_):
        return pa.array(days.astype(np.int32), mask=null).view(type_), position
    seconds = at["hour"] * np.int64(3600) + at["minute"] * np.int64(60) + at["second"]
    micros = days * 86_400_000_000 + np.where(length > 4, seconds, 0) * 1_000_000
    micros += np.where(length > 7, at["microsecond"], 0)
    return pa.array(micros, mask=null).view(type_), position


def _time(data: np.ndarray, position: np.ndarray, null: np.ndarray, type_: pa.DataType) -> Column:
    at = _values(data, position, TIME)
    length = np.where(null, 0, at["length"])
    seconds = (at["days"] * np.int64(24) + at["hour"]) * 3600 + at["minute"] * np.int64(60) + at["second"]
    micros = np.where(length > 0, seconds, 0) * 1_000_000 + np.where(length > 8, at["microsecond"], 0)
    micros = np.where(at["negative"], -micros, micros)
    return pa.array(micros, mask=null).view(type_), position + length + ~null
