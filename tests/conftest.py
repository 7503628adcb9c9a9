"""Property tests try the same examples in every run of a shared check, and new ones at a developer's desk.

Without torch, what trains or benches networks is not looked at. The networks of tests are small and get one thread: on
a busy machine several would wait for each other longer than they compute.
"""

import os
from importlib.util import find_spec

from hypothesis import settings

settings.register_profile("shared", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("shared")

os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore_glob = [] if find_spec("torch") else ["test_bench.py", "test_tensors.py", "test_training_*.py"]
