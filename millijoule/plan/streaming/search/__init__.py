"""Which runs of layers are streamed, in which order they fire, and what that needs."""
