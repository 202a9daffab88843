"""The fourth step of a load: drafts become typed entities, each finding told at its place in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from proxyd.model.complaints import NOT_SHOWN, RETYPED, complaint
from proxyd.model.element import descend
from proxyd.model.rules import RULES
from proxyd.model.scalars import resolve
from proxyd.model.shorthand import EXPANSIONS, ShorthandError

if TYPE_CHECKING:
    from proxyd.model.element import Step
    from proxyd.model.report import Report
    from proxyd.model.secrets import Secrets
    from proxyd.model.walk import Draft


class Decoder:
    """Validates drafts of one file."""

    def __init__(self, report: Report, secrets: Secrets, version: str) -> None:
        self._report = report
        self._secrets = secrets
        self._version = version

    def expand(self, draft: Draft) -> None:
        """Write out what the file may give in short."""
        expansion = EXPANSIONS.get(draft.collection)
        if expansion is None:
            return
        try:
            for field, message in expansion(draft.fields, self._version):
                place, path, _ = draft.locate((field,), self._report.file)
                self._report.warn(place, path, message)
        except ShorthandError as error:
            place, path, _ = draft.locate((error.field,), self._report.file)
            self._report.error(place, path, error.message, error.hint)
            draft.unresolved.add("host")  # it was to come out of the url

    def validate(self, draft: Draft) -> None:
        """Set the draft's entity, or report why there is none."""
        entity = self.model(draft, (), draft.shape.entity, draft.fields, strict=True)
        if entity is None:
            return
        draft.entity = entity
        rule = RULES.get(draft.collection)
        if rule is not None and draft.unresolved <= draft.shape.references.keys():
            try:
                rule(entity)
            except ValueError as error:
                self._report.error(draft.element.place(self._report.file), draft.path, *map(str, error.args))

    def model(
        self,
        draft: Draft,
        prefix: tuple[Step, ...],
        model: type[Any],
        fields: dict[str, Any],
        *,
        strict: bool,
    ) -> Any:
        """Return an instance of ``model``; None, and reported, if the fields do not make one.

        ``prefix`` leads from the draft to the fields. A text from the environment is given the type that it
        looks like where a text is not what is wanted.
        """
        try:
            return model.model_validate(fields, strict=strict)
        except ValidationError as error:
            findings = error
        for finding in findings.errors(include_url=False):
            element, taken = descend(draft.element, (*prefix, *finding["loc"]))
            if finding["type"] in RETYPED and id(element) in self._secrets.expanded and taken:
                fields = _replaced(fields, finding["loc"])
        try:
            return model.model_validate(fields, strict=strict)
        except ValidationError as error:
            self._complain(draft, prefix, model, error)
        return None

    def _complain(
        self, draft: Draft, prefix: tuple[Step, ...], model: type[BaseModel], error: ValidationError
    ) -> None:
        findings = error.errors(include_url=False)
        wrong = {finding["loc"] for finding in findings}
        for finding in findings:
            location = (*prefix, *finding["loc"])
            if finding["type"] == "missing" and location[0] in draft.unresolved:
                continue  # told already, as a reference or a url that leads nowhere
            if finding["type"] == "too_short" and any(loc[:-1] == finding["loc"] for loc in wrong):
                continue  # only because of items that are told themselves
            place, path, element = draft.locate(location, self._report.file)
            if id(element) in self._secrets.failed:
                continue  # told already, as a variable that is not set
            if finding["type"] == "value_error" and id(element) in self._secrets.expanded:
                self._report.error(place, path, NOT_SHOWN)
                continue
            if finding["type"] == "extra_forbidden":
                holder, _ = descend(draft.element, location[:-1])
                place = holder.key_place(self._report.file, str(location[-1]))
            self._report.error(place, path, *complaint(finding, model))


def _replaced(value: Any, location: tuple[Step, ...]) -> Any:
    """Return a copy of ``value`` in which the text at ``location`` has the type that it looks like."""
    if not location:
        return resolve(value) if isinstance(value, str) else value
    step, rest = location[0], location[1:]
    if isinstance(value, dict) and step in value:
        return {**value, str(step): _replaced(value[step], rest)}
    if isinstance(value, tuple) and isinstance(step, int):
        return (*value[:step], _replaced(value[step], rest), *value[step + 1 :])
    return value
