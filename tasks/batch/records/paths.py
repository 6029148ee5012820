"""JSONPath as Batch Transform has it: an expression projects a document to another.

The expression is read by python-jsonpath (RFC 9535). It is applied here, because RFC 9535 yields
a list of nodes, and Batch Transform a document: `$['a','b']` is an object of two members.
"""

import re
from collections.abc import Callable
from typing import Any

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import IndexSelector, NameSelector, SliceSelector, WildcardSelector

from ....runtime.exceptions import InvalidRequest
from .exceptions import FilterMismatch

Project = Callable[[Any], Any]

#: Characters that an expression may have (API_DataProcessing).
LONGEST = 63

_environment = JSONPathEnvironment(strict=True)
#: `$.a.['b']`: Batch Transform's own form, without the dot in RFC 9535. Not within quotes.
_DOT_BRACKET = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\.(?=\[)""")


def compile_path(expression: str, *, columns: bool = False) -> Project | None:
    """Return what projects a document, or None for `$`, which keeps it as it is.

    Args:
        expression: `$`, `.name`, `['name', ...]`, `[index, first:last, ...]` and `*`; several
            names or indexes at its end only.
        columns: the documents are rows of CSV: one step, of indexes.

    Raises:
        InvalidRequest: it is no such expression.
    """
    if len(expression) > LONGEST:
        raise InvalidRequest(f"A filter has {LONGEST} characters at most: {expression!r}.")
    path = _parse(expression)
    if not all(isinstance(segment, JSONPathChildSegment) for segment in path.segments):
        raise _refused(expression, "Batch Transform does not look at every depth")
    steps = [_step(segment.selectors, expression) for segment in path.segments]
    if any(several for several, _ in steps[:-1]):
        raise _refused(expression, "only its last step can select several")
    if columns and (len(steps) > 1 or _names(path)):
        raise _refused(expression, "rows of CSV have no names, and no second step")
    return (
        _chain([step for _, step in steps], listed=columns and not steps[-1][0]) if steps else None
    )


def _parse(expression: str) -> JSONPath:
    try:
        path = _environment.compile(_DOT_BRACKET.sub(lambda found: found[1] or "", expression))
    except JSONPathError as error:
        raise _refused(expression, str(error.args[0])) from error
    if not isinstance(path, JSONPath):
        raise _refused(expression, "it is several expressions")
    return path


def _names(path: JSONPath) -> bool:
    return any(isinstance(s, NameSelector) for segment in path.segments for s in segment.selectors)


def _step(selectors: tuple[Any, ...], expression: str) -> tuple[bool, Project]:
    """Return whether a step selects several, and the function that takes it."""
    match selectors:
        case [NameSelector(name=name)]:
            return False, lambda document: _member(document, name)
        case [IndexSelector(index=index)]:
            return False, lambda document: _element(document, index)
        case _ if all(isinstance(selector, NameSelector) for selector in selectors):
            names = [selector.name for selector in selectors]
            return True, lambda document: {name: _member(document, name) for name in names}
        case _ if all(isinstance(selector, _LISTED) for selector in selectors):
            return True, lambda document: _elements(document, selectors)
    raise _refused(expression, "Batch Transform has names, indexes, ranges and * only")


_LISTED = (IndexSelector, SliceSelector, WildcardSelector)


def _chain(steps: list[Project], *, listed: bool) -> Project:
    def project(document: Any) -> Any:
        for step in steps:
            document = step(document)
        return [document] if listed else document

    return project


def _member(document: Any, name: str) -> Any:
    if isinstance(document, dict) and name in document:
        return document[name]
    raise FilterMismatch(f"The filter's member {name!r} is not there.")


def _element(document: Any, index: int) -> Any:
    try:
        if isinstance(document, list):
            return document[index]
    except IndexError:
        pass
    raise FilterMismatch(f"The filter's index {index} is not there.")


def _elements(document: Any, selectors: tuple[Any, ...]) -> list[Any]:
    found: list[Any] = []
    for selector in selectors:
        match selector:
            case IndexSelector(index=index):
                found.append(_element(document, index))
            case SliceSelector(slice=range_) if isinstance(document, list):
                found += document[range_]
            case WildcardSelector() if isinstance(document, list | dict):
                found += document if isinstance(document, list) else document.values()
    if not found:
        raise FilterMismatch("The filter selects nothing.")
    return found


def _refused(expression: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The filter {expression!r} cannot be used: {why}.")
