"""The fault battery: real workers on the real broker, harmed on purpose, and every invariant asked afterwards.

`python -m tests.faults.battery --help` teaches it; docs/decisions/0008-fault-battery.md says what it proves.
"""
