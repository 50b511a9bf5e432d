"""What holds for every test."""

import os

# Tests run side by side, one process for each core: torch and numpy are not to take all cores in each of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
