"""Scripts that run in a process, and perhaps an environment, of their own; `pose_estimation` starts them by path."""
