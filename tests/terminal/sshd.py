"""A real sshd on a loopback port with keys that live as long as it does: how the dashboard is used from afar."""

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"
_START_WITHIN_S = 10.0


def missing() -> str | None:
    """Return why no sshd can run here, `None` when one can."""
    if _sshd() is None:
        return "sshd is not installed (openssh-server)"
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "ssh is not installed (openssh-client)"
    return None


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{_SBIN}")


class Sshd:
    """One sshd on 127.0.0.1 that lets only this user in, by one throw-away key; it is gone with its folder."""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="marginline-sshd-"))
        self._log = self.folder / "log"
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True, timeout=20
            )
        (self.folder / "authorized").write_text((self.folder / "user.pub").read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (self.folder / "config").write_text(self._config())
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it to drop its rights into
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [_sshd() or "sshd", "-D", "-e", "-f", str(self.folder / "config")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self._until_it_listens()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words: str | Path, environment: Mapping[str, str] | None = None) -> list[str]:
        """Return the ssh command line that runs `words` on a terminal at the other end."""
        assignments = [f"{name}={value}" for name, value in (environment or {}).items()]
        remote = shlex.join(["env", "-u", "TMUX", *assignments, *map(str, words)])
        options = {
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
        }
        return [
            "ssh", "-tt", "-F", "/dev/null", "-i", str(self.folder / "user"), "-p", str(self.port),
            *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
            f"{getpass.getuser()}@127.0.0.1", remote,
        ]  # fmt: skip

    def _config(self) -> str:
        return "\n".join(
            (
                f"Port {self.port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {self.folder / 'host'}",
                f"AuthorizedKeysFile {self.folder / 'authorized'}",
                f"PidFile {self.folder / 'pid'}",
                f"AllowUsers {getpass.getuser()}",
                "AuthenticationMethods publickey",
                "PermitRootLogin prohibit-password",
                "StrictModes no",
                "UsePAM no",
                "PrintMotd no",
                "PrintLastLog no",
                "X11Forwarding no",
                "",
            )
        )

    def _until_it_listens(self) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while True:
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text()
                self.__exit__(None, None, None)
                raise RuntimeError(f"sshd does not run: {said}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except ConnectionRefusedError:
                time.sleep(0.02)
