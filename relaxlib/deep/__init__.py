"""Networks in torch: the only part of relaxlib that imports it.

=========== =================================================================================
``optim``   optimizers with an inner loop: `EntropySGD`, `HJ`, `Heat`, `GatedEntropySGD`;
            workers on springs: `ElasticSGD`, `Replicas`; settings that shrink: `Scoping`
``bridge``  a torch model and its data as a `relaxlib.sgd.FiniteSum`
``nets``    the networks of the paper with small twins, and the small network of the book
``data``    labeled images: digits, MNIST and CIFAR-10
``minima``  curvature and local entropy of what was found
``train``   runs from the command line, with checkpoints and rows of results
``workers`` the job behind torchrun for `ElasticSGD`
=========== =================================================================================
"""
