"""Expressions of templates: parsed when the configuration is read, into closures that a request calls.

The grammar is what ``docs/transformations.md`` says, and a part of Lua's. Whatever is beyond it is refused here, with
its place, so that no request ever meets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.errors import RenderError
from proxyd.transform import lua
from proxyd.transform.lexer import TemplateError, Token, tokens
from proxyd.transform.methods import METHODS, UNKNOWN, Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.transform.lua import Value
    from proxyd.transform.scope import Scope

    Expression = Callable[[Scope], Value]

MAX_OPERATIONS: Final = 200  # operators, look-ups and calls of one expression; the closures nest as deep
MAX_DEPTH: Final = 40  # parentheses and unary operators within one another

ROOTS: Final = ("headers", "query_params", "shared", "uri_captures")

# operator -> how tightly it binds, to the left and to the right (Lua 5.1, section 2.5.6)
_BINDS: Final = {
    "or": (1, 2),
    "and": (3, 4),
    **dict.fromkeys(("<", ">", "<=", ">=", "~=", "=="), (5, 6)),
    "..": (8, 7),
    **dict.fromkeys("+-", (9, 10)),
    **dict.fromkeys("*/%", (11, 12)),
}
_UNARY: Final = 13
_SEVERAL: Final = "find"  # in Lua it returns two values, where an argument list ends with it
_THERE_IS: Final = "there are headers, query_params, uri_captures, shared and type(); a string is in quotes"


class Parser:
    """Reads one expression out of a text, from behind its ``$(``; ``roots`` are the tables that it looks into."""

    def __init__(self, text: str, start: int) -> None:
        self.roots: set[str] = set()
        self._tokens = tokens(text, start)
        self._token = next(self._tokens)
        self._depth = 0
        self._operations = 0

    def enclosed(self) -> tuple[Expression, int]:
        """Return the expression, and where the text goes on behind the parenthesis that ends it."""
        if self._is(")"):
            raise TemplateError("an expression is missing", self._token.start)
        expression = self._expression(0)
        if not self._is(")"):
            self._unexpected()
        return expression, self._token.end

    # --- tokens ----------------------------------------------------------------------------------------------

    def _is(self, text: str) -> bool:
        return self._token.text == text and self._token.kind != "text"

    def _take(self) -> Token:
        token = self._token
        self._token = next(self._tokens)
        return token

    def _accept(self, text: str) -> bool:
        if not self._is(text):
            return False
        self._take()
        return True

    def _expect(self, text: str, what: str) -> None:
        if not self._accept(text):
            raise TemplateError(f"{text} is missing behind {what}", self._token.start)

    def _unexpected(self) -> None:
        hint = ""
        if self._is("="):
            hint = "nothing can be set; == compares"
        elif self._is("{"):
            hint = "there are no tables"
        raise TemplateError("an operator or ) should stand here", self._token.start, hint)

    def _count(self, token: Token) -> None:
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            raise TemplateError(f"the expression has more than {MAX_OPERATIONS} operations", token.start)

    # --- operators -------------------------------------------------------------------------------------------

    def _expression(self, limit: int) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TemplateError(f"the expression is more than {MAX_DEPTH} levels deep", self._token.start)
        left = self._operand()
        while self._token.kind != "text":
            binds = _BINDS.get(self._token.text)
            if binds is None or binds[0] <= limit:
                break
            token = self._take()
            self._count(token)
            left = _binary(token.text, left, self._expression(binds[1]))
        self._depth -= 1
        return left

    def _operand(self) -> Expression:
        for sign, apply in (("not", _negation), ("#", _length), ("-", _minus)):
            if self._is(sign):
                self._count(self._take())
                return apply(self._expression(_UNARY))
        return self._simple()

    # --- values ----------------------------------------------------------------------------------------------

    def _simple(self) -> Expression:
        if self._token.kind == "sign" and not self._is("("):
            hint = "there are no tables" if self._is("{") else ""
            raise TemplateError("a value is missing", self._token.start, hint)
        token = self._take()
        if token.kind == "text":
            return _constant(token.value)
        if token.kind == "number":
            return _constant(_number(token.text))
        if token.text in _CONSTANTS:
            return _constant(_CONSTANTS[token.text])
        if token.text == "(":
            expression = self._expression(0)
            self._expect(")", "what ( opens")
            return self._suffixes(_single(expression) if isinstance(expression, _called) else expression)
        if token.text == "type":
            return self._suffixes(self._type())
        if token.text in ROOTS:
            return self._suffixes(self._root(token))
        if token.text in _BINDS:
            raise TemplateError("a value is missing", token.start)
        raise TemplateError("there is nothing of this name", token.start, _THERE_IS)

    def _type(self) -> Expression:
        self._expect("(", "type")
        value = self._expression(0)
        self._expect(")", "the argument of type")
        return lambda scope: lua.kind(value(scope)).encode()

    def _root(self, token: Token) -> Expression:
        self.roots.add(token.text)
        if not self._is(".") and not self._is("["):
            hint = f"{token.text}.name or {token.text}['name']"
            raise TemplateError("a field of this table should be named", token.start, hint)
        look_up = _LOOK_UPS[token.text]
        key = self._key()
        if isinstance(key, (bytes, float)):
            return look_up(key)
        return lambda scope: look_up(key(scope))(scope)

    def _key(self) -> bytes | float | Expression:
        """Return what stands in brackets or behind a dot; as it is, where it is always the same."""
        opening = self._take()
        self._count(opening)
        if opening.text == ".":
            token = self._take()
            if token.kind != "name":
                raise TemplateError("a name is missing", token.start, "['x-y'] looks up any name")
            return token.text.encode()
        token = self._token
        key = self._expression(0)
        self._expect("]", "what [ opens")
        return key.value if isinstance(key, _constant) and isinstance(key.value, (bytes, float)) else key

    def _suffixes(self, value: Expression) -> Expression:
        """Take the look-ups and calls that stand behind a value."""
        while True:
            if self._is(".") or self._is("["):
                key = self._key()
                value = _field(value, _constant(key) if isinstance(key, (bytes, float)) else key)
            elif self._is(":"):
                value = self._call(value)
            elif self._is("("):
                raise TemplateError(
                    "this is no function", self._token.start, "only methods of strings and type() are"
                )
            else:
                return value

    def _call(self, subject: Expression) -> Expression:
        self._count(self._take())
        token = self._take()
        method = METHODS.get(token.text)
        if method is None:
            name = f":{token.text}" if token.text in UNKNOWN else "this method"
            raise TemplateError(
                f"{name} is not there", token.start, f"there are {', '.join(sorted(METHODS))}"
            )
        self._expect("(", "a method")
        arguments: list[Expression] = []
        while not self._accept(")"):
            if arguments:
                self._expect(",", "an argument")
            begin = self._token
            arguments.append(self._expression(0))
            if isinstance(arguments[-1], _called) and arguments[-1].name == _SEVERAL and self._is(")"):
                raise TemplateError("find gives two values here", begin.start, "put it in parentheses")
        if not method.least <= len(arguments) <= method.most:
            raise TemplateError("this is not the number of arguments that it takes", token.start)
        return _called(token.text, method, subject, tuple(arguments))


# --- closures ------------------------------------------------------------------------------------------------

_CONSTANTS: Final[dict[str, bool | None]] = {"nil": None, "true": True, "false": False}


class _constant:  # noqa: N801  # stands among functions, and is called like one
    """A value that stands in the expression itself."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __call__(self, scope: Scope) -> Value:  # noqa: ARG002  # it is the same for all
        return self.value


class _called:  # noqa: N801  # the same
    """A call of a string's method."""

    __slots__ = ("_arguments", "_call", "_subject", "name")

    def __init__(
        self, name: str, method: Method, subject: Expression, arguments: tuple[Expression, ...]
    ) -> None:
        self.name = name
        self._call = method.call
        self._subject = subject
        self._arguments = arguments

    def __call__(self, scope: Scope) -> Value:
        subject = self._subject(scope)
        if not isinstance(subject, bytes):
            raise RenderError(f"attempt to index a {lua.kind(subject)} value")
        return self._call(subject, *[argument(scope) for argument in self._arguments])


def _number(text: str) -> float:
    return float(int(text, 16)) if text[:2].lower() == "0x" else float(text)


def _single(value: Expression) -> Expression:
    return lambda scope: value(scope)  # noqa: PLW0108  # parentheses make one value of several


def _field(value: Expression, key: Expression) -> Expression:
    return lambda scope: lua.index(value(scope), key(scope))


def _negation(value: Expression) -> Expression:
    return lambda scope: not lua.is_true(value(scope))


def _length(value: Expression) -> Expression:
    return lambda scope: lua.length(value(scope))


def _minus(value: Expression) -> Expression:
    return lambda scope: lua.negative(value(scope))


def _compared(value: Expression, constant: bytes | None, same: bool) -> Expression:
    """Compare with a text or nil, which nothing else equals: the commonest question."""
    if constant is None:
        return lambda scope: (value(scope) is None) is same
    return lambda scope: (value(scope) == constant) is same


_EAGER: Final = {"..": lua.concatenate, "==": lua.equal, "<": lua.less, "<=": lua.at_most}
_TURNED: Final = {">": lua.less, ">=": lua.at_most}


def _binary(operator: str, left: Expression, right: Expression) -> Expression:  # noqa: PLR0911  # a line each
    if operator == "and":
        return lambda scope: right(scope) if lua.is_true(value := left(scope)) else value
    if operator == "or":
        return lambda scope: value if lua.is_true(value := left(scope)) else right(scope)
    if (
        operator in {"==", "~="}
        and isinstance(right, _constant)
        and not isinstance(right.value, (bool, float))
    ):
        return _compared(left, right.value, operator == "==")
    if operator == "~=":
        return lambda scope: not lua.equal(left(scope), right(scope))
    if operator in _EAGER:
        operate = _EAGER[operator]
        return lambda scope: operate(left(scope), right(scope))
    if operator in _TURNED:
        turned = _TURNED[operator]
        return lambda scope: turned(right(scope), left(scope))
    calculate = lua.ARITHMETIC[operator]
    return lambda scope: lua.calculate(calculate, left(scope), right(scope))


# --- the tables ----------------------------------------------------------------------------------------------


def _header(key: Value) -> Expression:
    if not isinstance(key, bytes):
        return _constant(None)
    exact = key.lower()
    dashed = exact.replace(b"_", b"-")  # as ngx.req.get_headers reads a name that is not there
    return lambda scope: scope.header(exact, dashed)


def _argument(key: Value) -> Expression:
    return (lambda scope: scope.argument(key)) if isinstance(key, bytes) else _constant(None)


def _shared(key: Value) -> Expression:
    return (lambda scope: scope.shared(key)) if isinstance(key, bytes) else _constant(None)


def _capture(key: Value) -> Expression:
    if isinstance(key, float):
        number = int(key) if key.is_integer() else -1
        return lambda scope: scope.capture(number)
    if not isinstance(key, bytes):
        return _constant(None)
    name = key.decode("utf-8", "replace")
    return lambda scope: scope.capture(name)


_LOOK_UPS: Final[dict[str, Callable[[Value], Expression]]] = {
    "headers": _header,
    "query_params": _argument,
    "shared": _shared,
    "uri_captures": _capture,
}
