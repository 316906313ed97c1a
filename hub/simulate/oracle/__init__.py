"""The oracle: what ought to be open, judged from scratch, and a running deployment compared with it.

`judge` and `conflicts` are pure and know the law; `live` reads Kafka. None of it may import `hub.discovery`.
"""

from hub.simulate.oracle.judge import Disagreement, Open, Outcome, outcome
from hub.simulate.oracle.live import Agreement, compare, read_events_from_kafka

__all__ = ["Agreement", "Disagreement", "Open", "Outcome", "compare", "outcome", "read_events_from_kafka"]
