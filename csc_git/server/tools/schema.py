"""Short schemas: each is paid for in every conversation, so nothing stands in it twice.

Pydantic's JSON Schemas are correct and wordy. Here titles go (they repeat the names), defaults of
null and false go (what may be left out and is left out is neither there nor true), and `anyOf` of
a type and null becomes a list of types, which JSON Schema 2020-12 (section 6.1.1 of its validation
vocabulary) defines as the same.
"""

from typing import Any

Schema = dict[str, Any]


def slim(schema: Schema) -> Schema:
    """The same schema in fewer bytes."""
    found = {
        name: _slim(name, part)
        for name, part in schema.items()
        if not _is_idle(name, part)
    }
    return _nullable(found)


def slim_output(schema: Schema) -> Schema:
    """The same for an answer's schema, which only describes: what every answer has anyhow goes."""
    return _described(slim(schema))


def _described(schema: Schema) -> Schema:
    dropped = {"required", "default"} | (
        {"description"} if "properties" in schema else set()
    )
    kept = {name: part for name, part in schema.items() if name not in dropped}
    for name in ("properties", "$defs"):
        if name in kept:
            kept[name] = {
                member: _described(of) for member, of in kept[name].items()
            }
    return kept


def _slim(name: str, part: Any) -> Any:  # noqa: ANN401  any part of a schema
    match part:
        case dict() if name in {"properties", "$defs"}:
            return {member: slim(of) for member, of in part.items()}
        case dict():
            return slim(part)
        case list():
            return [slim(one) if isinstance(one, dict) else one for one in part]
        case _:
            return part


def _is_idle(name: str, part: Any) -> bool:  # noqa: ANN401
    if name == "default":
        return part is None or part is False
    return name == "title" and isinstance(part, str)


def _nullable(schema: Schema) -> Schema:
    options = schema.get("anyOf", [])
    kinds = [option.get("type") for option in options]
    if len(options) != 2 or kinds[1] != "null" or not isinstance(kinds[0], str):  # noqa: PLR2004
        return schema
    rest = {name: part for name, part in schema.items() if name != "anyOf"}
    return {**options[0], **rest, "type": [kinds[0], "null"]}
