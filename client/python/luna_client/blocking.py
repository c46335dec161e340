"""Every call is written once, as a coroutine over a Runtime. Over the blocking one it never
suspends, so running it to its end is a plain function call in the caller's thread."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Asynchronous = TypeVar("Asynchronous")
Asynchronous_co = TypeVar("Asynchronous_co", covariant=True)


class Wraps(Protocol[Asynchronous_co]):
    """An object that stands for an asynchronous one."""

    @property
    def _calls(self) -> Asynchronous_co: ...


def run(call: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never suspends."""
    try:
        call.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    call.close()
    raise RuntimeError("a blocking call waited for an event loop")


def blocking(
    method: Callable[Concatenate[Asynchronous, Parameters], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Wraps[Asynchronous], Parameters], Result]:
    """The blocking form of a coroutine method, with its signature and documentation."""

    @functools.wraps(method)
    def call(
        self: Wraps[Asynchronous], /, *args: Parameters.args, **keywords: Parameters.kwargs
    ) -> Result:
        return run(method(self._calls, *args, **keywords))

    return call
