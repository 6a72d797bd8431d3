"""Add our entry to a client's settings for a project, preview this change, and remove the entry."""

import difflib
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from csc_git.clients.client import NAME, Client
from csc_git.clients.document import Document
from csc_git.clients.launch import Flags, has_settings
from csc_git.coordinator.factory import directory_of
from csc_git.errors import InvalidSetting
from csc_git.files.durable import read_json, replace_file, write_json
from csc_git.files.lock import FileLock
from csc_git.project.project import Project

_WRITABLE: Final = 0o222
_Note = dict[str, Any]


def memory_of(project: Project) -> Path:
    """The file that records what was inserted in a project's settings files."""
    return directory_of(project) / "registration.json"


class Registration(ABC):
    """Our entries in one settings file.

    Args:
        file: The settings file.
        memory: The file that records what was inserted, so that the same text can be removed.
        insists: Whether to replace an existing entry that differs from ours.
    """

    def __init__(
        self,
        file: Path,
        memory: Path,
        *,
        insists: bool,
    ) -> None:
        self.file = file
        self._insists = insists
        self._memory = memory
        self._noted_as = str(file)  # all worktrees share one memory file

    def add(self) -> str:
        """Add our entries; return what was done, in a few words.

        Raises:
            InvalidSetting: The file is not valid, so the client could not read the file either.
        """
        with self._alone():
            return self._added()

    def remove(self) -> str:
        """Remove our entries. Return what was done in a few words; empty if nothing was removed."""
        with self._alone():
            return self._removed()

    def preview(self, *, undo: bool = False) -> str:
        """What `add` (or `remove`) would change, as a diff; empty if nothing would change.

        Args:
            undo: Whether to preview `remove` instead of `add`.

        Raises:
            InvalidSetting: The file is not valid.
        """
        document = self._read()
        before = document.text
        name = str(self.file)
        if undo:
            if not self._is_in(document):
                return ""
            left = self._take_out(document)
            return _diff(name, before, left)
        if self._is_done(document):
            return ""
        self._insert(document)
        if self._exists():
            return _diff(name, before, document.text)
        return _diff(
            name,
            None,
            f"{document.text}\n",
        )

    def _added(self) -> str:
        document = self._read()
        was_in = self._is_in(document)
        if self._is_done(document):
            return "was registered already"
        is_new = not self._exists()
        is_in_new_directory = not self.file.parent.exists()
        earlier: list[str] = []
        if self._is_in(document):
            earlier = self._inserted
        self._insert(document)
        note = {
            "created": is_new or (was_in and self._was_created),
            "directory": is_in_new_directory or self._made_directory,
            "inserted": [*earlier, *document.inserted],
        }
        # The note is written first. Otherwise a killed process could leave text without a note.
        self._note(note)
        if is_new:
            self._write(f"{document.text}\n")
        else:
            self._write(document.text)
        if was_in:
            return "changed"
        if is_new:
            return "added (new file)"
        return "added"

    def _removed(self) -> str:
        document = self._read()
        if not self._is_in(document):
            return ""
        left = self._take_out(document)
        if left is not None:
            self._write(left)
        else:
            self.file.unlink()
            if self._made_directory:
                with suppress(OSError):  # the directory contains other files
                    self.file.parent.rmdir()
        if self._noted_here:
            self._note(None)
        return "removed"

    def _is_done(self, document: Document) -> bool:
        """Whether our entries are complete. Remove our old entries if they must be replaced.

        Raises:
            InvalidSetting: Entries must be replaced, but this clone did not insert these entries,
                or somebody changed them after the insertion.
        """
        if not self._is_in(document):
            return False
        if not self._insists or self._is_same(document):
            return self._is_whole(document)
        inserted = self._inserted
        removed = [document.take_out(one) for one in reversed(inserted)]
        were_found = bool(removed) and all(removed)
        if not were_found or self._is_in(document):
            raise InvalidSetting(
                f"{NAME} is registered in {self.file} with other settings, and not by this clone",
                then="To replace these settings: csc-git init --undo, then run this command again",
            )
        return False

    def _take_out(self, document: Document) -> str | None:
        """Remove our entries from a document. Return the text that is left.

        Return None if the file was made for our entries and has no other content.
        """
        for inserted in reversed(self._inserted):
            document.take_out(inserted)
        if self._is_in(document):
            self._cut(document)
        if self._was_created and document.is_hollow:
            return None
        return document.text

    def found(self) -> Any:  # noqa: ANN401  any JSON
        """Our entries in the file; None or empty if there are no entries.

        Raises:
            InvalidSetting: The file can't be read.
        """
        return self._ours(self._read())

    @abstractmethod
    def _insert(self, document: Document) -> None:
        """Insert our entries into a document."""

    @abstractmethod
    def _cut(self, document: Document) -> None:
        """Remove our entries from a document, even if they were changed since their insertion."""

    @abstractmethod
    def _ours(self, document: Document) -> Any:  # noqa: ANN401
        """Our entries in a document."""

    @abstractmethod
    def _is_same(self, document: Document) -> bool:
        """Whether our entries in a document equal the entries that we would insert."""

    def _is_in(self, document: Document) -> bool:
        return bool(self._ours(document))

    def _is_whole(self, document: Document) -> bool:
        """Whether all of our entries are in a document."""
        return self._is_in(document)

    def _exists(self) -> bool:
        if self.file.is_symlink():
            return True
        return self.file.exists()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the memory file for this process. This file has the notes on all settings files."""
        directory = self._memory.parent
        if not directory.is_dir():  # nothing was ever registered in this clone
            yield
            return
        file = directory / "locks" / "clients"
        lock = FileLock(file)
        with lock.locked():
            yield

    def _note(self, note: _Note | None) -> None:
        """Replace the note on this settings file; None removes the note."""
        noted = self._noted()
        noted.pop(self._noted_as, None)
        if note:
            noted[self._noted_as] = note
        write_json(self._memory, noted)

    def _noted(self) -> dict[str, Any]:
        """The notes on all settings files."""
        noted = read_json(self._memory)
        if not isinstance(noted, dict):
            return {}
        return noted

    @property
    def _noted_here(self) -> _Note:
        """The note on this settings file."""
        noted = self._noted()
        note = noted.get(self._noted_as)
        if not isinstance(note, dict):
            return {}
        return note

    @property
    def _inserted(self) -> list[str]:
        """The texts that were inserted in this file, in the order of insertion."""
        inserted: list[str] = self._noted_here.get("inserted", [])
        return inserted

    @property
    def _was_created(self) -> bool:
        """Whether the file was made for our entries."""
        return bool(self._noted_here.get("created"))

    @property
    def _made_directory(self) -> bool:
        """Whether the file's directory was made for our entries."""
        return bool(self._noted_here.get("directory"))

    def _read(self) -> Document:
        if not self._exists():
            return Document("{}")
        is_file = self.file.is_file()
        if self.file.exists() and not is_file:
            raise self._unusable("it is not a file")
        try:
            text = self.file.read_bytes().decode()  # keeps the line ends
            return Document(text)
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from None
        except InvalidSetting as error:
            raise self._unusable(error.what) from None

    def _write(self, text: str) -> None:
        try:
            if self.file.exists():
                mode = self.file.stat().st_mode
                if not mode & _WRITABLE:
                    raise PermissionError(errno.EACCES, "it is read-only")
            self.file.parent.mkdir(exist_ok=True)
            replace_file(self.file, text.encode())
        except OSError as error:
            raise InvalidSetting(
                f"{self.file} can't be written: {error.strerror}",
                then="Make the file and its directory writable, or add the entry by hand",
            ) from None

    def _unusable(self, why: str) -> InvalidSetting:
        return InvalidSetting(
            f"{self.file} can't be read as settings: {why}",
            then="Repair the file first",
        )


class ServerRegistration(Registration):
    """The server's entry in a client's settings for a project.

    Args:
        client: The client, which must have a settings file for a project.
        top: The project's top.
        memory: The file that records what was inserted in the settings; see `memory_of`.
        flags: The settings, by name, that the server gets as options.
    """

    def __init__(
        self,
        client: Client,
        top: Path,
        memory: Path,
        flags: Flags,
    ) -> None:
        insists = has_settings(flags)
        super().__init__(
            top / str(client.file),
            memory,
            insists=insists,
        )
        self._member = client.member
        self._entry = client.entry(flags)

    def _insert(self, document: Document) -> None:
        try:
            document.put((self._member, NAME), self._entry)
        except InvalidSetting as error:
            raise self._unusable(error.what) from None

    def _cut(self, document: Document) -> None:
        document.remove(self._member, NAME)

    def _ours(self, document: Document) -> Any:  # noqa: ANN401
        servers = document.get(self._member)
        if servers is not None and not isinstance(servers, dict):
            raise self._unusable(f"{self._member} is not an object")
        return document.get(self._member, NAME)

    def _is_same(self, document: Document) -> bool:
        entry = document.get(self._member, NAME)
        return bool(entry == self._entry)


def _diff(
    name: str,
    before: str | None,
    after: str | None,
) -> str:
    """The unified diff of two texts of a file. A text is None if the file does not exist."""
    from_name = to_name = name
    if before is None:
        before = ""
        from_name = "/dev/null"
    if after is None:
        after = ""
        to_name = "/dev/null"
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        from_name,
        to_name,
    )
    return "".join(map(_ended, lines))


def _ended(line: str) -> str:
    """A line with a line end. The last line of a file may lack the line end."""
    if line.endswith("\n"):
        return line
    return f"{line}\n"
