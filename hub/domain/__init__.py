"""The words of the hub: facts, homes, contributions, findings, alerts, and the code lists they use.

Here live types and small pure functions on them. Nothing here does I/O, reads a clock or knows a rule.
"""
