"""Bytes as text, the way PostgreSQL writes them: `\\x00ff`."""

import pyarrow as pa


def to_hex(values: pa.Array) -> pa.Array:
    """Binary values as text."""
    return pa.array([None if value is None else "\\x" + value.hex() for value in values.to_pylist()], pa.string())


def from_hex(texts: pa.Array | pa.ChunkedArray, type_: pa.DataType) -> pa.Array:
    """Text as binary values of this type."""
    return pa.array([None if text is None else bytes.fromhex(text[2:]) for text in texts.to_pylist()], type_)
