"""Decimals as databases declare them, and as files and other databases have them."""

import pyarrow as pa


def decimal_type(precision: int, scale: int) -> pa.DataType | None:
    """The type for NUMERIC(precision, scale): the scale may be negative, or larger than the precision.

    None where the digits are more than 38: not every target has so many.
    """
    places = max(scale, 0)
    digits = max(precision - min(scale, 0), places)
    return pa.decimal128(digits, places) if digits <= 38 else None
