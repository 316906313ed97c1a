"""A throw-away PostgreSQL on loopback, for tests of the store on the database a deployment uses.

The server refuses to run as root, so root runs it as the account `postgres`. That account must reach its files; so they
lie in a directory of their own under the system's temporary directory, which goes away when the server stops.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from hub.errors import StackError
from hub.stack.process import ManagedProcess, accepts, free_port

DEBIAN = Path("/usr/lib/postgresql")
INSTALL = "install it: apt-get install postgresql"
ACCOUNT = "postgres"
ROLE = "hub"
INITDB_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 60.0


class PostgresServer:
    """An empty database `postgres` on 127.0.0.1:`port` (0: any free port), owned by the role in `url`."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self._password = secrets.token_hex(16)
        self._home: Path | None = None
        self.process: ManagedProcess | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL (psycopg 3), with the password of this run."""
        return f"postgresql+psycopg://{ROLE}:{self._password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Make the data directory and start; returns before the server is ready."""
        account = _account()
        self._home = Path(tempfile.mkdtemp(prefix="hub-postgres-"))
        if account is not None:
            shutil.chown(self._home, user=account)
        data = self._home / "data"
        self._initdb(data, account)
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # the data is thrown away; a test never cuts the power of the machine
        }
        self.process = ManagedProcess(
            "PostgreSQL",
            [_program("postgres"), "-D", data, *(f"--{key}={value}" for key, value in settings.items())],
            self._home / "postgres.log",
            cwd=self._home,
            user=account,
            death_signal=signal.SIGQUIT,  # immediate shutdown, which takes its backends along
            stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients to leave
        )
        self.process.start()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it accepts a connection."""
        if self.process is None:
            raise StackError("PostgreSQL is not running", "start it first")
        self.process.wait_ready(self._answers_query, timeout_s)

    def stop(self) -> None:
        """Stop and remove the data."""
        if self.process is not None:
            self.process.terminate()
        if self._home is not None:
            shutil.rmtree(self._home)
            self._home = None

    def _answers_query(self) -> bool:
        import psycopg  # only here: the demo on SQLite starts no PostgreSQL

        if not accepts(self.port):
            return False
        try:
            psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initdb(self, data: Path, account: str | None) -> None:
        password_file = data.with_name("password")
        password_file.write_text(self._password)
        if account is not None:
            shutil.chown(password_file, user=account)
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [
                _program("initdb"), f"--pgdata={data}", f"--username={ROLE}", f"--pwfile={password_file}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            cwd=data.parent, user=account, group=account, extra_groups=[] if account else None,
            capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False,
        )  # fmt: skip
        password_file.unlink()
        if done.returncode != 0:
            raise StackError(f"initdb failed: {done.stderr.strip()}", "check the space in the temporary directory")


def _program(name: str) -> Path:
    """Path of a server program: the newest Debian package's, else one on the PATH."""
    packaged = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which(name)
    if packaged:
        return packaged[-1]
    if on_path is None:
        raise StackError("PostgreSQL is not installed", INSTALL)
    return Path(on_path)


def _account() -> str | None:
    """The account to run as: None for the caller's own, unless that is root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT).pw_name
    except KeyError as error:
        raise StackError(f"PostgreSQL refuses to run as root, and there is no account {ACCOUNT}", INSTALL) from error
