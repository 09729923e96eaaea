"""Fields of the files people write, checked against Prefect's own models."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from jsonschema import ValidationError as SchemaError
from pydantic import BaseModel, ValidationError

from deployer.files.document import Document
from deployer.model.errors import Location


def check_known(
    document: Document,
    at: Location,
    written: Mapping[Any, Any],
    model: type[BaseModel],
    also: Iterable[str] = (),
    mends: Mapping[str, str] | None = None,
) -> None:
    """Add a problem for keys that Prefect would silently ignore, such as misspelt ones, and for a boolean number.

    `mends` has the mend for keys that belong into another mapping.
    """
    names = {info.alias or name: info for name, info in model.model_fields.items()}
    for key, value in written.items():
        if key in names:
            types = _types(names[key].annotation) if isinstance(value, bool) else []
            if (int in types or float in types) and bool not in types:
                document.add_problem((*at, key), "must be a number")
        elif key not in also:
            mend = (mends or {}).get(key) or suggestion(str(key), model, also)
            document.add_problem((*at, key), f"is not a field of {document.name}: {mend}")


def suggestion(key: str, model: type[BaseModel], also: Iterable[str] = ()) -> str:
    """The field that was probably meant, or all fields."""
    names = [*(info.alias or name for name, info in model.model_fields.items()), *also]
    close = get_close_matches(key, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"the fields here are {', '.join(names)}"


def quote_hint(detail: Mapping[str, Any]) -> str | None:
    """The mend for a value that needs quotes, from pydantic's error; None for other errors."""
    unquoted = detail["type"] == "string_type" and isinstance(detail["input"], bool | int | float)
    return "must be a text: quote it" if unquoted else None


def schema_message(error: SchemaError) -> str:
    """The message for a value that its JSON schema does not allow."""
    schema = error.schema if isinstance(error.schema, dict) else {}
    schemas = [schema, *schema.get("anyOf", ())] if error.validator in ("type", "anyOf") else []
    takes_text = any(isinstance(option, dict) and option.get("type") == "string" for option in schemas)
    if takes_text and isinstance(error.instance, bool | int | float):
        return "must be a text: quote it"
    return str(error.message)


def _types(annotation: Any) -> list[Any]:
    return [annotation, *(inner for part in get_args(annotation) for inner in _types(part))]


def add_validation_errors(document: Document, at: Location, error: ValidationError) -> set[Any]:
    """Add pydantic's errors of the value at `at` as problems; returns the names of the fields with problems."""
    messages: dict[Location, list[str]] = {}
    for detail in _for_its_type(error.errors(include_url=False)):
        where: Location = ()
        for part in detail["loc"]:
            # pydantic adds the names of the types that it tried
            if document.has((*at, *where, part)):
                where = (*where, part)
        if detail["type"] == "missing":
            where = (*where, detail["loc"][-1])
        if detail["type"] == "extra_forbidden" and document.has_problem_at(at + where):
            continue
        messages.setdefault(where, []).append(quote_hint(detail) or detail["msg"].removeprefix("Value error, "))
    for where, texts in messages.items():
        document.add_problem(at + where, ", or: ".join(dict.fromkeys(texts)))
    return {where[0] for where in messages if where}


def _for_its_type(details: list[Any]) -> list[Any]:
    """The errors of a value for the `type` that it names; if no such type exists, one error with the types."""
    others: dict[Location, list[str]] = {}
    for detail in details:
        if detail["type"] == "literal_error" and len(detail["loc"]) > 1 and detail["loc"][-1] == "type":
            others.setdefault(detail["loc"][:-1], []).append(detail["ctx"]["expected"])
    kept = [detail for detail in details if not any(detail["loc"][: len(other)] == other for other in others)]
    for place in {other[:-1] for other in others}:
        if not any(detail["loc"][: len(place)] == place for detail in kept):
            expected = ", ".join(text for other, texts in others.items() if other[:-1] == place for text in texts)
            kept.append({"type": "literal_error", "loc": (*place, "type"), "msg": f"must be one of {expected}"})
    return kept


def lacks_text(document: Document, at: Location, written: dict[str, Any], name: str) -> bool:
    """Whether the mapping lacks this text; adds a problem if so."""
    if isinstance(written.get(name), str) and written[name]:
        return False
    document.add_problem((*at, name), "is missing: it must be a text")
    return True
