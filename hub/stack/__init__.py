"""Starts the real parts on loopback, for the demo and the tests: Kafka, the schema registry, PostgreSQL.

Here live finding the programs, starting, waiting, stopping and killing them. What a deployment runs is in deploy/,
and nothing here may know events, rules or stores.
"""

from hub.stack.kafka import KafkaBroker
from hub.stack.postgres import PostgresServer
from hub.stack.process import ManagedProcess, free_port
from hub.stack.registry import SchemaRegistry
from hub.stack.stack import LocalStack

__all__ = ["KafkaBroker", "LocalStack", "ManagedProcess", "PostgresServer", "SchemaRegistry", "free_port"]
