"""A document: JSON that belongs to somebody else, perhaps with comments and trailing commas.

Merged, never rewritten: what is ours is inserted as text at the place that json-five's parser
names, so that all the rest keeps its order, its comments and its white space, and taking out the
very text again gives back the very bytes.
"""

import json
import re
from typing import Any, Final

import json5
from json5.loader import ModelLoader
from json5.model import JSONArray, JSONObject, String

from csc_git.errors import InvalidSetting

_COMMENT_LEFT_OPEN: Final = re.compile(r"/\*(?!.*\*/)", re.DOTALL)
Path_ = tuple[str, ...]


class Document:
    """One such text.

    Args:
        text: What stands in it.

    Raises:
        InvalidSetting: it is no JSON object.
    """

    def __init__(self, text: str) -> None:
        self.inserted: list[str] = []
        self._read(text)

    def get(self, *path: str) -> Any:  # noqa: ANN401  any JSON
        """What stands at a path of members; None if nothing does."""
        found = self.content
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    @property
    def is_hollow(self) -> bool:
        """Whether it is empty: objects without any member but such ones, and no comment."""
        return _strict(self.text) is not None and _is_hollow(self.content)

    def put(self, path: Path_, value: Any) -> None:  # noqa: ANN401
        """Insert a member that isn't there, with the objects around it that aren't either.

        Raises:
            InvalidSetting: something else stands on the way.
        """
        depth = next(
            (n for n in range(1, len(path) + 1) if not self._has(path[:n])),
            None,
        )
        if depth is None:
            raise _unreadable(
                f"{'.'.join(path)} is there already, and is empty"
            )
        inner = value
        for name in reversed(path[depth:]):
            inner = {name: inner}
        self._insert(
            self._container(path[: depth - 1], JSONObject),
            inner,
            path[depth - 1],
        )
        if (
            self.get(*path) != value
        ):  # a member stands there twice, and another one counts
            raise _unreadable(f"{path[0]} is there more than once")

    def prepend(self, path: Path_, value: Any) -> None:  # noqa: ANN401
        """Insert an element before those of an array, which is made if there is none."""
        if not self._has(path):
            self.put(path, [value])
        else:
            self._insert(self._container(path, JSONArray), value, None)

    def take_out(self, inserted: str) -> bool:
        """Take out what was inserted once, as it was; whether it was found, once."""
        before = self.text
        if before.count(inserted) != 1:
            return False
        try:
            self._read(before.replace(inserted, ""))
        except (
            InvalidSetting
        ):  # something stands beside it now that needs a comma
            self._read(before)
            return False
        return True

    def remove(self, *path: str) -> None:
        """Remove a member, whatever became of it since, with its comma."""
        container = self._container(path[:-1], JSONObject)
        place = _place(container, path[-1])
        self._cut(container.keys[place], container.values[place])

    def remove_items(self, path: Path_, ours: Any) -> None:  # noqa: ANN401  a predicate
        """Remove the elements of an array that a predicate finds; and the array, if it was all."""
        while any(map(ours, items := self.get(*path) or [])):
            place = next(
                number for number, item in enumerate(items) if ours(item)
            )
            if len(items) == 1:
                return self.remove(*path)
            node = self._container(path, JSONArray).values[place]
            self._cut(node, node)
        return None

    def _has(self, path: Path_) -> bool:
        around = self.get(*path[:-1])
        return isinstance(around, dict) and path[-1] in around

    def _read(self, text: str) -> None:
        self.text = text
        try:
            readable = text.replace(
                "\\\\", "__"
            )  # json-five 1.1.2 trips over "\\\\x"; places stay
            self._root: Any = json5.loads(readable, loader=ModelLoader()).value
            self.content: Any = _strict(text) or json5.loads(readable)
        except (ValueError, AttributeError, RecursionError) as error:
            raise _unreadable(str(error)) from None
        if not isinstance(self.content, dict):
            raise _unreadable("it is no object")

    def _container(self, path: Path_, kind: type) -> Any:  # noqa: ANN401  json5's model is untyped
        node = self._root
        for name in path:
            node = node.values[_place(node, name)]
            if not isinstance(node, JSONObject | JSONArray):
                break
        if not isinstance(node, kind):
            raise _unreadable(f"{'.'.join(path)} is not of the expected kind")
        return node

    def _insert(self, container: Any, value: Any, name: str | None) -> None:  # noqa: ANN401
        start = container._tok.end  # noqa: SLF001  json-five has no other name for it
        first = next(
            iter(getattr(container, "keys", None) or container.values), None
        )
        following = first._tok if first else container._end_tok  # noqa: SLF001
        opening = self.text[start : following.index]
        end = "\r\n" if "\r\n" in self.text else "\n"
        indent, step = self._indents(start)
        inner = indent + step
        entry = json.dumps(value, indent=step).replace("\n", end + inner)
        member = entry if name is None else f"{json.dumps(name)}: {entry}"
        if first is None:
            closing = "" if "\n" in opening else end + indent
            return self._write(start, f"{end}{inner}{member}{closing}")
        if "\n" not in opening:
            return self._write(start, f"{end}{inner}{member},")
        line = opening.partition("\n")[0].rstrip("\r")
        if _COMMENT_LEFT_OPEN.search(line):
            line = ""
        return self._write(start + len(line), f"{end}{inner}{member},")

    def _indents(self, place: int) -> tuple[str, str]:
        """The white space before the line of a place, and one step of it."""
        line = self.text[self.text.rfind("\n", 0, place) + 1 : place]
        indent = line[: len(line) - len(line.lstrip())]
        step = re.search(r"\n([ \t]+)\S", self.text)
        return indent, step[1] if step else "  "

    def _write(self, place: int, inserted: str) -> None:
        self._read(self.text[:place] + inserted + self.text[place:])
        self.inserted.append(inserted)

    def _cut(self, first: Any, last: Any) -> None:  # noqa: ANN401
        begin, end = first._tok.index, last._end_tok.end  # noqa: SLF001
        comma = re.compile(r"\s*,").match(self.text, end)
        before = self.text[:begin].rstrip(" \t\r\n")
        if comma is not None:
            end = comma.end()
        elif before.endswith(","):
            before = before[:-1]
        self._read(before + self.text[end:])


def _strict(text: str) -> Any:  # noqa: ANN401
    """The content of plain JSON; None if it is not plain."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_hollow(value: Any) -> bool:  # noqa: ANN401  any JSON
    return isinstance(value, dict) and all(map(_is_hollow, value.values()))


def _place(container: Any, name: str) -> int:  # noqa: ANN401
    """Where a member stands among an object's."""
    names = _names(container)
    if names.count(name) > 1:
        raise _unreadable(f"{name} is there more than once")
    return names.index(name)


def _names(container: Any) -> list[str]:  # noqa: ANN401
    """The names of an object's members; JSON5 lets them stand without quotes."""
    return [
        key.characters if isinstance(key, String) else key.name
        for key in container.keys
    ]


def _unreadable(why: str) -> InvalidSetting:
    return InvalidSetting(
        f"It can't be read as JSON settings: {why}", then="Mend the file first"
    )
