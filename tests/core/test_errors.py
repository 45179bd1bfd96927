"""What errors say, and the exit code that they end a command with."""

from __future__ import annotations

import inspect

import pytest

from impasto.core import errors
from impasto.core.errors import ImpastoError, MissingExtra, OptionError, UnknownName
from impasto.core.extras import optional

ALL = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_error_is_ours_and_has_an_exit_code(cls: type[ImpastoError]) -> None:
    assert issubclass(cls, ImpastoError)
    assert cls.exit_code == (2 if issubclass(cls, OptionError) else 1)
    assert cls.__doc__


def test_unknown_names() -> None:
    assert str(UnknownName.of("layer", "relu9_1", known=["relu4_1", "pool1"])) == (
        "unknown layer 'relu9_1'. Did you mean 'relu4_1'? Known: pool1, relu4_1."
    )
    assert str(UnknownName.of("layer", "zzz", known=[])) == "unknown layer 'zzz'. Known: none."
    assert "5" in str(UnknownName.of("mode", 5, known=["a"]))  # type: ignore[arg-type]


def test_an_installed_extra() -> None:
    assert optional("math", "web", purpose="counting").pi > 3


def test_a_missing_extra_says_how_to_get_it() -> None:
    with pytest.raises(MissingExtra, match=r"counting needs no_such_module: pip install 'impasto\[web\]'"):
        optional("no_such_module", "web", purpose="counting")
