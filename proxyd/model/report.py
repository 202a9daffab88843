"""What a load has to say: errors and warnings, collected on the way and put in the order of the file at its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from proxyd.model.element import Element


@dataclass(slots=True)
class Report:
    """Collects problems with one file. Advice that holds in many places is given once, with their number."""

    file: str
    errors: list[Problem] = field(default_factory=list)
    _warnings: list[Problem] = field(default_factory=list)
    _advice: dict[str, tuple[Problem, int]] = field(default_factory=dict)

    def error(self, place: Place, path: str, message: str, hint: str = "") -> None:
        """Add a reason to refuse the file."""
        self.errors.append(Problem(place, path, message, hint))

    def warn(self, place: Place, path: str, message: str, hint: str = "") -> None:
        """Add something that does not stand in the way."""
        self._warnings.append(Problem(place, path, message, hint))

    def advise(self, element: Element, path: str, message: str) -> None:
        """Warn of what may hold in many places: the first is named, the others are counted."""
        known = self._advice.get(message)
        problem = known[0] if known else Problem(element.place(self.file), path, message)
        self._advice[message] = (problem, known[1] + 1 if known else 0)

    def warnings(self) -> list[Problem]:
        """Return all warnings in the order of the file."""
        advice = [
            replace(each, hint=f"and in {more} more places") if more else each
            for each, more in self._advice.values()
        ]
        return _in_order([*self._warnings, *advice])

    def raise_errors(self) -> None:
        """Refuse the file if there is a reason to.

        Raises:
            ConfigError: At least one error was added; it holds all of them.
        """
        if self.errors:
            raise ConfigError(_in_order(self.errors))


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.place.line, problem.place.column))
