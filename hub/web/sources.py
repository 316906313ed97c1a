"""Sources by the name of their department, read from the source mappings."""

from __future__ import annotations

from pathlib import Path

import yaml


def departments(folder: Path) -> dict[str, str]:
    """Source id → department, as `yibao` → 丽水市医疗保障局. A folder that is not here names nobody."""
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*.yaml")):
        mapping = yaml.safe_load(file.read_text(encoding="utf-8"))
        if isinstance(mapping, dict) and "source" in mapping and "department" in mapping:
            found[str(mapping["source"])] = str(mapping["department"])
    return found
