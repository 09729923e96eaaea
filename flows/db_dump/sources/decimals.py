"""Decimals of any scale as Arrow types."""

import pyarrow as pa


def decimal_type(precision: int | None, scale: int | None) -> pa.DataType | None:
    """The type for NUMERIC(precision, scale): the scale may be negative, or larger than the precision.

    None without a precision, as digits and scale are then unlimited, and for more than 38 digits, which not every
    target has.
    """
    if not precision:
        return None
    scale = scale or 0
    places = max(scale, 0)
    digits = max(precision - min(scale, 0), places)
    return pa.decimal128(digits, places) if digits <= 38 else None
