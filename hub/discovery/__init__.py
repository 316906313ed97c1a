"""Joining facts into findings: the person fold, the subject fold, episodes of alerts, timers, conflicts.

Here live pure batch steps and the states they fold, with the encoding of those states; nothing here does I/O, reads
a clock or knows Kafka. What the law says is asked of `hub.policy` through one seam, `law.Law`.
"""
