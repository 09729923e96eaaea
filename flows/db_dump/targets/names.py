"""Which names of schema, table and columns a target can tell apart."""

from collections.abc import Callable

from errors import ParameterError
from records import Manifest

# The prefix of the tables that loads make for themselves
RESERVED = "_db_dump_"


def check_names(
    manifest: Manifest,
    max_length: int | None = None,
    size: Callable[[str], int] = len,
    fold: Callable[[str], str] = str,
) -> None:
    """Raise ParameterError for names that the target would cut off or take for the same name.

    `size` measures a name for `max_length`; `fold` gives a name as the target compares it.
    """
    columns = manifest.schema.names
    problems = []
    if manifest.table_id.lower().startswith(RESERVED):
        problems.append(f"table_id: {manifest.table_id} is a name of the load's own tables; take another")
    if "" in columns:
        problems.append(f"execute_query: column {columns.index('') + 1} has no name; give it one (AS …)")
    by_parameter = {"dataset_id": [manifest.dataset_id], "table_id": [manifest.table_id], "execute_query": columns}
    for parameter, names in by_parameter.items():
        for name in names:
            if max_length and size(name) > max_length:
                problems.append(
                    f"{parameter}: {name} is longer than {max_length}, the most for a name; take a shorter one"
                )
    folded = [fold(name) for name in columns]
    if ambiguous := [name for name, key in zip(columns, folded, strict=True) if folded.count(key) > 1]:
        problems.append(f"execute_query: {', '.join(ambiguous)} are one name there; give each its own (AS …)")
    if problems:
        raise ParameterError("; ".join(problems))
