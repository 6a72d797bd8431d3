"""Shorten the schemas, since each schema costs tokens in every conversation.

Pydantic's JSON Schemas are correct but long. Titles are removed, since they repeat the names.
A default of null or false is not written, since an argument that a client omits is null or false
anyway.
An `anyOf` with a type and null is replaced by a list of types. JSON Schema 2020-12 gives both forms
the same meaning (section 6.1.1 of its validation vocabulary).
"""

from typing import Any, Final

Schema = dict[str, Any]
_OF_SCHEMAS: Final = frozenset({"properties", "$defs"})
"""Members of a schema whose value is an object that maps names to further schemas."""


def slim(schema: Schema) -> Schema:
    """Make a schema with the same meaning in fewer bytes."""
    found: Schema = {}
    for name, part in schema.items():
        if not _is_idle(name, part):
            found[name] = _slim(name, part)
    return _nullable(found)


def slim_output(schema: Schema) -> Schema:
    """Shorten the schema of an answer, and remove parts that are the same in every answer."""
    return _described(slim(schema))


def _described(schema: Schema) -> Schema:
    dropped = {"required", "default"}
    if "properties" in schema:
        dropped.add("description")
    kept: Schema = {}
    for name, part in schema.items():
        if name in dropped:
            continue
        if name in _OF_SCHEMAS:
            kept[name] = {key: _described(of) for key, of in part.items()}
        else:
            kept[name] = part
    return kept


def _slim(name: str, part: Any) -> Any:  # noqa: ANN401  any part of a schema
    match part:
        case dict() if name in _OF_SCHEMAS:
            return {key: slim(of) for key, of in part.items()}
        case dict():
            return slim(part)
        case list():
            return list(map(_slim_item, part))
        case _:
            return part


def _slim_item(item: Any) -> Any:  # noqa: ANN401  any part of a schema
    if isinstance(item, dict):
        return slim(item)
    return item


def _is_idle(name: str, part: Any) -> bool:  # noqa: ANN401
    if name == "default":
        return part is None or part is False
    return name == "title" and isinstance(part, str)


def _nullable(schema: Schema) -> Schema:
    options = schema.get("anyOf", [])
    kinds = [option.get("type") for option in options]
    if len(kinds) != 2 or kinds[1] != "null":  # noqa: PLR2004
        return schema
    kind = kinds[0]
    if not isinstance(kind, str):
        return schema
    found = dict(options[0])
    found.update(schema)
    del found["anyOf"]
    found["type"] = [kind, "null"]
    return found
