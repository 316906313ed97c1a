"""Side-by-side benchmarks: the hub's engine and its peers on one workload, one broker, one run; ratios, never times."""
