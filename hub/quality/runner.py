"""Running an expectation suite on one frame with Great Expectations. The only module that imports it.

Four outcomes are told apart: *pass*, *fail*, *errored* (the expectation could not be computed, as with a missing
column: a fault of the suite, not of the source) and *no data* (an empty frame, or a column without a value, on which
any map expectation would pass). Values never leave: results name records by id and say the class of what failed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
from msgspec import Struct

from hub.domain.messages import RecordReference
from hub.errors import ConfigurationError
from hub.quality.frames import value_class

# Read at import time by Great Expectations; its telemetry is gone in 1.24, and stays off should it come back.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
from great_expectations.core import ExpectationSuite
from great_expectations.data_context.types.base import ProgressBarsConfig

Outcome = Literal["pass", "fail", "errored", "no_data"]

EXAMPLES: Final = 20
"""Failing records named in a result: as many as Great Expectations' SUMMARY format holds."""

_PRESENCE: Final = "expect_column_values_to_not_be_null"


class Checked(Struct, frozen=True, kw_only=True):
    """What came of one expectation on one frame. `rows` are positions of failing rows, at most EXAMPLES."""

    expectation: str
    field: str | None
    dimension: str
    severity: Literal["info", "warning", "critical"]
    sentence: str
    outcome: Outcome
    checked: int
    failed: int
    rows: tuple[int, ...]
    examples: tuple[RecordReference, ...]


class SuiteRunner:
    """Holds the suites of a folder and runs them on frames, micro-batch after micro-batch."""

    def __init__(self, folder: Path) -> None:
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = self._context.data_sources.add_pandas("hub").add_dataframe_asset("micro-batch")
        self._batch = asset.add_batch_definition_whole_dataframe("whole")
        self._suites = {path.stem: _load(path) for path in sorted(folder.glob("*.json"))}
        if not self._suites:
            raise ConfigurationError(f"no expectation suite in {folder} — set HUB_EXPECTATIONS to the folder of suites")

    @property
    def suites(self) -> tuple[str, ...]:
        """Names of the suites: the topics they are about."""
        return tuple(self._suites)

    def run(self, suite: str, frame: pd.DataFrame) -> tuple[Checked, ...]:
        """Run one suite on a frame, whose index must be 0…n−1. ConfigurationError when there is no such suite."""
        if suite not in self._suites:
            raise ConfigurationError(f"there is no suite for {suite} — add expectations/{suite}.json")
        expectations = self._suites[suite]
        validated = self._batch.get_batch({"dataframe": frame}).validate(expectations, result_format="SUMMARY")
        # An expectation that errors is reported first, so results are put back in the suite's own order.
        by_id = {result.expectation_config.meta["id"]: result for result in validated.results}
        return tuple(
            _checked(expectation.meta, str(expectation.severity.value), by_id[expectation.meta["id"]], frame)
            for expectation in expectations.expectations
        )


def _load(path: Path) -> ExpectationSuite:
    try:
        suite = ExpectationSuite(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path.name} is no expectation suite ({type(error).__name__}) — mend it") from error
    for expectation in suite.expectations:
        lacking = {"id", "dimension", "field", "sentence"} - set(expectation.meta or {})
        if lacking:
            raise ConfigurationError(f"{path.name}: an expectation lacks meta {', '.join(sorted(lacking))} — add it")
    return suite


def _checked(meta: dict[str, Any], severity: str, result: Any, frame: pd.DataFrame) -> Checked:
    outcome, checked, failed, rows = _outcome(result, frame)
    column = _column(result)
    return Checked(
        expectation=meta["id"],
        field=meta["field"],
        dimension=meta["dimension"],
        severity=severity,  # type: ignore[arg-type]  # Great Expectations allows these three only
        sentence=meta["sentence"],
        outcome=outcome,
        checked=checked,
        failed=failed,
        rows=rows,
        examples=tuple(_reference(frame, row, column) for row in rows),
    )


def _outcome(result: Any, frame: pd.DataFrame) -> tuple[Outcome, int, int, tuple[int, ...]]:
    """Outcome, records checked, records failing, positions of some failing rows."""
    if len(frame) == 0:
        return "no_data", 0, 0, ()
    if _raised(result.exception_info):
        return "errored", 0, 0, ()
    kind, summary = result.expectation_config.type, result.result
    if "element_count" not in summary:  # one figure over the whole batch, as the newest record's age
        if summary.get("observed_value") is None:
            return "no_data", 0, 0, ()
        count = len(frame)
        return ("pass", count, 0, ()) if result.success else ("fail", count, count, ())
    missing = 0 if kind == _PRESENCE else summary.get("missing_count", 0)
    checked = summary["element_count"] - missing
    if checked == 0:
        return "no_data", 0, 0, ()
    rows = tuple(int(row) for row in summary["partial_unexpected_index_list"][:EXAMPLES])
    return ("pass" if result.success else "fail"), checked, summary["unexpected_count"], rows


def _raised(info: dict[str, Any]) -> bool:
    """Great Expectations keeps one report, or one for each metric."""
    reports = [info] if "raised_exception" in info else list(info.values())
    return any(report.get("raised_exception") for report in reports if isinstance(report, dict))


def _column(result: Any) -> str | None:
    kwargs = result.expectation_config.kwargs
    column = kwargs.get("column") or kwargs.get("column_A")
    return None if column is None else str(column)


def _reference(frame: pd.DataFrame, row: int, column: str | None) -> RecordReference:
    line = frame.iloc[row]
    return RecordReference(
        record_id=str(line["record_id"]) if "record_id" in frame else str(row),
        version=int(line["version"]) if "version" in frame else 0,
        value_class=value_class(line[column]) if column is not None and column in frame else "several columns",
    )


def failing(results: Sequence[Checked]) -> tuple[Checked, ...]:
    """Those that failed or errored, in the suite's order."""
    return tuple(result for result in results if result.outcome in ("fail", "errored"))
