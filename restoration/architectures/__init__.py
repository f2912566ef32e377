"""One paper a file: the network, then its cards."""
