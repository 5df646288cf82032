"""Processes, ports and host names of the machine that the cluster runs on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def is_alive(pid: int, daemon: str) -> bool:
    """Whether the process is that daemon and alive: a zombie still has its name."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return False
    return name == daemon and rest.split()[0] != "Z"


def pid_in(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def sharing_hostname_with(pid: int) -> list[int]:
    """The processes in the UTS namespace of `pid`, its own among them."""
    wanted, found = Path(f"/proc/{pid}/ns/uts").readlink(), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "ns/uts").readlink() == wanted:
                found.append(int(entry.name))
    return found


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


def can_rename() -> bool:
    """Whether a node may have a host name of its own here."""
    done = subprocess.run(
        ["unshare", "--uts", "--mount", "hostname", "n1"], capture_output=True, check=False
    )
    return done.returncode == 0


def program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def wait_for(holds: Callable[[], bool], timeout: float = 30.0) -> None:
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("a daemon did not answer in time")
        time.sleep(0.05)
