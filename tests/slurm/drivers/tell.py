"""Says, for each rank, what it got: size, host, arguments, and the variables named in TELL."""

import json
import os
import sys
from pathlib import Path

if os.environ.get("TELL_SERIAL"):
    rank, size = 0, 1
else:
    from mpi4py import MPI

    rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size

told = {
    "rank": rank,
    "size": size,
    "node": os.environ.get("SLURMD_NODENAME"),
    "job": os.environ.get("SLURM_JOB_ID"),
    "arguments": sys.argv[1:],
    "runner": "mpi4py" if "mpi4py.run" in sys.modules else "python",
    "variables": {n: os.environ.get(n) for n in os.environ.get("TELL", "").split(",") if n},
}
name = f"{os.environ.get('SLURM_ARRAY_TASK_ID', '')}told-{rank}-{os.getpid()}.json"
Path(os.environ["TELL_FOLDER"], name).write_text(json.dumps(told))
