"""Pages and pictures that a browser opens from a file, and what they are made of: they ask the network for nothing."""
