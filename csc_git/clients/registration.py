"""Registration: our entry in a client's settings for a project; added, shown beforehand, undone."""

import difflib
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from csc_git.clients.client import NAME, Client
from csc_git.clients.document import Document
from csc_git.coordinator.factory import directory_of
from csc_git.errors import InvalidSetting
from csc_git.files.durable import read_json, replace_file, write_json
from csc_git.files.lock import FileLock
from csc_git.git.project import Project

_WRITABLE: Final = 0o222


def memory_of(project: Project) -> Path:
    """Where it is noted what was inserted in a project's files."""
    return directory_of(project) / "registration.json"


class Registration(ABC):
    """What is ours in one file of settings.

    Args:
        file: The file.
        memory: Where to note what was inserted, to take out the very same.
        insists: Whether what is there already is to be replaced.
    """

    def __init__(self, file: Path, memory: Path, *, insists: bool) -> None:
        self.file = file
        self._insists = insists
        self._memory = memory
        self._noted_as = str(file)  # worktrees share one memory

    def add(self) -> str:
        """Put it in; what was done, in a few words.

        Raises:
            InvalidSetting: the file is not what its client could read either.
        """
        with self._alone():
            return self._added()

    def remove(self) -> str:
        """Take it out; what was done, in a few words; empty if it wasn't there."""
        with self._alone():
            return self._removed()

    def preview(self, *, undo: bool = False) -> str:
        """What `add` (or `remove`) would change, as a diff; empty if nothing.

        Raises:
            InvalidSetting: as `add`.
        """
        document, new = self._read(), not self._exists()
        before, was_in = document.text, self._is_in(document)
        if undo:
            return (
                _diff(str(self.file), before, self._take_out(document))
                if was_in
                else ""
            )
        if self._is_done(document):
            return ""
        self._insert(document)
        return _diff(
            str(self.file),
            None if new else before,
            _ended(document.text, created=new),
        )

    def _added(self) -> str:
        document = self._read()
        was_in = self._is_in(document)
        if self._is_done(document):
            return "was registered already"
        new = not self._exists()
        kept = (
            self._noted_here.get("inserted", [])
            if self._is_in(document)
            else []
        )
        self._insert(document)
        # Noted first: a kill between the two leaves nothing that can't be undone.
        self._note(
            {
                "created": new or (was_in and self._was_created),
                "directory": not self.file.parent.exists()
                or self._made_directory,
                "inserted": [*kept, *document.inserted],
            }
        )
        self._write(_ended(document.text, created=new))
        return "changed" if was_in else "added" + (" (new file)" if new else "")

    def _removed(self) -> str:
        document = self._read()
        if not self._is_in(document):
            return ""
        if self._take_out(document) is None:
            self.file.unlink()
            if self._made_directory:
                with suppress(OSError):  # there is more in it
                    self.file.parent.rmdir()
        else:
            self._write(document.text)
        if self._noted_here:
            self._note(None)
        return "removed"

    def _is_done(self, document: Document) -> bool:
        """Whether there is nothing to do; what is to be replaced is taken out of the document.

        Raises:
            InvalidSetting: it is to be, but somebody else has put it there or changed it.
        """
        if not self._is_in(document):
            return False
        if not self._insists or self._is_same(document):
            return self._is_whole(document)
        taken = [
            document.take_out(one)
            for one in reversed(self._noted_here.get("inserted", []))
        ]
        if not taken or not all(taken) or self._is_in(document):
            raise InvalidSetting(
                f"{NAME} is registered in {self.file} with other settings, and not by this clone",
                then="To put these in their place: csc-git init --undo, then this again",
            )
        return False

    def _take_out(self, document: Document) -> str | None:
        """Take ours out of a document: what is left; None if the file was made for it."""
        for inserted in reversed(self._noted_here.get("inserted", [])):
            document.take_out(inserted)
        if self._is_in(document):
            self._cut(document)
        return (
            None if self._was_created and document.is_hollow else document.text
        )

    def found(self) -> Any:  # noqa: ANN401  any JSON
        """What is there of ours; None if nothing.

        Raises:
            InvalidSetting: the file can't be read.
        """
        return self._ours(self._read())

    @abstractmethod
    def _insert(self, document: Document) -> None:
        """Put ours in."""

    @abstractmethod
    def _cut(self, document: Document) -> None:
        """Take ours out, whatever became of it."""

    @abstractmethod
    def _ours(self, document: Document) -> Any:  # noqa: ANN401
        """What is there of ours."""

    @abstractmethod
    def _is_same(self, document: Document) -> bool:
        """Whether what is there is what we would put in."""

    def _is_in(self, document: Document) -> bool:
        return bool(self._ours(document))

    def _is_whole(self, document: Document) -> bool:
        """Whether all is there that belongs to it."""
        return self._is_in(document)

    def _exists(self) -> bool:
        return self.file.exists() or self.file.is_symlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes off the memory, which holds all files' notes."""
        if (
            not self._memory.parent.is_dir()
        ):  # a clone in which nothing was registered
            yield
            return
        with FileLock(self._memory.parent / "locks" / "clients").held():
            yield

    def _note(self, said: dict[str, Any] | None) -> None:
        others = {
            file: note
            for file, note in self._noted().items()
            if file != self._noted_as
        }
        write_json(
            self._memory, others | ({self._noted_as: said} if said else {})
        )

    def _noted(self) -> dict[str, Any]:
        noted = read_json(self._memory)
        return noted if isinstance(noted, dict) else {}

    @property
    def _noted_here(self) -> dict[str, Any]:
        noted = self._noted().get(self._noted_as)
        return noted if isinstance(noted, dict) else {}

    @property
    def _was_created(self) -> bool:
        """Whether there was no such file before."""
        return bool(self._noted_here.get("created"))

    @property
    def _made_directory(self) -> bool:
        """Whether the directory was made for it."""
        return bool(self._noted_here.get("directory"))

    def _read(self) -> Document:
        if not self._exists():
            return Document("{}")
        if self.file.exists() and not self.file.is_file():
            raise self._unusable("it is no file")
        try:
            return Document(
                self.file.read_bytes().decode()
            )  # with its own line ends
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from None
        except InvalidSetting as error:
            raise self._unusable(error.what) from None

    def _write(self, text: str) -> None:
        try:
            if self.file.exists() and not self.file.stat().st_mode & _WRITABLE:
                raise PermissionError(errno.EACCES, "it is read-only")
            self.file.parent.mkdir(exist_ok=True)
            replace_file(self.file, text.encode())
        except OSError as error:
            raise InvalidSetting(
                f"{self.file} can't be written: {error.strerror}",
                then="Make it and its directory writable, or add the entry by hand",
            ) from None

    def _unusable(self, why: str) -> InvalidSetting:
        return InvalidSetting(
            f"{self.file} can't be read as settings: {why}",
            then="Mend the file first",
        )


class ServerRegistration(Registration):
    """The server, in a client's settings for a project.

    Args:
        client: Whose.
        top: The project's top.
        memory: As above.
        flags: Settings that the server shall get.
    """

    def __init__(
        self, client: Client, top: Path, memory: Path, flags: Mapping[str, Any]
    ) -> None:
        insists = any(value is not None for value in flags.values())
        super().__init__(top / str(client.file), memory, insists=insists)
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
            raise self._unusable(f"{self._member} is no object")
        return document.get(self._member, NAME)

    def _is_same(self, document: Document) -> bool:
        return bool(document.get(self._member, NAME) == self._entry)


def _diff(name: str, before: str | None, after: str | None) -> str:
    """Two texts of a file as a diff; None: there is no file."""
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True),
        (after or "").splitlines(keepends=True),
        "/dev/null" if before is None else name,
        "/dev/null" if after is None else name,
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n" for line in lines
    )


def _ended(text: str, *, created: bool) -> str:
    return f"{text}\n" if created else text
