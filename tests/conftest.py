"""Two tests run at once on two cores: a second thread would only wait for the other test."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # of torch, here and in each process that a test starts
