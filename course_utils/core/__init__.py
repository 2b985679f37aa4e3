"""The ground: files, cache, weights, precision, threads, memory, timing."""
