# SPDX-License-Identifier: Apache-2.0
"""The key of a call: readable, and the same in every process and version.

By default it is the function's name and its arguments, defaults applied, in the order of the
signature: `app.users.profile(7,"en")`. Arguments may be None, bool, int, float, str, bytes, and
tuples, lists and dicts with str keys of these; each is written in a way of its own, so that 1, "1",
1.0 and True are four keys. Anything else has no text that is the same everywhere: say `key=`. Keys of
over 250 bytes end in a hash.
"""

import hashlib
import inspect
import json
import os
import string
import sys
from typing import Any, Callable, Dict, Iterator, Tuple, Union

from .errors import Key

_LONGEST = 250
_HEAD = 200
_to_json = json.JSONEncoder(ensure_ascii=False).encode

KeyRule = Union[str, Callable[..., Key], None]


def text_of(value: Any) -> str:
    """An argument in a key; TypeError."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return _to_json(value)
    if kind is int:
        return str(value)
    if kind is float:
        return repr(value)
    if kind is bytes:
        return f"x'{value.hex()}'"
    if kind is tuple:
        return "(" + "".join(text_of(each) + "," for each in value) + ")"
    if kind is list:
        return "[" + ",".join(map(text_of, value)) + "]"
    if kind is dict:
        if not all(type(name) is str for name in value):
            raise TypeError("a dict with keys that are no str has no text for a key: say key=")
        return "{" + ",".join(f"{_to_json(n)}:{text_of(value[n])}" for n in sorted(value)) + "}"
    raise TypeError(f"{kind.__name__} has no text that is the same everywhere: say key=")


def shortened(key: str) -> str:
    """A key of at most 250 bytes: longer ones end in a hash of the whole."""
    raw = key.encode()
    if len(raw) <= _LONGEST:
        return key
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return f"{raw[:_HEAD].decode(errors='ignore')}#{digest}"


def name_of(function: Callable[..., Any]) -> str:
    """module.name; of the program that runs, its file's name stands for __main__, as it would be
    called if it were imported."""
    module = function.__module__
    if module == "__main__":
        file = getattr(sys.modules.get("__main__"), "__file__", None)
        if file:
            module = os.path.splitext(os.path.basename(file))[0]
    return f"{module}.{function.__qualname__}"


def takes_self(function: Callable[..., Any]) -> bool:
    """Whether it is written as a method."""
    first = next(iter(inspect.signature(function).parameters), "")
    return first in ("self", "cls")


class CallKeys:
    """The keys of one function's calls."""

    def __init__(self, function: Callable[..., Any], rule: KeyRule) -> None:
        self._signature = inspect.signature(function)
        self._name = name_of(function)
        self._rule = rule
        if rule is None:
            self._refuse_what_hides(function)
        elif isinstance(rule, str):
            self._check_template(rule)
        elif not callable(rule):
            raise TypeError("key is a template, a function, or None")

    @property
    def is_pure(self) -> bool:
        """Whether the key follows from the arguments alone: not if the application makes it."""
        return self._rule is None or isinstance(self._rule, str)

    def _refuse_what_hides(self, function: Callable[..., Any]) -> None:
        if takes_self(function):
            raise TypeError(
                f"{self._name} is a method: what it answers depends on its object too, so say "
                'key="...{self.id}..."'
            )
        if "<" in self._name:
            raise TypeError(
                f"{self._name} may depend on more than its arguments, and has no name of its own: "
                "say key="
            )

    def _check_template(self, template: str) -> None:
        for _, field, _, _ in string.Formatter().parse(template):
            if field is None:
                continue
            name = field.split(".")[0].split("[")[0]
            if name not in self._signature.parameters:
                raise TypeError(f"key={template!r}: {self._name} has no parameter {name!r}")

    def _arguments(self, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Dict[str, Any]:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def of(self, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Key:
        """The key; TypeError for arguments that do not fit the function, or have no text."""
        rule = self._rule
        if rule is None:
            texts = self._texts(self._arguments(args, kwargs))
            return shortened(f"{self._name}({','.join(texts)})")
        if isinstance(rule, str):
            return shortened(rule.format_map(self._arguments(args, kwargs)))
        return rule(*args, **kwargs)

    def _texts(self, arguments: Dict[str, Any]) -> Iterator[str]:
        for name, value in arguments.items():
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                yield from map(text_of, value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                yield from (f"{each}={text_of(value[each])}" for each in sorted(value))
            elif kind is inspect.Parameter.KEYWORD_ONLY:
                yield f"{name}={text_of(value)}"
            else:
                yield text_of(value)
