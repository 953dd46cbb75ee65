"""The job of relaxlib.deep.workers until rank 1 dies: mortal_worker.py FATE STEPS ARGUMENTS..."""

import os
import sys
import time
from datetime import timedelta

from relaxlib.deep import workers
from relaxlib.deep.optim import ElasticSGD

step = ElasticSGD.step


def mortal(fate, life):
    """The step of workers of which rank 1 makes only so many."""

    def mortal_step(optimizer, closure=None):
        if os.environ["RANK"] == "1" and optimizer.back_propagations == life:
            if fate == "dies":
                os._exit(17)
            time.sleep(600)
        return step(optimizer, closure)

    return mortal_step


if __name__ == "__main__":
    fate, life, *arguments = sys.argv[1:]
    ElasticSGD.step = mortal(fate, int(life))
    if fate == "hangs":
        workers.PATIENCE = timedelta(seconds=15)
    workers.main(arguments)
