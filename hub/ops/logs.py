"""Structured logs: one JSON object a line on stderr. Personal data never reaches a log, so some keys are refused."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, cast

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

REFUSED_KEYS: Final = frozenset(
    {"name", "number", "citizen_id", "id_number", "address", "phone", "person", "token", "payload", "row", "value"}
)
"""Keys that could carry personal data. A log line with one of them is a programming error and says so in its place."""


def refuse_personal_data(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what must not be logged by the word `refused`, so that the line is kept and the leak is not."""
    for key in REFUSED_KEYS & event.keys():
        event[key] = "refused"
    return event


def configure(process: str, level: int = logging.INFO) -> None:
    """Set logging up for this process, standard-library loggers included. Call once, first thing in a command."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        refuse_personal_data,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Local variables of a traceback may hold a whole record: they are left out.
                ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.contextvars.bind_contextvars(process=process)


def logger(room: str) -> structlog.stdlib.BoundLogger:
    """A logger for one room, as `logger("streams")`."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(room=room))
