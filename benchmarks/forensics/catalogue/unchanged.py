"""Pairs with nothing changed, or with changes that cannot matter."""

from __future__ import annotations

from ..case import Program
from .clusters import STARS
from .family import Family
from .flows import EACH_STEP, FLOW
from .gas import GAS
from .noisy import BY_ROW, NOISE
from .plates import EXPLICIT, PLATE, TABLED
from .rods import ROD

ONE_RANK_MEAN = BY_ROW.but(arguments={"hold_mean": False})
COMMENT = (("import numpy as np\n", "import numpy as np  # arrays\n"),)
LONE: Program = FLOW.but(ranks=0, arguments={"n": 64})

same = Family("same:")
same.add("flow, once more", FLOW, take=1)
same.add("flow, 2 ranks", FLOW, ranks=2)
same.add("flow, 3 ranks", FLOW, ranks=3)
same.add("flow, without MPI", LONE, ranks=2)
same.add("flow, exact restart", EACH_STEP, stop={"step": 10})
same.add("flow, more samples", FLOW, arguments={"every": 1})
same.add("flow, another bundle", FLOW, arguments={"bundle": "elsewhere"})
same.add("gas, once more", GAS, take=1)
same.add("stars, another user", STARS, environment={"USER": "ada", "LOGNAME": "ada", "HOME": "/"})
same.add("stars, another host", STARS, host="n17")
same.add("stars, unrelated variables", STARS, environment={"TZ": "Asia/Tokyo", "FOO": "1"})
same.add("stars, another hash seed", STARS, environment={"PYTHONHASHSEED": "7"})
same.add("rod, another folder", ROD, folder="deep/er")
same.add("rod, a comment in the code", ROD, patches=COMMENT)
same.add("rod, a file beside it", ROD, files={"notes.txt": "nothing to do with it"})
same.add("rod, another goal", ROD, goal="the same for another reason")
same.add("plate, another package", PLATE, packages={"platelib": "1.0", "otherlib": "2.0"})
same.add(
    "plate, threads that it does not use", EXPLICIT,
    environment={"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
)  # fmt: skip
same.add("plate, exact restart", PLATE, stop={"step": 8})
same.add(
    "plate, the same file elsewhere", TABLED,
    arguments={"conductivity": "tables/conductivity.txt"},
    files={"tables/conductivity.txt": TABLED.files["conductivity.txt"],
           "start.txt": TABLED.files["start.txt"]},
)  # fmt: skip
same.add("noise, once more", NOISE, take=1)
same.add("noise, fewer ranks and no sum", ONE_RANK_MEAN, ranks=2)
same.add("noise, exact restart", NOISE, stop={"step": 12})
CASES = tuple(same.cases)
