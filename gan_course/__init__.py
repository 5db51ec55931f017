"""A course on generative adversarial networks: the package behind the book."""

__version__ = "0.1.0"
