"""`python -m hub.stack`: resolve the Java parts now, so that a first start does not have to download them."""

from __future__ import annotations

import sys

import click

from hub.errors import StackError
from hub.stack.java import resolve

if __name__ == "__main__":
    try:
        resolve(click.echo)
    except StackError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
