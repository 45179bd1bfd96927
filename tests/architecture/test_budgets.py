"""The budgets of `docs/design.md`: short functions, and keyword-only after the second argument.

What was over budget when the test was written is in `over_budget.txt`; that list may only shrink.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import impasto

SOURCE = Path(impasto.__file__).parent
LISTED = Path(__file__).with_name("over_budget.txt")
LONGEST = 40  # lines of a function, decorators and docstring included
POSITIONAL = 2  # arguments besides `self` and `cls`

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function, bool]]:
    """Every function by its qualified name; the last says whether it is a method."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield f"{prefix}{node.name}", node, isinstance(tree, ast.ClassDef)
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def offences(root: Path) -> set[str]:
    """`FILE NAME long` and `FILE NAME positional` of each function over a budget."""
    found = set()
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        for name, node, is_method in functions(ast.parse(path.read_text(encoding="utf-8"))):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            assert node.end_lineno is not None
            if node.end_lineno - first + 1 >= LONGEST:
                found.add(f"{where} {name} long")
            static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
            count = len(node.args.posonlyargs) + len(node.args.args) - (is_method and not static)
            if count > POSITIONAL and not is_given_by_others(name):
                found.add(f"{where} {name} positional")
    return found


def is_given_by_others(name: str) -> bool:
    """Whether Python or a library prescribes the arguments: `__exit__`, `forward`, `backward`, `symbolic`."""
    last = name.rsplit(".", 1)[-1]
    return (last.startswith("__") and last != "__init__") or last in ("forward", "backward", "symbolic")


def listed() -> set[str]:
    return set(LISTED.read_text(encoding="utf-8").splitlines())


def test_no_function_is_newly_over_budget() -> None:
    assert sorted(offences(SOURCE) - listed()) == []


@pytest.mark.slow
def test_the_list_shrinks_with_the_code() -> None:
    assert sorted(listed() - offences(SOURCE)) == []


@pytest.mark.parametrize(
    ("text", "offence"),
    [
        ("def f(a, b, c): ...", "f positional"),
        ("def f(a, /, b, c): ...", "f positional"),
        ("class A:\n    def __init__(self, a, b, c): ...", "A.__init__ positional"),
        ("class A:\n    @staticmethod\n    def f(a, b, c): ...", "A.f positional"),
        ("def f():\n    def g(a, b, c): ...", "f.g positional"),
        ("def f():\n" + "    x = 1\n" * (LONGEST - 1), "f long"),
        ("if True:\n    async def f():\n" + "        x = 1\n" * (LONGEST - 1), "f long"),
    ],
)
def test_an_offence_is_found(text: str, offence: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    assert offences(tmp_path) == {f"a.py {offence}"}


@pytest.mark.parametrize(
    "text",
    [
        "def f(a, b, *, c, d): ...",
        "def f(a, b, *more): ...",
        "class A:\n    def f(self, a, b): ...",
        "class A:\n    @classmethod\n    def f(cls, a, b): ...",
        "class A:\n    def __exit__(self, kind, error, trace): ...",
        "class A:\n    def forward(self, a, b, c): ...",
        "def f():\n" + "    x = 1\n" * (LONGEST - 2),
    ],
)
def test_what_is_within_budget(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    assert offences(tmp_path) == set()
