"""Kafka and Faust, and only they: topics, codecs, transport, state, commit, agents.

What a record means is decided in hub.discovery; nothing here knows a rule.
"""
