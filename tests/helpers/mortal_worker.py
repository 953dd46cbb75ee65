"""The job of relaxlib.deep.workers until rank 1 dies: mortal_worker.py FATE BATCHES ARGUMENTS..."""

import os
import sys
import time
from datetime import timedelta
from itertools import islice

from relaxlib.deep import workers


def mortal(*arguments, rank, **named):
    """The batches of a worker; for rank 1 they come to an end, and so does it."""
    stream = endless(*arguments, rank=rank, **named)
    yield from islice(stream, int(sys.argv[2])) if rank == 1 else stream
    if sys.argv[1] == "dies":
        os._exit(17)
    time.sleep(100)


if __name__ == "__main__":
    endless, workers.batches = workers.batches, mortal
    if sys.argv[1] == "hangs":
        workers.PATIENCE = timedelta(seconds=15)
    workers.main(sys.argv[3:])
