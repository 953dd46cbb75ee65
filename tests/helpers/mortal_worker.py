"""The job of relaxlib.deep.workers until rank 1 dies: mortal_worker.py FATE STEPS ARGUMENTS..."""

import os
import sys
import time
from datetime import timedelta

from relaxlib.deep import workers
from relaxlib.deep.optim import ElasticSGD

FATE, LIFE = sys.argv[1], int(sys.argv[2])
step = ElasticSGD.step


def mortal(optimizer, closure=None):
    """A micro-step; rank 1 makes only so many of them."""
    if os.environ["RANK"] == "1" and optimizer.back_propagations == LIFE:
        if FATE == "dies":
            os._exit(17)
        time.sleep(600)
    return step(optimizer, closure)


if __name__ == "__main__":
    ElasticSGD.step = mortal
    if FATE == "hangs":
        workers.PATIENCE = timedelta(seconds=15)
    workers.main(sys.argv[3:])
