"""One thread for linear algebra: matrices here are small, and threads that wait for one another cost more."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
