"""Figures of the house style: `python -m tests.style [FOLDER]` prints them beside their goals.

nodes       AST nodes per line of code, without load and store marks: how dense a line is
ternaries   conditional expressions in 1,000 lines of code
nested      comprehensions within comprehensions
walruses    assignment expressions
args        public functions of two or more parameters whose docstring has `Args:`
raises      public functions that raise whose docstring has `Raises:`
"""

import ast
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Figure(NamedTuple):
    """One figure.

    Attributes:
        name: What is counted.
        value: How much of it there is.
        goal: What it is held against, in words.
        is_met: Whether it is within the goal.
    """

    name: str
    value: float
    goal: str
    is_met: bool


def figures(folder: Path) -> list[Figure]:
    """The figures of all modules below a folder."""
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(folder.rglob("*.py"))]
    every = chain.from_iterable(map(ast.walk, trees))
    nodes = [node for node in every if not isinstance(node, ast.expr_context)]
    lines = sum(len(_code_lines(tree)) for tree in trees)
    ternaries = 1000 * _count(nodes, ast.IfExp) / lines
    nested = sum(_holds_comprehension(node) for node in nodes)
    walruses = _count(nodes, ast.NamedExpr)
    public = [one for tree in trees for one in _public_functions(tree)]
    with_two = [one for one in public if len(_parameters(one)) > 1]
    raising = [one for one in public if _raises(one)]
    args = _share(with_two, "Args:")
    raises = _share(raising, "Raises:")
    density = len(nodes) / lines
    return [
        Figure("nodes per line of code", density, "<= 3.8", density <= 3.8),
        Figure("ternaries in 1,000 lines", ternaries, "< 15", ternaries < 15),
        Figure("nested comprehensions", nested, "0", nested == 0),
        Figure("walruses", walruses, "0", walruses == 0),
        Figure("functions with Args, %", args, "100", args >= 100),
        Figure("raising functions with Raises, %", raises, "100", raises >= 100),
    ]


def _code_lines(tree: ast.Module) -> set[int]:
    """The lines on which statements stand, docstrings left out."""
    found = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not _is_text(node):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and _is_text(node):
            found.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _count(nodes: list[ast.AST], kind: type[ast.AST]) -> int:
    return sum(isinstance(node, kind) for node in nodes)


def _holds_comprehension(node: ast.AST) -> bool:
    inner = [one for one in ast.walk(node) if one is not node]
    is_outer = isinstance(node, _COMPREHENSIONS)
    return is_outer and any(isinstance(one, _COMPREHENSIONS) for one in inner)


def _public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions of a module, and public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found = [one for one in node.body if isinstance(one, _FUNCTIONS)]
        else:
            found = [node] if isinstance(node, _FUNCTIONS) else []
        yield from (one for one in found if not one.name.startswith("_"))


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [one.arg for one in every if one.arg not in {"self", "cls"}]


def _raises(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(function))


def _share(functions: list[ast.FunctionDef | ast.AsyncFunctionDef], title: str) -> float:
    """How many of some functions have a section in their docstring, in percent."""
    having = sum(title in (ast.get_docstring(one) or "") for one in functions)
    return 100 * having / max(1, len(functions))


def main() -> None:
    """Print the figures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "csc_git"
    for figure in figures(folder):
        met = "met" if figure.is_met else "NOT met"
        print(f"{figure.name:34} {figure.value:8.2f}   goal {figure.goal:8} {met}")


if __name__ == "__main__":
    main()
