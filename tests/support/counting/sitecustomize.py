"""Counts checkpoints from outside: a line with the trial's number for each one that is in place."""

import os
import sys

_LOG = os.environ.get("REGMIX_TEST_LOG", "")


def _see(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("/checkpoint.pt"):
        with open(_LOG, "a") as log:
            log.write(f"{int(str(arguments[1]).split('/')[-2])}\n")


if _LOG:
    sys.addaudithook(_see)
