"""`hub`: finds a command by its module, so that `hub worker` never imports Great Expectations."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from hub.errors import HubError, Transient

COMMANDS: Final[dict[str, str]] = {
    "bench": "compare the stream engine with its peers 性能对比",
    "backup": "write a deployment into a folder 备份",
    "connect": "read the departments' systems and publish events 采集",
    "decide": "decide cases written in YAML 判定案例",
    "demo": "run everything on this machine and show what comes of it 演示",
    "dispatch": "deliver alerts to the 码上办 lines 派送",
    "doctor": "check a deployment and say what is wrong 体检",
    "generation": "rebuild worker state beside the active one 状态代",
    "hold": "alerts held back: list, release, drop 暂缓",
    "keys": "make and inspect the vault's keys 密钥",
    "policy": "which policy pack is in force 政策包",
    "quality": "run expectation suites on what arrives 数据质量",
    "quarantine": "bad records: list, show, replay 隔离区",
    "receiver": "reference downstream receiver 参考接收端",
    "release": "release a county's first load from shadow 放行",
    "restore": "bring a backup back into an empty deployment 恢复",
    "schemas": "register and check the event schemas 模式",
    "simulate": "make a population, compare with the oracle 仿真",
    "topics": "create and check the topics 主题",
    "unknowns": "which missing fields block the most decisions 未知项",
    "upgrade": "from one release to the next, and the way back 升级",
    "vault": "audit trail of identity openings 身份库",
    "web": "pages and API 网页",
    "worker": "the stream worker: join, decide, alert 流处理",
}
"""Command → what it is for; each lives in hub/cli/<command>.py under the name `command`."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now, or None."""
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"hub.cli.{cmd_name}").command
        if not isinstance(found, click.Command):
            raise TypeError(f"hub.cli.{cmd_name}.command is no click command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in sorted(COMMANDS)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="civil-affairs-hub")
def hub() -> None:
    """民政数据共享集成枢纽: departmental records in, explained alerts out.

    Every setting is an environment variable HUB_…; `hub doctor --settings` prints those in force. Start with
    `make demo`.
    """


def main() -> None:
    """Entry point: a HubError becomes one clear line and an exit code (75 where trying again may help, else 1)."""
    try:
        hub()
    except HubError as error:
        click.secho(f"hub: {error}", fg="red", err=True)
        sys.exit(75 if isinstance(error, Transient) else 1)  # 75 is EX_TEMPFAIL of sysexits.h


if __name__ == "__main__":
    main()
