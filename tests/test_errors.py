"""The tree of errors: complete, and each with its three parts."""

import re
from importlib import import_module
from pkgutil import walk_packages

import csc_git
from csc_git import errors
from csc_git.errors import CscError

_NAME = re.compile(r"[├└]─ (\w+)")


def _raised_on_purpose() -> set[type[BaseException]]:
    """Every exception class that the package defines, but those private to a module."""
    found: set[type[BaseException]] = set()
    for module in walk_packages(csc_git.__path__, "csc_git."):
        if module.name.endswith("__main__"):
            continue
        for name, member in vars(import_module(module.name)).items():
            is_error = isinstance(member, type)
            if not is_error or not issubclass(member, BaseException):
                continue
            if member.__module__ == module.name and not name.startswith("_"):
                found.add(member)
    return found


def test_every_error_is_in_the_tree() -> None:
    listed = set(_NAME.findall(errors.__doc__ or ""))
    defined = {one.__name__ for one in _raised_on_purpose()}
    assert defined - {"CscError"} == listed


def test_every_error_is_a_csc_error() -> None:
    strays = [
        one.__name__
        for one in _raised_on_purpose()
        if not issubclass(one, CscError)
    ]
    assert strays == []


def test_the_tree_shows_each_error_below_its_base() -> None:
    """Three characters of indentation are one level of the tree."""
    above: list[str] = ["CscError"]
    for line in (errors.__doc__ or "").splitlines():
        found = _NAME.search(line)
        if found is None:
            continue
        depth = found.start() // 4 + 1
        name = found[1]
        classes = {one.__name__: one for one in _raised_on_purpose()}
        base = classes[name].__bases__[0].__name__
        assert base == above[depth - 1], name
        above[depth:] = [name]
