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

NODES = ("n1", "n2", "n3")
CPUS = 4
GPUS = 2
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
    absent = [name for name in DAEMONS if _program(name) is None]
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

    def ended(self, number: str, timeout: float = 90.0) -> Job:
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
        """End a node the hard way: its slurmd, and every process of a job on it."""
        tree = _descendants(_pid(self._pids[f"slurmd-{name}"]))
        doomed = {*tree, *self._steps_of(name)}
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

    def _steps_of(self, name: str) -> Iterator[int]:
        """Processes that jobs left on a node: slurmstepd is not a child of slurmd."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                variables = (entry / "environ").read_bytes().split(b"\0")
                ours = f"SLURM_CONF={self.folder}/slurm.conf".encode() in variables
                if ours and f"SLURMD_NODENAME={name}".encode() in variables:
                    yield int(entry.name)
                    continue
                words = (entry / "cmdline").read_bytes()
                if b"slurmstepd" in words and _in_spool(entry, self.folder / "spool" / name):
                    yield int(entry.name)

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
    accounting = all(_program(name) for name in ACCOUNTING)
    environment = os.environ | extra_environment | {"SLURM_CONF": str(folder / "slurm.conf")}
    environment["PATH"] += ":/usr/sbin:/sbin"
    for name in [n for n in environment if n.startswith(("SLURM_", "SBATCH_", "PMI", "SIMCKPT_"))]:
        if name not in extra_environment and name != "SLURM_CONF":
            del environment[name]
    up = Cluster(folder, _can_rename(), accounting, environment)
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
    ports = iter(_free_ports(len(NODES) + 3))
    _start_munge(up)
    account = "AccountingStorageType=accounting_storage/none"
    if up.accounting:
        account = _start_accounting(up, next(ports), next(ports))
    host = socket.gethostname().split(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 8 // 10 // 2**20
    controller = next(ports)
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={next(ports)} "
        f"CPUs={CPUS} RealMemory={memory} Gres=gpu:{GPUS} State=UNKNOWN"
        for node in NODES
    )
    (folder / "gres.conf").write_text(
        f"NodeName={','.join(NODES)} Name=gpu File=/dev/tty[1-{GPUS}]\n"
    )
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
    _wait(lambda: not up.command(*_client(data, "mariadb-admin"), "ping", check=False).returncode)
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
            first_job=1,
        ).split("PartitionName", 1)[0]
    )
    up.command("slurmdbd")
    _wait(lambda: _listens(port))
    _wait(lambda: not up.command("sacctmgr", "-n", "show", "cluster", check=False).returncode)
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
    pid = _pid(up._pids[name]) if name in up._pids else 0
    daemon = name.split("-")[0]
    if not pid or not _is(pid, daemon):
        return
    os.kill(pid, signal.SIGTERM)
    with suppress(AssertionError):
        _wait(lambda: not _is(pid, daemon), timeout=10)
        return
    os.kill(pid, signal.SIGKILL)


def _is(pid: int, daemon: str) -> bool:
    """Whether the process is that daemon and alive: a zombie still has its name."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return False
    return name == daemon and rest.split()[0] != "Z"


def _pid(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _descendants(pid: int) -> list[int]:
    found = [pid] if pid else []
    for parent in found:
        with suppress(OSError):
            text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            found += [int(child) for child in text.split()]
    return found


def _in_spool(entry: Path, spool: Path) -> bool:
    places = (entry / "cwd", *(entry / "fd").iterdir())
    return any(place.readlink().is_relative_to(spool) for place in places)


def _client(data: Path, name: str) -> tuple[str, ...]:
    return (name, "--no-defaults", "-S", str(data / "m.sock"), "-u", "root")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


def _can_rename() -> bool:
    """Whether a node may have a host name of its own here."""
    done = subprocess.run(
        ["unshare", "--uts", "--mount", "hostname", "n1"], capture_output=True, check=False
    )
    return done.returncode == 0


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _wait(holds: Callable[[], bool], timeout: float = 30.0) -> None:
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("a daemon did not answer in time")
        time.sleep(0.05)


CONFIGURATION = """\
ClusterName=simckpt
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/munge.sock,cred_expire=5
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/spool/%n
TmpFS={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/task_prolog.sh
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
{account}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
JobRequeue=1
FirstJobId={first_job}
ReturnToService=2
KillWait=5
MinJobAge=600
InactiveLimit=0
SlurmctldTimeout=30
SlurmdTimeout=10
MessageTimeout=5
UnkillableStepTimeout=10
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=120 DefaultTime=5 State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=scavenge Nodes=ALL MaxTime=120 DefaultTime=5 State=UP PriorityTier=1 GraceTime=20
PartitionName=fleeting Nodes=ALL MaxTime=120 DefaultTime=5 State=UP PriorityTier=1 GraceTime=20 PreemptMode=CANCEL
"""  # noqa: E501 - a line of slurm.conf cannot be broken

ACCOUNTING_CONFIGURATION = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.sock
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CommitDelay=0
"""
