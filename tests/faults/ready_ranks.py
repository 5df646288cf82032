"""Ranks of an MPI program that begin at once: forked from a process that has loaded everything.

Starting Python, NumPy, Numba and the kernels on four ranks takes seconds; a test that kills some
hundreds of jobs cannot wait for that. So ``mpiexec`` starts, in place of each rank, a small
program that hands its environment and its open files (with them the launcher's) to a nursery,
which forks the rank. MPI is first loaded in the fork. The small program lives and dies with its
rank: it ends as the rank ended, and the rank is killed with it.

    ready_ranks.py serve SOCKET
    ready_ranks.py rank SOCKET DRIVER ARGUMENT...
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any


def rank(address: str, arguments: list[str]) -> None:
    """Be one rank: ask for it, and end as it ends."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Above the numbers that the launcher gives its own files.
    server.connect(address)
    files = [int(n) for n in os.listdir("/proc/self/fd")]  # noqa: PTH208 - one module fewer
    files = [n for n in files if n != server.fileno() and _is_open(n)]
    told = json.dumps({"env": dict(os.environ), "arguments": arguments, "files": files})
    socket.send_fds(server, [f"{len(told):8}".encode()], files)
    server.sendall(told.encode())
    status = int(server.makefile().readline() or -signal.SIGKILL)
    if status < 0:
        if -status != signal.SIGKILL:  # which has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def serve(address: str) -> None:
    """Load everything, and fork ranks until this process is ended."""
    import select

    load()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    ranks: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener, *ranks.values()], [], [], 0.01)
        if listener in ready:
            connection, _ = listener.accept()
            with contextlib.suppress(ValueError, OSError):
                # Who was killed while it asked gets no rank.
                child = _forked(connection, [listener, *ranks.values()])
                ranks[child] = connection
        for child, connection in list(ranks.items()):
            if connection in ready:
                # The small program is gone, and its rank with it.
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                _tell(ranks.pop(child), os.waitstatus_to_exitcode(status))


def _tell(connection: socket.socket, status: int) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(f"{status}\n".encode())
    connection.close()


def _forked(connection: socket.socket, others: list[socket.socket]) -> int:
    head, handles, _, _ = socket.recv_fds(connection, 8, 64)
    try:
        told = json.loads(_read(connection, int(head)))
        child = os.fork()
        if not child:
            try:
                for other in (*others, connection):
                    other.close()
                _be(told, handles)
            finally:
                os._exit(1)
    finally:
        for handle in handles:
            os.close(handle)
    return child


def _be(told: dict[str, Any], handles: list[int]) -> None:
    """Be the rank that was asked for, from here on."""
    # First out of the way of each other, then to their own numbers.
    high = [_moved(handle, 200) for handle in handles]
    for handle, number in zip(high, told["files"], strict=True):
        os.dup2(handle, number, inheritable=True)
        os.close(handle)
    os.environ.clear()
    os.environ.update(told["env"])
    status = 0
    try:
        _program(told["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    _end(status)


def _end(status: int) -> None:
    """Leave as a program does that began by itself; the nursery's own end is not run."""
    import atexit
    import ctypes

    atexit._run_exitfuncs()
    if mpi := sys.modules.get("mpi4py.MPI"):
        mpi.Finalize()
    sys.stdout.flush()
    sys.stderr.flush()
    # MPI says good-bye to its launcher in a handler of the C library.
    ctypes.CDLL(None).exit(status)


def _moved(handle: int, least: int) -> int:
    import fcntl

    moved = fcntl.fcntl(handle, fcntl.F_DUPFD, least)
    os.close(handle)
    return moved


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ValueError("it is gone")
        data += piece
    return data


def _program(arguments: list[str]) -> None:
    from mpi4py.run import main

    sys.argv = ["mpi4py", *arguments]
    main()


def load() -> None:
    """What a rank loads, but for MPI, which begins with its first import."""
    import gc
    import importlib
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", _EVERYTHING], capture_output=True, text=True, check=True
    )
    for name in json.loads(done.stdout):
        importlib.import_module(name)
    from simckpt.diagnostics.local_sweep import warm_kernels

    warm_kernels()
    gc.freeze()


_EVERYTHING = """
import json, sys, tempfile, warnings
import numpy as np, mpi4py.run, simckpt, h5py
warnings.simplefilter("ignore")
u = np.arange(64.0)
with tempfile.TemporaryDirectory() as folder, simckpt.run(bundle=folder + "/x") as run:
    for step in range(2):
        run.sample(grid=simckpt.Grid((64,)), fields={"u": u}, conserved={"total": "u"}, step=step)
    run.checkpoint("x")
wanted = ("simckpt", "numpy", "numba", "h5py", "msgspec", "blake3", "dulwich", "mpi4py.run")
loaded = [name for name, module in list(sys.modules.items()) if module and "mpi4py.MPI" not in name]
print(json.dumps([name for name in loaded if name.startswith(wanted)]))
"""

if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        rank(sys.argv[2], sys.argv[3:])
