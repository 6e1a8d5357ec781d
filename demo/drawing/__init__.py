"""Pictures drawn from a seed: street scenes and portraits. Pure: the same seed, the same pixels."""
