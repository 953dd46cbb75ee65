"""Networks in torch: the only part of relaxlib that imports it.

============== ===============================================================================
``bridge``     a torch model and its data as a `finite_sums.FiniteSum`
``optim``      optimizers with an inner loop: `EntropySGD`, `HJ`, `Heat`
``inner_loop`` what they share: two doors, groups, states
``noise``      the white noise that they add
``gate``       `GatedEntropySGD`, which steps only where it expects a descent
``elastic``    `ElasticSGD`: many workers tied to one center
``schedules``  settings that change along a run: `Scoping`
``nets``       the networks of the paper, with small twins
``data``       digits, MNIST and CIFAR-10
``workers``    the job behind torchrun for `ElasticSGD`
``runs``       what a training run is, and the log of results
``trainer``    a run between two back-propagations
``stack``      networks of several seeds, trained in one sweep
``train``      runs from the command line, with checkpoints and rows of results
``evaluation`` loss, error, and statistics of batch normalization
``minima``     curvature and local entropy of what was found
``digits``     the small real network of the book
============== ===============================================================================
"""
