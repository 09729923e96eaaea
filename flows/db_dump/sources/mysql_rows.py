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
# A value is read in the longest form of its type, which may begin before the first row or end behind the last
MARGIN = 24
HEADER = Struct("<I")
LARGEST_PACKET = 0xFFFFFF

MOMENT = np.dtype("u1, <u2, u1, u1, u1, u1, u1, <u4")
MOMENT.names = "length", "year", "month", "day", "hour", "minute", "second", "microsecond"
TIME = np.dtype("u1, u1, <u4, u1, u1, u1, <u4")
TIME.names = "length", "negative", "days", "hour", "minute", "second", "microsecond"

# A column, and where the values of the next one are; its nulls are not given where it has none
Column = tuple[pa.Array, np.ndarray]
Reader = Callable[[np.ndarray, np.ndarray, np.ndarray | None, pa.DataType], Column]

# Eight characters as one number: which bits of it are the last n of them
LAST = np.array([256**8 - 256 ** (8 - n) for n in range(9)], np.uint64)
# Eight digits side by side become four numbers of two digits, these two of four, these one: mask, factor, shift
JOINED = (
    (0x0F0F0F0F0F0F0F0F, 10 * 2**8 + 1, 8),
    (0x00FF00FF00FF00FF, 100 * 2**16 + 1, 16),
    (0x0000FFFF0000FFFF, 10_000 * 2**32 + 1, 32),
)
# A number of 64 bits holds any decimal of so many digits
SHORT_DECIMAL = 18

# The first day of each month of the years 0 to 9999, counted from 1970
MONTHS = np.arange("0000-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
MONTH_LENGTHS = np.diff(MONTHS)


def blocks(file: BufferedReader, encoding: str) -> Iterator[tuple[bytearray, np.ndarray]]:
    """Whole rows, and at which byte each starts; a block is overwritten by the next."""
    # what is read ahead already, and from then on straight from the socket
    block, socket = bytearray(MARGIN) + file.read(len(file.peek())), file.raw
    position, end = MARGIN, len(block)
    block += bytes(BLOCK_BYTES)
    starts, goes_on = [], False
    while True:
        # nearly all rows are short ones: for them, the loop that takes a good part of the time is as short as can be
        with memoryview(block) as low, low[1:] as middle, low[2:] as high:
            limit = 0 if goes_on else end - HEADER.size
            while position < limit and not high[position]:
                starts.append(position + 4)
                position += low[position] + (middle[position] << 8) + 4
        if position > end:
            position = starts.pop() - 4
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
                    yield block, np.array(starts, np.int64)
                MysqlPacket(last, encoding).check_error()
                return
            if position >= BLOCK_BYTES:
                yield block, np.array(starts, np.int64)
                rest = end - position
                block[MARGIN : MARGIN + rest] = block[position:end]
                position, end, starts = MARGIN, MARGIN + rest, []
        if end + MARGIN >= len(block):
            block = block + bytes(len(block))
        with memoryview(block) as view, view[end:-MARGIN] as free:
            received = socket.readinto(free)
        if not received:
            raise OperationalError(CR.CR_SERVER_LOST, "the server broke off the connection")
        end += received


def decode(block: bytearray, starts: np.ndarray, types: list[pa.DataType]) -> Iterator[pa.Array]:
    """The columns of these rows, one after the other; text is of type binary, times are durations."""
    data = np.frombuffer(block, np.uint8)
    # after a byte that is zero, one bit a column, from the third bit on
    width = (len(types) + 9) // 8
    bits = _values(data, starts + 1, np.dtype((np.void, width))).view(np.uint8).reshape(-1, width)
    position = starts + 1 + width
    for number, type_ in enumerate(types, 2):
        null = (bits[:, number // 8] & (1 << number % 8)) != 0
        array, position = _reader(type_)(data, position, null if null.any() else None, type_)
        yield array


def _reader(type_: pa.DataType) -> Reader:
    if pa.types.is_binary(type_):
        return _binary
    if pa.types.is_decimal(type_):
        return _decimal
    if pa.types.is_duration(type_):
        return _time
    return _moment if pa.types.is_temporal(type_) else _number


def _values(data: np.ndarray, position: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What is at these positions, seen as this type."""
    windows = np.ndarray(len(data) - dtype.itemsize + 1, np.dtype((np.void, dtype.itemsize)), data, strides=(1,))
    return windows[position].view(dtype)


def _after(position: np.ndarray, length: np.ndarray | int, null: np.ndarray | None) -> np.ndarray:
    """Where the next values are; a null takes no room."""
    return position + (length if null is None else length * ~null)


def _number(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    dtype = np.dtype(type_.to_pandas_dtype())
    return pa.array(_values(data, position, dtype), mask=null), _after(position, dtype.itemsize, null)


def _text(data: np.ndarray, position: np.ndarray, null: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Where the characters start, and where they end."""
    first, start = data[position], _after(position, 1, null)
    if null is not None:
        first[null] = 0
    length = first.astype(np.int64)
    # from 252 on, it says how many bytes the length itself takes
    for mark, width in ((252, 2), (253, 3), (254, 8)) if first.max() > 250 else ():
        [long] = np.nonzero(first == mark)
        length[long] = _values(data, start[long], np.dtype("<u8")) & (256**width - 1)
        start[long] += width
    return start, start + length


def _binary(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    start, end = _text(data, position, null)
    # Arrow sees the values and what is between them as one column, and takes every other
    offsets = np.empty(2 * len(start), np.int32)
    offsets[::2], offsets[1::2] = start, end
    both = pa.Array.from_buffers(type_, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return both.take(pa.array(np.arange(0, len(offsets), 2), mask=null)), end


def _decimal(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    start, end = _text(data, position, null)
    negative = data[start] == ord("-")
    point = data[end - type_.scale - 1] == ord(".") if type_.scale else np.True_
    number = None
    if type_.precision <= SHORT_DECIMAL and (point if null is None else point | null).all():
        number = _digits(data, end, end - start - negative, type_.scale)
    if number is None:
        # a long one, or that of an expression, which may have fewer decimals than its type
        return _binary(data, position, null, pa.binary())[0].cast(pa.string()).cast(type_), end
    low = np.where(negative, -number, number)
    values = np.stack((low, low >> 63), axis=1)
    valid = None if null is None else pa.array(~null).buffers()[1]
    return pa.Array.from_buffers(type_, len(end), [valid, pa.py_buffer(values)]), end


def _digits(data: np.ndarray, end: np.ndarray, length: np.ndarray, scale: int) -> np.ndarray | None:
    """Decimals without their point, read eight characters at a time from the last on; None if not all are digits."""
    number = np.zeros(len(end), np.uint64)
    for done in range(0, int(length.max()), 8):
        kept = LAST[np.clip(length - done, 0, 8)]
        if scale and 0 <= scale - done < 8:
            # the point counts as a zero at first
            kept &= np.uint64(256**8 - 1 - (0xFF << 8 * (7 - scale + done)))
        characters = _values(data, end - done - 8, np.dtype("<u8")) & kept
        if (characters & np.uint64(0xF0F0F0F0F0F0F0F0) != kept & np.uint64(0x3030303030303030)).any():
            return None
        for mask, factor, shift in JOINED:
            characters = (characters & np.uint64(mask)) * np.uint64(factor) >> np.uint64(shift)
        number += characters * np.uint64(10**done)
    if scale:
        number -= number // np.uint64(10 ** (scale + 1)) * np.uint64(9 * 10**scale)
    return number.view(np.int64)


def _moment(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    at = _values(data, position, MOMENT)
    length = at["length"] if null is None else np.where(null, 0, at["length"])
    # as bytes: what is below the first is far above the last
    month, day = at["month"] - 1, at["day"] - 1
    known = (length > 0) & (month < 12)
    index = np.where(known, at["year"].astype(np.int64) * 12 + month, 0)
    known &= day < MONTH_LENGTHS[index]
    wrong = ~known if null is None else ~(known | null)
    if wrong.any():
        one = at[wrong][0]
        year, month, day = (one["year"], one["month"], one["day"]) if one["length"] else (0, 0, 0)
        raise ValueError(f"{year:04}-{month:02}-{day:02} is no date")
    days = MONTHS[index] + day
    position = _after(position, 1, null) + length
    if pa.types.is_date(type_):
        return pa.array(days.astype(np.int32), mask=null).view(type_), position
    seconds = at["hour"] * np.int64(3600) + at["minute"] * np.int64(60) + at["second"]
    micros = days * 86_400_000_000 + np.where(length > 4, seconds, 0) * 1_000_000
    micros += np.where(length > 7, at["microsecond"], 0)
    return pa.array(micros, mask=null).view(type_), position


def _time(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    at = _values(data, position, TIME)
    length = at["length"] if null is None else np.where(null, 0, at["length"])
    seconds = (at["days"] * np.int64(24) + at["hour"]) * 3600 + at["minute"] * np.int64(60) + at["second"]
    micros = np.where(length > 0, seconds, 0) * 1_000_000 + np.where(length > 8, at["microsecond"], 0)
    micros = np.where(at["negative"], -micros, micros)
    return pa.array(micros, mask=null).view(type_), _after(position, 1, null) + length
