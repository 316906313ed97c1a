"""What every process needs to be run: clock, structured logs, health and metrics, heartbeat, orderly stop.

Nothing here knows a record, a rule or a topic.
"""
