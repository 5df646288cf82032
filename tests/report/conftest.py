"""Makes the runs of `recorded_twins` importable by the tests of this folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "compare"))
