"""Networks in torch: the only part of relaxlib that imports it.

========== ==========================================================
``bridge`` a torch model and its data as a `finite_sums.FiniteSum`
========== ==========================================================
"""
