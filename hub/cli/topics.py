"""`hub topics`: create the topics, and compare them with what was agreed."""

from __future__ import annotations

import click

from hub.settings import settings
from hub.streams.admin import check_topics, create_topics
from hub.streams.topics import topics_of


@click.group(name="topics")
def command() -> None:
    """Kafka topics 主题: create them once, check them at any time.

    \b
    Example:
      HUB_BROKERS=kafka:9092 HUB_PARTITIONS=8 hub topics create
    """


@command.command()
def create() -> None:
    """Create the topics that are missing, then check all of them.

    Partition counts are fixed for ever here (HUB_PARTITIONS), since joins rest on them. Nothing is deleted or altered.
    """
    topics = topics_of(settings().generation)
    made = create_topics(settings(), topics)
    for name in made:
        click.echo(f"made {name}")
    click.echo(f"{len(topics)} topics stand, {len(made)} of them new")


@command.command()
def check() -> None:
    """Fail unless every topic exists with the agreed partitions, retention, compaction and largest message."""
    topics = topics_of(settings().generation)
    check_topics(settings(), topics)
    click.echo(f"{len(topics)} topics are as agreed")
