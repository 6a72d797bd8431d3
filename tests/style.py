"""Figures of the house style: `python -m tests.style [FOLDER]` prints them beside their goals.

With `--places` it lists each case that is to be changed.

nodes       statements and expressions per line of code: how dense a line is
ternaries   conditional expressions in 1,000 lines of code
nested      comprehensions within comprehensions
crowded     statements with more than one comprehension, ternary or assignment expression
args        public functions of two or more parameters whose docstring has `Args:`
raises      public functions that raise whose docstring has `Raises:`

A line of code is one that is not blank, not a comment and not part of a docstring.
"""

import argparse
import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DENSE = (*_COMPREHENSIONS, ast.IfExp, ast.NamedExpr)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Figure(NamedTuple):
    """One figure.

    Attributes:
        name: What is counted.
        value: How much of it there is.
        goal: The goal in words.
        is_met: Whether the value is within the goal.
        places: File and line of each case that should not be.
    """

    name: str
    value: float
    goal: str
    is_met: bool
    places: list[str]


class Found(NamedTuple):
    """A node of a module, and where it is."""

    node: ast.AST
    path: Path

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.path}:{getattr(self.node, 'lineno', 1)}"


def figures(folder: Path) -> list[Figure]:
    """The figures of all modules below a folder."""
    paths = sorted(folder.rglob("*.py"))
    modules = [
        Found(ast.parse(path.read_text("utf-8")), path) for path in paths
    ]
    nodes = [
        Found(node, path)
        for module, path in modules
        for node in ast.walk(module)
        if isinstance(node, ast.stmt | ast.expr)
    ]
    lines = sum(map(_code_lines, paths))
    public = [one for module in modules for one in _public_functions(module)]
    density = len(nodes) / lines
    ternaries = _where(nodes, _is_ternary)
    rate = 1000 * len(ternaries) / lines
    return [
        Figure("nodes per line of code", density, "<= 3.8", density <= 3.8, []),
        Figure("ternaries in 1,000 lines", rate, "< 15", rate < 15, ternaries),
        _none("nested comprehensions", _where(nodes, _is_nested)),
        _none("crowded statements", _where(nodes, _is_crowded)),
        _all("functions with Args, %", public, _has_two_parameters, "Args:"),
        _all("raising functions with Raises, %", public, _raises, "Raises:"),
    ]


def _where(nodes: list[Found], is_one: Callable[[ast.AST], bool]) -> list[str]:
    return [found.place for found in nodes if is_one(found.node)]


def _none(name: str, places: list[str]) -> Figure:
    """A figure whose goal is 0."""
    return Figure(name, len(places), "0", not places, places)


def _all(
    name: str,
    functions: list[Found],
    is_one: Callable[[ast.AST], bool],
    section: str,
) -> Figure:
    """How many of some functions have a section in their docstring, in percent."""
    concerned = [found for found in functions if is_one(found.node)]
    lacking = [one.place for one in concerned if not _documents(one, section)]
    share = 100 - 100 * len(lacking) / max(1, len(concerned))
    return Figure(name, share, "100", not lacking, lacking)


def _documents(found: Found, section: str) -> bool:
    assert isinstance(found.node, _FUNCTIONS)
    return section in (ast.get_docstring(found.node) or "")


def _code_lines(path: Path) -> int:
    """How many lines of a module are code."""
    text = path.read_text("utf-8")
    docs = set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and _is_text(node):
            docs.update(range(node.lineno, (node.end_lineno or 0) + 1))
    stripped = map(str.strip, text.splitlines())
    return sum(
        bool(line) and not line.startswith("#") and number not in docs
        for number, line in enumerate(stripped, 1)
    )


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_ternary(node: ast.AST) -> bool:
    return isinstance(node, ast.IfExp)


def _is_nested(node: ast.AST) -> bool:
    inner = [one for one in ast.walk(node) if one is not node]
    is_outer = isinstance(node, _COMPREHENSIONS)
    return is_outer and any(isinstance(one, _COMPREHENSIONS) for one in inner)


def _is_crowded(node: ast.AST) -> bool:
    """Whether a statement has two or more of what makes a line dense."""
    if not isinstance(node, ast.stmt):
        return False
    return sum(isinstance(one, _DENSE) for one in _expressions(node)) > 1


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """All expressions of a statement, but not of the statements inside it."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield from ast.walk(child)


def _public_functions(module: Found) -> Iterator[Found]:
    """Public functions of a module, and public methods of its public classes."""
    for node in ast.iter_child_nodes(module.node):
        members: list[ast.AST] = [node]
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            members = list(node.body)
        for member in members:
            if _is_public(member):
                yield Found(member, module.path)


def _is_public(node: ast.AST) -> bool:
    return isinstance(node, _FUNCTIONS) and not node.name.startswith("_")


def _has_two_parameters(node: ast.AST) -> bool:
    """Whether two or more parameters are to be documented.

    Those of a command and of a tool are documented where their user reads it: in the help of the
    option, and in the description of the field.
    """
    assert isinstance(node, _FUNCTIONS)
    decorators = " ".join(map(ast.unparse, node.decorator_list))
    documented = ast.unparse(node.args).count("Field(description")
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named = [one for one in every if one.arg not in {"self", "cls"}]
    return "click." not in decorators and len(named) - documented > 1


def _raises(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Raise) and one.exc for one in ast.walk(node))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.style")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=ROOT / "csc_git"
    )
    parser.add_argument(
        "--places", action="store_true", help="list each case by file and line"
    )
    given = parser.parse_args()
    for figure in figures(given.folder):
        met = "met" if figure.is_met else "NOT met"
        line = f"{figure.name:34} {figure.value:8.2f}"
        print(f"{line}   goal {figure.goal:8} {met}")
        for place in figure.places if given.places else []:
            print(f"    {place}")


if __name__ == "__main__":
    main()
