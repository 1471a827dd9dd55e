"""Sends a signal to a command when it first imports a module: a moment that is always the same."""

import os
import signal
import sys

moment = os.environ.get("REGMIX_TEST_MOMENT", "").split()  # module, signal, command


def interrupt(event, arguments):
    if (
        event == "import"
        and moment
        and arguments[0] == moment[0]
        and sys.argv[0].endswith(moment[2])
    ):
        number = getattr(signal, moment[1])
        moment.clear()
        os.kill(os.getpid(), number)


if moment:
    sys.addaudithook(interrupt)
