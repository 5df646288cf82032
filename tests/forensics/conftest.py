"""Makes `benchmarks` importable, as it is where its command is started."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
