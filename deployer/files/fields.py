"""Fields of the files people write, held against Prefect's own models."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from jsonschema import ValidationError as SchemaError
from pydantic import BaseModel, ValidationError

from deployer.files.document import Document, Location


def known(
    document: Document,
    at: Location,
    written: Mapping[Any, Any],
    model: type[BaseModel],
    also: Iterable[str] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> None:
    """Refuse keys that Prefect would silently ignore, such as misspelt ones, and a switch where it takes a number.

    `elsewhere` tells what to do with keys that have their place in another mapping.
    """
    names = {info.alias or name: info for name, info in model.model_fields.items()}
    for key, value in written.items():
        if key in names:
            types = _types(names[key].annotation) if isinstance(value, bool) else []
            if (int in types or float in types) and bool not in types:
                document.refuse((*at, key), "must be a number")
        elif key not in also:
            mend = (elsewhere or {}).get(key) or hint(str(key), model, also)
            document.refuse((*at, key), f"is not a field of {document.name}: {mend}")


def hint(key: str, model: type[BaseModel], also: Iterable[str] = ()) -> str:
    """Which of the fields that there are was probably meant."""
    names = [*(info.alias or name for name, info in model.model_fields.items()), *also]
    close = get_close_matches(key, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"the fields here are {', '.join(names)}"


def quoted(detail: Mapping[str, Any]) -> str | None:
    """How to mend what pydantic refuses as it is no text, where quotes do."""
    unquoted = detail["type"] == "string_type" and isinstance(detail["input"], bool | int | float)
    return "must be a text: quote it" if unquoted else None


def mismatch(error: SchemaError) -> str:
    """What is wrong with a value by its JSON schema."""
    schemas = [error.schema, *error.schema.get("anyOf", ())] if error.validator in ("type", "anyOf") else []
    takes_text = any(isinstance(schema, dict) and schema.get("type") == "string" for schema in schemas)
    if takes_text and isinstance(error.instance, bool | int | float):
        return "must be a text: quote it"
    return error.message


def _types(annotation: Any) -> list[Any]:
    return [annotation, *(inner for part in get_args(annotation) for inner in _types(part))]


def refuse(document: Document, at: Location, error: ValidationError) -> set[Any]:
    """Note what pydantic says of the value at `at`; returns the fields that are wrong."""
    messages: dict[Location, list[str]] = {}
    for detail in _of_its_type(error.errors(include_url=False)):
        where: Location = ()
        for part in detail["loc"]:
            # Between the places stand the names of the types it was tried as
            if document.has((*at, *where, part)):
                where = (*where, part)
        if detail["type"] == "missing":
            where = (*where, detail["loc"][-1])
        if detail["type"] == "extra_forbidden" and document.refused(at + where):
            continue
        messages.setdefault(where, []).append(quoted(detail) or detail["msg"].removeprefix("Value error, "))
    for where, texts in messages.items():
        document.refuse(at + where, ", or: ".join(dict.fromkeys(texts)))
    return {where[0] for where in messages if where}


def _of_its_type(details: list[Any]) -> list[Any]:
    """Of a value that names its `type`, only what that type says; of one that names none, the types there are."""
    others: dict[Location, list[str]] = {}
    for detail in details:
        if detail["type"] == "literal_error" and len(detail["loc"]) > 1 and detail["loc"][-1] == "type":
            others.setdefault(detail["loc"][:-1], []).append(detail["ctx"]["expected"])
    kept = [each for each in details if not any(each["loc"][: len(other)] == other for other in others)]
    for place in {other[:-1] for other in others}:
        if not any(each["loc"][: len(place)] == place for each in kept):
            expected = ", ".join(text for other, texts in others.items() if other[:-1] == place for text in texts)
            kept.append({"type": "literal_error", "loc": (*place, "type"), "msg": f"must be one of {expected}"})
    return kept


def missing(document: Document, at: Location, written: dict[str, Any], name: str) -> bool:
    """Refuse a mapping without this field of text, and tell whether it lacks it."""
    if isinstance(written.get(name), str) and written[name]:
        return False
    document.refuse((*at, name), "is missing: it must be a text")
    return True
