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
# A value is read in the longest form of its type, which may begin before the first row or end after the last
MARGIN = 24
HEADER = Struct("<I")
LARGEST_PACKET = 0xFFFFFF

DATETIME = np.dtype("u1, <u2, u1, u1, u1, u1, u1, <u4")
DATETIME.names = "length", "year", "month", "day", "hour", "minute", "second", "microsecond"
TIME = np.dtype("u1, u1, <u4, u1, u1, u1, <u4")
TIME.names = "length", "negative", "days", "hour", "minute", "second", "microsecond"

# A column, and the positions of the next column's values
Column = tuple[pa.Array, np.ndarray]
Reader = Callable[[np.ndarray, np.ndarray, np.ndarray | None, pa.DataType], Column]

# Masks for the last n of eight characters that are read as one number
LAST_CHARACTERS = np.array([256**8 - 256 ** (8 - n) for n in range(9)], np.uint64)
# Eight digits become four numbers of two digits, then two of four digits, then one: mask, factor, shift
DIGIT_JOINS = (
    (0x0F0F0F0F0F0F0F0F, 10 * 2**8 + 1, 8),
    (0x00FF00FF00FF00FF, 100 * 2**16 + 1, 16),
    (0x0000FFFF0000FFFF, 10_000 * 2**32 + 1, 32),
)
# A number of 64 bits holds any decimal with this many digits
MAX_INT64_DIGITS = 18

# The first day of each month of the years 0 to 9999, counted from 1970
MONTHS = np.arange("0000-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
MONTH_LENGTHS = np.diff(MONTHS)


def blocks(file: BufferedReader, encoding: str) -> Iterator[tuple[bytearray, np.ndarray]]:
    """Blocks of complete rows, and the byte at which each row starts. The next block overwrites a block."""
    # first the bytes that are buffered already, then straight from the socket
    block, socket = bytearray(MARGIN) + file.read(len(file.peek())), file.raw
    position, end = MARGIN, len(block)
    block += bytes(BLOCK_BYTES)
    starts: list[int] = []
    continues = False
    while True:
        # nearly all rows are short, and this loop takes much of the time: for short rows it is as small as possible
        with memoryview(block) as low, low[1:] as middle, low[2:] as high:
            limit = 0 if continues else end - HEADER.size
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
            if continues:
                # a row of several packets becomes one
                block[position : end - 4] = block[position + 4 : end]
                following, end, continues = following - 4, end - 4, False
            else:
                starts.append(position + 4)
            position = following
            if length == LARGEST_PACKET:
                continues = True
        if starts and not continues:
            # a row begins with a zero byte, the packet after the last row does not
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
            raise OperationalError(CR.CR_SERVER_LOST, "the server closed the connection")
        end += received


def decode(block: bytearray, starts: np.ndarray, types: list[pa.DataType]) -> Iterator[pa.Array]:
    """The columns of these rows, in their order; text is of type binary, times are durations."""
    data = np.frombuffer(block, np.uint8)
    # after a zero byte, one bit per column, from the third bit on
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
    return _datetime if pa.types.is_temporal(type_) else _number


def _values(data: np.ndarray, position: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The values at these positions, read as this type."""
    windows = np.ndarray(len(data) - dtype.itemsize + 1, np.dtype((np.void, dtype.itemsize)), data, strides=(1,))
    values: np.ndarray = windows[position].view(dtype)
    return values


def _after(position: np.ndarray, length: np.ndarray | int, null: np.ndarray | None) -> np.ndarray:
    """The positions of the next values; a null takes no bytes."""
    return position + (length if null is None else length * ~null)


def _number(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    dtype = np.dtype(type_.to_pandas_dtype())
    return pa.array(_values(data, position, dtype), mask=null), _after(position, dtype.itemsize, null)


def _text(data: np.ndarray, position: np.ndarray, null: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The positions at which the characters start and end."""
    first_byte, start = data[position], _after(position, 1, null)
    if null is not None:
        first_byte[null] = 0
    length = first_byte.astype(np.int64)
    # from 252 on, the first byte says how many bytes the length takes
    for mark, width in ((252, 2), (253, 3), (254, 8)) if first_byte.max() > 250 else ():
        [long] = np.nonzero(first_byte == mark)
        length[long] = _values(data, start[long], np.dtype("<u8")) & (256**width - 1)
        start[long] += width
    return start, start + length


def _binary(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    start, end = _text(data, position, null)
    # for Arrow, the values and the gaps between them are one column, of which it takes every other
    offsets = np.empty(2 * len(start), np.int32)
    offsets[::2], offsets[1::2] = start, end
    values_and_gaps = pa.Array.from_buffers(type_, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return values_and_gaps.take(pa.array(np.arange(0, len(offsets), 2), mask=null)), end


def _decimal(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    start, end = _text(data, position, null)
    negative = data[start] == ord("-")
    point = data[end - type_.scale - 1] == ord(".") if type_.scale else np.True_
    number = None
    if type_.precision <= MAX_INT64_DIGITS and (point if null is None else point | null).all():
        number = _digits(data, end, end - start - negative, type_.scale)
    if number is None:
        # a long decimal, or that of an expression, which may have fewer decimal places than its type
        return _binary(data, position, null, pa.binary())[0].cast(pa.string()).cast(type_), end
    low = np.where(negative, -number, number)
    values = np.stack((low, low >> 63), axis=1)
    valid = None if null is None else pa.array(~null).buffers()[1]
    return pa.Array.from_buffers(type_, len(end), [valid, pa.py_buffer(values)]), end


def _digits(data: np.ndarray, end: np.ndarray, length: np.ndarray, scale: int) -> np.ndarray | None:
    """Decimals without their point, read from the end, eight characters at a time; None if some are not digits."""
    number = np.zeros(len(end), np.uint64)
    for offset in range(0, int(length.max()), 8):
        mask = LAST_CHARACTERS[np.clip(length - offset, 0, 8)]
        if scale and 0 <= scale - offset < 8:
            # the point counts as a zero at first, and is removed below
            mask &= np.uint64(256**8 - 1 - (0xFF << 8 * (7 - scale + offset)))
        characters = _values(data, end - offset - 8, np.dtype("<u8")) & mask
        if (characters & np.uint64(0xF0F0F0F0F0F0F0F0) != mask & np.uint64(0x3030303030303030)).any():
            return None
        for digits_mask, factor, shift in DIGIT_JOINS:
            characters = (characters & np.uint64(digits_mask)) * np.uint64(factor) >> np.uint64(shift)
        number += characters * np.uint64(10**offset)
    if scale:
        number -= number // np.uint64(10 ** (scale + 1)) * np.uint64(9 * 10**scale)
    return number.view(np.int64)


def _datetime(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    fields = _values(data, position, DATETIME)
    length = fields["length"] if null is None else np.where(null, 0, fields["length"])
    # as unsigned bytes, month 0 and day 0 become 255
    month, day = fields["month"] - 1, fields["day"] - 1
    valid = (length > 0) & (month < 12)
    index = np.where(valid, fields["year"].astype(np.int64) * 12 + month, 0)
    valid &= day < MONTH_LENGTHS[index]
    invalid = ~valid if null is None else ~(valid | null)
    if invalid.any():
        value = fields[invalid][0]
        parts = (value["year"], value["month"], value["day"]) if value["length"] else (0, 0, 0)
        raise ValueError("{:04}-{:02}-{:02} is not a date".format(*parts))
    days = MONTHS[index] + day
    position = _after(position, 1, null) + length
    if pa.types.is_date(type_):
        return pa.array(days.astype(np.int32), mask=null).view(type_), position
    seconds = fields["hour"] * np.int64(3600) + fields["minute"] * np.int64(60) + fields["second"]
    micros = days * 86_400_000_000 + np.where(length > 4, seconds, 0) * 1_000_000
    micros += np.where(length > 7, fields["microsecond"], 0)
    return pa.array(micros, mask=null).view(type_), position


def _time(data: np.ndarray, position: np.ndarray, null: np.ndarray | None, type_: pa.DataType) -> Column:
    fields = _values(data, position, TIME)
    length = fields["length"] if null is None else np.where(null, 0, fields["length"])
    seconds = (
        (fields["days"] * np.int64(24) + fields["hour"]) * 3600 + fields["minute"] * np.int64(60) + fields["second"]
    )
    micros = np.where(length > 0, seconds, 0) * 1_000_000 + np.where(length > 8, fields["microsecond"], 0)
    micros = np.where(fields["negative"], -micros, micros)
    return pa.array(micros, mask=null).view(type_), _after(position, 1, null) + length
