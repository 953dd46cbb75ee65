"""The compiled engine of paths: 64 of them side by side, in blocks of lanes.

One step of one path is too little work for a processor's vectors, and too little for a call.
A block is (d, 64), so that each line of a step is one loop over neighbors in memory, which LLVM
turns into vectors; a path's random numbers are its own, so no number depends on the others.
"""
