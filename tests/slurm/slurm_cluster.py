"""A real Slurm on this machine: three nodes of four CPUs, made and ended with the test session.

There is no systemd and no cgroup behind it. Each slurmd is a node of its own, in its own UTS
namespace where that is allowed, so that host names differ. Key, sockets, ports, state and logs
lie in one folder, and the machine's own Slurm, if it has one, is left alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from slurm_configuration import (
    ACCOUNTING_CONFIGURATION,
    CONFIGURATION,
    CPUS,
    GPU_FILES,
    GPUS,
    NODES,
)
from slurm_processes import (
    can_rename,
    free_ports,
    is_alive,
    listens,
    pid_in,
    program,
    sharing_hostname_with,
    wait_for,
)

DAEMONS = ("slurmctld", "slurmd", "munged", "sbatch", "srun")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")
OVER = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
INSTALL = (
    "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge libpmix-dev "
    "slurmdbd mariadb-server"
)


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    absent = [name for name in DAEMONS if program(name) is None]
    if absent:
        return f"no {', '.join(absent)} here: {INSTALL}"
    if os.geteuid() != 0:
        return "a cluster of several nodes on one machine is started by root only"
    return ""


@dataclass(frozen=True)
class Job:
    """What the controller says of a job."""

    facts: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.facts[name]

    @property
    def state(self) -> str:
        return self.facts["JobState"]

    @property
    def restarts(self) -> int:
        return int(self.facts["Restarts"])

    @property
    def status(self) -> int:
        """The batch script's exit status."""
        return int(self.facts["ExitCode"].split(":")[0])


@dataclass
class Cluster:
    """A running cluster; `environment` is what its commands and jobs need."""

    folder: Path
    hosts_differ: bool
    accounting: bool
    gpus: bool
    environment: dict[str, str]
    _pids: dict[str, Path] = field(default_factory=dict)
    _database: subprocess.Popen[bytes] | None = None

    def command(
        self,
        *words: str | Path,
        check: bool = True,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout: float = 30.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's commands on this machine."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=cwd or self.folder,
            env=self.environment | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sbatch(self, *words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
        """Submit a job; its id."""
        said = self.command("sbatch", "--parsable", *words, cwd=cwd, env=env).stdout
        return said.strip().split(";")[0]

    def job(self, number: str) -> Job:
        """What the controller knows of a job, or of a task of an array."""
        line = self.command("scontrol", "show", "job", "--oneliner", number).stdout.splitlines()[0]
        words = (word.partition("=") for word in line.split())
        return Job({name: value for name, equals, value in words if equals})

    def until(
        self, number: str, holds: Callable[[Job], bool], what: str, timeout: float = 60.0
    ) -> Job:
        """The job as soon as `holds` says so; fails with what it printed if that does not come."""
        end = time.monotonic() + timeout
        while True:
            job = self.job(number)
            if holds(job):
                return job
            if time.monotonic() > end:
                raise AssertionError(f"job {number} was not {what} in {timeout:.0f} s: {job.facts}")
            time.sleep(0.1)

    def ended(self, number: str, timeout: float = 150.0) -> Job:
        """The job once it is over for good (not requeued)."""
        return self.until(number, lambda job: job.state in OVER, "over", timeout)

    def running(self, number: str, restarts: int = 0, timeout: float = 60.0) -> Job:
        """The job once it runs for the `restarts`-th time after the first."""
        return self.until(
            number,
            lambda job: job.state == "RUNNING" and job.restarts == restarts,
            f"running after {restarts} restarts",
            timeout,
        )

    def warn(self, number: str) -> None:
        """Send the batch shell what ``--signal=B:USR1`` sends before the time limit."""
        self.command("scancel", "--batch", "--signal=USR1", number)

    def kill_node(self, name: str) -> None:
        """End a node the hard way: all that runs in its namespace, where it has one of its own."""
        assert self.hosts_differ
        doomed = sharing_hostname_with(pid_in(self._pids[f"slurmd-{name}"]))
        # Stopped first: a daemon that sees its job die would report it, which a dead node does not.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in doomed:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def start_node(self, name: str) -> None:
        """Start the slurmd of one node, which takes its name as its host name."""
        self._pids[f"slurmd-{name}"] = pidfile = self.folder / f"slurmd-{name}.pid"
        pidfile.unlink(missing_ok=True)
        start = f"exec slurmd -f {self.folder}/slurm.conf -N {name}"
        words = ["bash", "-c", start]
        if self.hosts_differ:
            rename = f"hostname {name} && mount --bind {self.folder}/hosts /etc/hosts && {start}"
            words = ["unshare", "--uts", "--mount", "bash", "-c", rename]
        self.command(*words)

    def idle(self, timeout: float = 30.0) -> None:
        """Wait until every node is idle."""
        end = time.monotonic() + timeout
        while True:
            said = self.command("sinfo", "-h", "-N", "-o", "%N %t", check=False).stdout
            ready = {line.split()[0] for line in said.splitlines() if line.endswith(" idle")}
            if ready == set(NODES):
                return
            if time.monotonic() > end:
                raise AssertionError(f"the nodes are not idle: {said}\n{self._log()}")
            time.sleep(0.05)

    def clear(self) -> None:
        """Cancel every job, and wait until none is left."""
        numbers = self.command("squeue", "-h", "-o", "%A").stdout.split()
        if numbers:
            self.command("scancel", *sorted(set(numbers)), check=False)
        self.idle()

    def _log(self) -> str:
        return "\n".join(
            f"== {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            for log in sorted((self.folder / "log").glob("*.log"))
        )


@contextmanager
def cluster(extra_environment: dict[str, str]) -> Iterator[Cluster]:
    """Bring a cluster up, and end exactly the daemons that this started."""
    # Not pytest's folder: munged wants every parent of its socket open to all users.
    folder = Path(tempfile.mkdtemp(prefix="simckpt-slurm-", dir="/tmp"))
    folder.chmod(0o755)
    accounting = all(program(name) for name in ACCOUNTING)
    environment = os.environ | extra_environment | {"SLURM_CONF": str(folder / "slurm.conf")}
    environment["PATH"] += ":/usr/sbin:/sbin"
    for name in [n for n in environment if n.startswith(("SLURM_", "SBATCH_", "PMI", "SIMCKPT_"))]:
        if name not in extra_environment and name != "SLURM_CONF":
            del environment[name]
    gpus = all(Path(f"/dev/tty{n}").exists() for n in range(1, GPUS + 1))
    up = Cluster(folder, can_rename(), accounting, gpus, environment)
    try:
        _start(up)
        yield up
    finally:
        _stop(up)
        shutil.rmtree(folder, ignore_errors=True)


def _start(up: Cluster) -> None:
    folder = up.folder
    for name in ("munge", "ctld", "log", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    ports = iter(free_ports(len(NODES) + 3))
    _start_munge(up)
    account = "AccountingStorageType=accounting_storage/none"
    if up.accounting:
        account = _start_accounting(up, next(ports), next(ports))
    host = socket.gethostname().split(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 8 // 10 // 2**20
    controller = next(ports)
    gres = f"Gres=gpu:{GPUS}" if up.gpus else ""
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={next(ports)} "
        f"CPUs={CPUS} RealMemory={memory} {gres} State=UNKNOWN"
        for node in NODES
    )
    if up.gpus:
        (folder / "gres.conf").write_text(f"NodeName={','.join(NODES)} Name=gpu File={GPU_FILES}\n")
    prolog = folder / "task_prolog.sh"
    prolog.write_text(
        f'#!/bin/sh\n[ -r "{folder}/variables-$SLURMD_NODENAME" ] || exit 0\n'
        f'sed "s/^/export /" "{folder}/variables-$SLURMD_NODENAME"\n'
    )
    prolog.chmod(0o755)
    hosts = Path("/etc/hosts").read_text() + "".join(f"127.0.0.1 {node}\n" for node in NODES)
    (folder / "hosts").write_text(hosts)
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            folder=folder,
            host=host,
            controller=controller,
            account=account,
            nodes=nodes,
            memory=memory // CPUS,
            # MPICH names its shared memory after the job: not as in another session's cluster.
            first_job=1 + secrets.randbelow(900_000),
        )
    )
    up._pids["slurmctld"] = folder / "slurmctld.pid"
    up.command("slurmctld", "-f", folder / "slurm.conf")
    for node in NODES:
        up.start_node(node)
    up.idle()


def _start_munge(up: Cluster) -> None:
    munge = up.folder / "munge"
    munge.chmod(0o711)
    key = munge / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    up._pids["munged"] = munge / "munged.pid"
    up.command(
        "munged",
        f"--socket={munge}/munge.sock",
        f"--key-file={key}",
        f"--pid-file={munge}/munged.pid",
        f"--log-file={munge}/munged.log",
        f"--seed-file={munge}/munged.seed",
        "--num-threads=2",
    )


def _start_accounting(up: Cluster, port: int, storage: int) -> str:
    """Start a database and slurmdbd; the lines of slurm.conf that use them."""
    data = up.folder / "mariadb"
    data.mkdir()
    up.command(
        *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}/data"),
        *("--auth-root-authentication-method=normal", "--skip-test-db"),
        timeout=120,
    )
    up._pids["mariadbd"] = data / "m.pid"
    with (data / "m.log").open("w") as log:
        up._database = subprocess.Popen(
            [
                *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}/data"),
                *(f"--socket={data}/m.sock", f"--pid-file={data}/m.pid"),
                *("--bind-address=127.0.0.1", f"--port={storage}"),
                *("--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"),
                "--innodb-lock-wait-timeout=900",
            ],
            env=up.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_for(
        lambda: not up.command(*_client(data, "mariadb-admin"), "ping", check=False).returncode
    )
    up.command(
        *_client(data, "mariadb"),
        "-e",
        "create database slurm_acct_db; create user 'slurm'@'%' identified by 'slurm';"
        "grant all on slurm_acct_db.* to 'slurm'@'%';"
        "create user 'slurm'@'localhost' identified by 'slurm';"
        "grant all on slurm_acct_db.* to 'slurm'@'localhost'",
    )
    conf = up.folder / "slurmdbd.conf"
    conf.write_text(
        ACCOUNTING_CONFIGURATION.format(
            folder=up.folder,
            host=socket.gethostname().split(".")[0],
            port=port,
            storage=storage,
        )
    )
    conf.chmod(0o600)
    up._pids["slurmdbd"] = up.folder / "slurmdbd.pid"
    client = up.folder / "slurm.conf"
    lines = (
        "AccountingStorageType=accounting_storage/slurmdbd\n"
        f"AccountingStorageHost=127.0.0.1\nAccountingStoragePort={port}\n"
        f"AccountingStoragePass={up.folder}/munge/munge.sock"
    )
    client.write_text(
        CONFIGURATION.format(
            folder=up.folder,
            host="localhost",
            controller=port,
            account=lines,
            nodes="",
            memory=1,
            first_job=1,
        ).split("PartitionName", 1)[0]
    )
    up.command("slurmdbd")
    wait_for(lambda: listens(port))
    wait_for(lambda: not up.command("sacctmgr", "-n", "show", "cluster", check=False).returncode)
    up.command("sacctmgr", "-i", "-Q", "add", "cluster", "simckpt")
    return lines


def _stop(up: Cluster) -> None:
    with suppress(Exception):
        up.clear()
    for name in ("slurmd-n1", "slurmd-n2", "slurmd-n3", "slurmctld", "slurmdbd", "mariadbd"):
        _end(up, name)
    _end(up, "munged")
    if up._database is not None:
        up._database.wait(10)


def _end(up: Cluster, name: str) -> None:
    """End a daemon by its pid file, if the process is still what it was."""
    pid = pid_in(up._pids[name]) if name in up._pids else 0
    daemon = name.split("-")[0]
    if not pid or not is_alive(pid, daemon):
        return
    os.kill(pid, signal.SIGTERM)
    with suppress(AssertionError):
        wait_for(lambda: not is_alive(pid, daemon), timeout=10)
        return
    os.kill(pid, signal.SIGKILL)


def _client(data: Path, name: str) -> tuple[str, ...]:
    return (name, "--no-defaults", "-S", str(data / "m.sock"), "-u", "root")
