"""Families of several processes added up, series by series, as ``rules`` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import Metric

from proxyd.telemetry.rules import LASTING_STATES, OF_MASTER, How, Rule, rule_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Plain = list[Any]  # name, documentation, type, samples: a family as a process writes it down
Key = tuple[str, tuple[tuple[str, str], ...]]  # of a series: the name of its samples, and its labels

LIMIT = 10_000  # series of processes that have ended


def plain(metric: Metric) -> Plain:
    """Return a family as it is written down."""
    samples = [[sample.name, list(sample.labels.items()), sample.value] for sample in metric.samples]
    return [metric.name, metric.documentation, metric.type, samples]


def keep_lasting(now: list[Plain], before: Iterable[Plain]) -> None:
    """Add to families the counters and histograms of an earlier moment that are in them no more."""
    there = {family[0]: family for family in now}
    for name, documentation, kind, samples in before:
        if not rule_of(name, kind).lasting:
            continue
        family = there.get(name)
        if family is None:
            now.append([name, documentation, kind, samples])
            continue
        told = {(sample, str(labels)) for sample, labels, _ in family[3]}
        family[3] += [one for one in samples if (one[0], str(one[1])) not in told]


class Family:
    """One family, and the values of its series."""

    __slots__ = ("_counts", "documentation", "kind", "name", "rule", "values")

    def __init__(self, name: str, documentation: str, kind: str) -> None:
        self.name = name
        self.documentation = documentation
        self.kind = kind
        self.rule: Rule = rule_of(name, kind)
        self.values: dict[Key, float] = {}
        self._counts: dict[Key, int] = {}  # values in each mean

    def __repr__(self) -> str:
        return f"<Family {self.name} series={len(self.values)}>"

    def add(self, key: Key, value: float) -> None:
        """Put another process's value to a series."""
        values = self.values
        before = values.get(key)
        how = self.rule.how
        if how is How.MEAN:
            count = self._counts[key] = self._counts.get(key, 0) + 1
            values[key] = value if before is None else before + (value - before) / count
        elif before is None:
            values[key] = value
        elif how is How.SUM:
            values[key] = before + value
        else:
            values[key] = max(before, value) if how is How.MAX else min(before, value)

    def metric(self) -> Metric:
        """Return it as prometheus_client has families."""
        metric = Metric(self.name, self.documentation, self.kind)
        for (name, labels), value in self.values.items():
            metric.add_sample(name, dict(labels), value)
        return metric


class Sums:
    """Every family, in the order in which the first process tells them."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}

    def __repr__(self) -> str:
        return f"<Sums families={len(self.families)} series={len(self)}>"

    def __len__(self) -> int:
        return sum(len(family.values) for family in self.families.values())

    def add(self, families: Iterable[Plain], worker: str, *, ended: bool = False) -> None:
        """Add what a process tells; of one that has ended, what counts on."""
        for name, documentation, kind, samples in families:
            if name in OF_MASTER:
                continue
            family = self._family(name, documentation, kind)
            rule = family.rule
            if ended and not rule.lasting:
                continue
            own = (("worker", worker),) if rule.per_worker else ()
            for sample, labels, value in samples:
                key = (sample, (*((label, text) for label, text in labels), *own))
                if value is not None and not (ended and _passing(kind, key)):
                    family.add(key, value)

    def extend(self, others: Sums) -> None:
        """Add what others have summed."""
        for other in others.families.values():
            family = self._family(other.name, other.documentation, other.kind)
            for key, value in other.values.items():
                family.add(key, value)

    def bump(self, name: str, labels: tuple[tuple[str, str], ...], amount: int) -> None:
        """Add to a series that is there."""
        for family in self.families.values():
            if (name, labels) in family.values:
                family.add((name, labels), amount)

    def limit(self, live: Sums) -> None:
        """Forget, beyond ``LIMIT`` series, what no process that runs tells any more."""
        if len(self) <= LIMIT:
            return
        for family in self.families.values():
            there = live.families.get(family.name)
            family.values = {
                key: value for key, value in family.values.items() if there and key in there.values
            }

    def _family(self, name: str, documentation: str, kind: str) -> Family:
        family = self.families.get(name)
        if family is None:
            family = self.families[name] = Family(name, documentation, kind)
        return family

    def metrics(self) -> Iterator[Metric]:
        """Yield the families."""
        for family in list(self.families.values()):
            yield family.metric()


def _passing(kind: str, key: Key) -> bool:
    """Tell whether a series of a gauge ends with its process, although others of its family count on."""
    state = dict(key[1]).get("state")
    return kind == "gauge" and state is not None and state not in LASTING_STATES
