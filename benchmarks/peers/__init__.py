"""Other task queues on the workload of `benchmarks.drain`, beside ours in the same run."""
