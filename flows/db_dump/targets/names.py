"""Which names of schema, table and columns a target can keep apart."""

from collections.abc import Callable

from query import ParameterError
from stage import Manifest

# A load's own tables are called so
RESERVED = "_db_dump_"


def check_names(
    manifest: Manifest,
    longest: int | None = None,
    size: Callable[[str], int] = len,
    fold: Callable[[str], str] = str,
) -> None:
    """Refuse names that the target would cut off (`longest`, measured by `size`) or take for one (`fold`)."""
    names = manifest.schema.names
    wrong = []
    if manifest.table_id.lower().startswith(RESERVED):
        wrong.append(f"table_id: {manifest.table_id} is a name of the load's own tables; take another")
    if "" in names:
        wrong.append(f"execute_query: column {names.index('') + 1} has no name; give it one (AS …)")
    places = {"dataset_id": [manifest.dataset_id], "table_id": [manifest.table_id], "execute_query": names}
    for parameter, given in places.items():
        for name in given:
            if longest and size(name) > longest:
                wrong.append(f"{parameter}: {name} is longer than {longest}, the most for a name; take a shorter one")
    folded = [fold(name) for name in names]
    if same := [name for name, key in zip(names, folded, strict=True) if folded.count(key) > 1]:
        wrong.append(f"execute_query: {', '.join(same)} are one name there; give each its own (AS …)")
    if wrong:
        raise ParameterError("; ".join(wrong))
