"""Manifests of exports to load."""

import logging

from manifest import Manifest

LOGGER = logging.getLogger()


def manifest(files, *, day="2026-01-02", export_id="e1", form="csv", columns=("id", "total", "note")):
    """A manifest of files {name: rows}."""
    return Manifest(
        export_id=export_id,
        dataset="orders",
        logical_date=day,
        format=form,
        path=f"orders/{export_id}/",
        columns=columns,
        files=[{"name": name, "rows": rows, "bytes": 1} for name, rows in files.items()],
    )
