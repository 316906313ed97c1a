"""Now. The system clock, or a rehearsal clock that a file moves (demo and tests); the core is always given now."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from hub.domain.times import instant_ms
from hub.errors import ConfigurationError
from hub.settings import Settings


class Clock:
    """Gives now as UTC milliseconds. With `settings.clock_file`, the instant written there, plus the time since."""

    def __init__(self, settings: Settings) -> None:
        self._file: Path | None = settings.clock_file
        self._seen: tuple[int, str] | None = None  # (mtime ns, text) of the file when last read
        self._offset_ms = 0

    def now_ms(self) -> int:
        """Now, UTC milliseconds. ConfigurationError when the rehearsal file does not hold an instant."""
        system = time.time_ns() // 1_000_000
        if self._file is None:
            return system
        return system + self._rehearsal_offset(system)

    def _rehearsal_offset(self, system_ms: int) -> int:
        if self._file is None or not self._file.exists():
            return 0
        stat = self._file.stat()
        text = self._file.read_text().strip()
        if self._seen != (stat.st_mtime_ns, text):
            try:
                wanted = instant_ms(datetime.fromisoformat(text))
            except ValueError as error:
                raise ConfigurationError(
                    f"rehearsal clock {self._file} does not hold an instant — write one like 2026-01-31T09:00:00+08:00"
                ) from error
            # Counted from when the file was written, so that all processes agree on the rehearsed now.
            self._offset_ms = wanted - stat.st_mtime_ns // 1_000_000
            self._seen = (stat.st_mtime_ns, text)
        return self._offset_ms
