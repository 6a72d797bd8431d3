"""A settings file of another program: JSON, perhaps with comments and trailing commas.

The file is edited as text. Only our member is changed. Our member is inserted at the place that
json-five's parser reports, so the rest of the text keeps its order, comments and white space. If
the inserted text is removed again, the file has the same bytes as before.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import json5
from json5.loader import ModelLoader
from json5.model import JSONArray, JSONObject, String

from csc_git.errors import InvalidSetting

_COMMA: Final = re.compile(r"\s*,")
_COMMENT_LEFT_OPEN: Final = re.compile(r"/\*(?!.*\*/)", re.DOTALL)
Path_ = tuple[str, ...]
Json = Any
"""A JSON value, as Python's parser returns it."""

_Node = Any
"""A node of the tree that json-five's parser returns. json-five has no type annotations."""

_Token = Any
"""A token of json-five, such as a bracket. Its `index` and `end` are positions in the text."""


class Document:
    """The text of a settings file, and what it contains.

    Args:
        text: The whole text.

    Raises:
        InvalidSetting: The text is not a JSON object.
    """

    def __init__(self, text: str) -> None:
        self.inserted: list[str] = []
        self._read(text)

    def get(self, *path: str) -> Json:
        """The value at a path of member names; None if a member on the path is missing."""
        found = self.content
        for name in path:
            if not isinstance(found, dict):
                return None
            found = found.get(name)
        return found

    @property
    def is_hollow(self) -> bool:
        """Whether the document has no comments, and no members except empty objects."""
        has_comments = _strict(self.text) is None
        return not has_comments and _is_hollow(self.content)

    def put(
        self,
        path: Path_,
        value: Json,
    ) -> None:
        """Insert a new member. If objects around the member are missing, insert them too.

        Args:
            path: The names of the objects around the member, then the name of the member.
            value: The value of the member, any JSON.

        Raises:
            InvalidSetting: The member exists, or a value on its path is not an object.
        """
        outer, missing = self._split(path)
        if not missing:
            name = ".".join(path)
            raise _unreadable(f"{name} exists already, and is empty")
        first, *others = missing
        inner = value
        for name in reversed(others):
            inner = {name: inner}
        container = self._container(outer, JSONObject)
        self._insert(container, inner, first)
        if self.get(*path) != value:
            # The text has a second member with this name, and parsers use only the second one.
            raise _unreadable(f"{path[0]} occurs more than once")

    def prepend(
        self,
        path: Path_,
        value: Json,
    ) -> None:
        """Insert an element at the beginning of an array. If the array is missing, make it.

        Args:
            path: The names of the objects around the array, then the name of the array.
            value: The element, any JSON.

        Raises:
            InvalidSetting: A value on the path has the wrong type.
        """
        if self._has(path):
            container = self._container(path, JSONArray)
            self._insert(container, value, None)
        else:
            self.put(path, [value])

    def take_out(self, inserted: str) -> bool:
        """Remove a text that was inserted before. Return whether the text could be removed."""
        before = self.text
        if before.count(inserted) != 1:
            return False
        without = before.replace(inserted, "")
        try:
            self._read(without)
        except InvalidSetting:
            # Since then, a member was added next to the text. It needs the comma in the text.
            self._read(before)
            return False
        return True

    def remove(self, *path: str) -> None:
        """Remove a member and its comma, even if the value was changed after the insertion."""
        *outer, name = path
        container = self._container(outer, JSONObject)
        place = _place(container, name)
        key = container.keys[place]
        value = container.values[place]
        self._cut(key, value)

    def remove_items(
        self,
        path: Path_,
        ours: Callable[[Json], bool],
    ) -> None:
        """Remove elements of an array. If no element is left, remove the array too.

        Args:
            path: The names of the objects around the array, then the name of the array.
            ours: A function that returns true for an element that is ours and must be removed.
        """
        while True:
            items = self.get(*path) or []
            found = list(map(ours, items))
            if True not in found:
                return
            if len(items) == 1:
                self.remove(*path)
                return
            place = found.index(True)
            container = self._container(path, JSONArray)
            node = container.values[place]
            self._cut(node, node)

    def _split(self, path: Path_) -> tuple[Path_, Path_]:
        """Split a path into the part that exists in the document and the part that is missing."""
        depth = 0
        while depth < len(path):
            if not self._has(path[: depth + 1]):
                break
            depth += 1
        return path[:depth], path[depth:]

    def _has(self, path: Path_) -> bool:
        *outer, name = path
        around = self.get(*outer)
        return isinstance(around, dict) and name in around

    def _read(self, text: str) -> None:
        self.text = text
        # json-five 1.1.2 fails on "\\\\x". A replacement of equal length keeps all positions.
        readable = text.replace("\\\\", "__")
        loader = ModelLoader()
        try:
            model = json5.loads(readable, loader=loader)
            self._root: _Node = model.value
            self.content: Json = _strict(text) or json5.loads(readable)
        except (ValueError, AttributeError, RecursionError) as error:
            raise _unreadable(str(error)) from None
        if not isinstance(self.content, dict):
            raise _unreadable("it is not a JSON object")

    def _container(
        self,
        path: Sequence[str],
        kind: type,
    ) -> _Node:
        node = self._root
        for name in path:
            node = node.values[_place(node, name)]
            if not isinstance(node, JSONObject | JSONArray):
                break
        if not isinstance(node, kind):
            name = ".".join(path)
            raise _unreadable(f"{name} has the wrong type")
        return node

    def _insert(
        self,
        container: _Node,
        value: Json,
        name: str | None,
    ) -> None:
        """Insert a member at the beginning of an object.

        If `name` is None, insert an element at the beginning of an array.
        """
        start = _first(container).end
        following = _last(container)
        members = getattr(container, "keys", None) or container.values
        if members:
            following = _first(members[0])
        opening = self.text[start : following.index]
        indent, step = self._indents(start)
        outer = f"{self._line_end}{indent}"
        inner = f"{outer}{step}"
        entry = json.dumps(value, indent=step).replace("\n", inner)
        if name is not None:
            key = json.dumps(name)
            entry = f"{key}: {entry}"
        text = f"{inner}{entry}"
        if members:
            text += ","
            start += len(_comment_on_line(opening))
        elif "\n" not in opening:
            text += outer
        self._write(start, text)

    @property
    def _line_end(self) -> str:
        if "\r\n" in self.text:
            return "\r\n"
        return "\n"

    def _indents(self, place: int) -> tuple[str, str]:
        """Return the indentation of the line at a position, and the indentation of one level."""
        begin = self.text.rfind("\n", 0, place) + 1
        line = self.text[begin:place]
        content = line.lstrip()
        indent = line.removesuffix(content)
        step = re.search(r"\n([ \t]+)\S", self.text)
        if step is None:
            return indent, "  "
        return indent, step[1]

    def _write(
        self,
        place: int,
        inserted: str,
    ) -> None:
        before = self.text[:place]
        after = self.text[place:]
        self._read(f"{before}{inserted}{after}")
        self.inserted.append(inserted)

    def _cut(
        self,
        first: _Node,
        last: _Node,
    ) -> None:
        """Remove the text from one node to another, and the comma after or before that text."""
        begin = _first(first).index
        end = _last(last).end
        comma = _COMMA.match(self.text, end)
        before = self.text[:begin]
        before = before.rstrip(" \t\r\n")
        if comma is not None:
            end = comma.end()
        elif before.endswith(","):
            before = before[:-1]
        after = self.text[end:]
        self._read(f"{before}{after}")


def _strict(text: str) -> Json:
    """Parse plain JSON. Return None if the text has comments or is not plain JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_hollow(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return all(map(_is_hollow, value.values()))


def _comment_on_line(opening: str) -> str:
    """The comment on an opening bracket's line; empty if the comment ends on a later line.

    Args:
        opening: The text between the bracket and the first member.
    """
    line, newline, _ = opening.partition("\n")
    if not newline or _COMMENT_LEFT_OPEN.search(line):
        return ""
    return line.rstrip("\r")


def _first(node: _Node) -> _Token:
    """The first token of a node."""
    return node._tok  # noqa: SLF001  json-five has no public name for it


def _last(node: _Node) -> _Token:
    """The last token of a node."""
    return node._end_tok  # noqa: SLF001


def _place(
    container: _Node,
    name: str,
) -> int:
    """The position of a member in the list of an object's members, counted from 0."""
    names = _names(container)
    if names.count(name) > 1:
        raise _unreadable(f"{name} occurs more than once")
    return names.index(name)


def _names(container: _Node) -> list[str]:
    """The names of an object's members."""
    return list(map(_name, container.keys))


def _name(key: _Node) -> str:
    """The name of a member. In JSON5, a name may be written without quotes."""
    if isinstance(key, String):
        return str(key.characters)
    return str(key.name)


def _unreadable(why: str) -> InvalidSetting:
    return InvalidSetting(
        f"The file can't be read as JSON settings: {why}",
        then="Repair the file first",
    )
