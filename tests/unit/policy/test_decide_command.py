"""`hub decide` as a caseworker runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli.decide import command
from hub.errors import ConfigurationError

CASE = """
- id: one
  rule: {rule}
  as_of: 2026-03-15
  region: '331102'
  parameters: {{dibao_monthly: 1083}}
  household:
    members:
      - {{ref: p1, relation: 本人, birth_date: 1988-03-02, sex: female, income: [] {more}}}
    property: compliant
  expect: {{decision: '{decision}', missing: []}}
"""


def decided(folder: Path, *arguments: str, rule: str = "dibao", decision: str = "yes", more: str = "") -> Result:
    """The command on one case."""
    file = folder / "cases.yaml"
    file.write_text(CASE.format(rule=rule, decision=decision, more=more), encoding="utf-8")
    return CliRunner().invoke(command, ["--cases", str(file), *arguments])


def test_exit_code_follows_the_cases(tmp_path: Path) -> None:
    """0 when all pass, 1 when one fails."""
    assert decided(tmp_path).exit_code == 0
    failed = decided(tmp_path, decision="no")
    assert failed.exit_code == 1
    assert "failed 1" in failed.output


def test_what_is_not_built_is_counted_apart(tmp_path: Path) -> None:
    """A rule of a later release, or a field no schema carries, is neither passed nor failed."""
    assert "not built 1" in decided(tmp_path, rule="temporary_aid").output
    unread = decided(tmp_path, more=", diagnosis: 尿毒症")
    assert unread.exit_code == 0
    assert "cannot express 1" in unread.output


def test_explanations_are_printed_on_request(tmp_path: Path) -> None:
    """In Chinese, with the article."""
    assert "《浙江省社会救助条例》第9条" in decided(tmp_path, "--explain").output.replace("\n", "")
    assert "第9条" not in decided(tmp_path).output


def test_only_one_rule(tmp_path: Path) -> None:
    """--rule picks."""
    assert "0 decisions" in decided(tmp_path, "--rule", "orphan").output


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: 1", "a list of cases is expected"), ("- id: x", "case 1 lacks `rule`"), ("- [", "cannot be read as YAML")],
)
def test_a_file_that_is_no_case_list(tmp_path: Path, text: str, message: str) -> None:
    """Said with file and remedy."""
    file = tmp_path / "cases.yaml"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(command, ["--cases", str(file)])
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)
