"""A flow that tries what others use."""

from libraries import CHECKS, trouble
from prefect import flow


@flow(name="e2e-libraries")
def uses_libraries() -> None:
    """Tells everything that does not work."""
    if troubles := [text for name in CHECKS if (text := trouble(name))]:
        raise RuntimeError("; ".join(troubles))
