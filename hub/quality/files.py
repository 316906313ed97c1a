"""A plain file as a frame for a suite: for a department that checks before it sends, with no broker."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from hub.domain.facts import PAYLOADS
from hub.errors import ConfigurationError


def read_frame(suite: str, file: Path, encoding: str) -> pd.DataFrame:
    """Read a CSV or Parquet file whose columns are named as the payload's fields, converted to the fields' types.

    A value that cannot be converted is left as it is, for the suite to find. ConfigurationError for a file that
    cannot be read, or a suite of no topic.
    """
    if suite not in PAYLOADS:
        raise ConfigurationError(f"there is no topic {suite} — choose one of {', '.join(PAYLOADS)}")
    try:
        if file.suffix == ".parquet":
            frame = pd.read_parquet(file).astype(object)
        else:
            frame = pd.read_csv(file, dtype=str, encoding=encoding, keep_default_na=False).astype(object)
    except (UnicodeDecodeError, pd.errors.ParserError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file.name} cannot be read as {encoding} ({type(error).__name__}) — name it: --encoding gb18030"
        ) from error
    types = {field.name: field.type for field in msgspec.structs.fields(PAYLOADS[suite])}
    for column in frame.columns:
        wanted: Any = types.get(str(column), str)
        frame[column] = pd.Series([_typed(value, wanted) for value in frame[column]], dtype=object)
    return frame


def _typed(value: Any, wanted: Any) -> Any:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return value
    text = str(wanted)
    try:
        if "date" in text:
            return date.fromisoformat(value)
        if "int" in text:
            return int(value)
        if "bool" in text:
            return {"true": True, "false": False, "1": True, "0": False}.get(value.lower(), value)
    except ValueError:
        return value
    return value
