"""What becomes of operations that may pass: how they are carried, what clients are told of the answers, what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.graphql.answers import Answers
from proxyd.graphql.counting import Metrics
from proxyd.graphql.errors import Errors, Masker
from proxyd.graphql.repeating import Repeating
from proxyd.graphql.results import Results
from proxyd.graphql.sharing import Deduplication, Sharing

if TYPE_CHECKING:
    from proxyd.graphql.metrics import Counted
    from proxyd.graphql.retries import Retries
    from proxyd.graphql.steps import Step
    from proxyd.plugin import Kit


class Outcome:
    """The parts of it, for one plugin instance; ``steps`` decide how operations are carried."""

    def __init__(
        self,
        errors: Errors,
        counted: Counted,
        retries: Retries,
        same: Deduplication,
        kit: Kit,
    ) -> None:
        self.metrics = Metrics(counted.names, counted.max_names, kit.operations)
        self.masker = Masker(errors, kit.redactor, kit.clock, kit.operations)
        self.answers = Answers(self.masker, errors.max_size, counts=counted.error_codes)
        self.results = Results(self.masker, kit.operations)
        self.steps: list[Step] = []
        if retries.queries:
            self.steps.append(Repeating(retries.statuses))
        if same.queries:
            self.steps.append(Sharing(same, self.answers, kit.operations))

    def __repr__(self) -> str:
        return f"<Outcome {self.masker!r} steps={len(self.steps)}>"
