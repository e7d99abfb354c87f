import os

# Before torch is imported, as its OpenMP reads this once. A thread that waits for the others gives
# its core away after some microseconds instead of milliseconds: where another process keeps one
# core busy, an LSTM, which waits at every time step, runs ten times as fast; alone, as fast as
# ever.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
