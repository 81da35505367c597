"""Generating real MNIST digits: the mixture's experiment carried over to images.

``files`` and ``mnist`` load verified data, ``patches`` turns images into tokens, ``transformer`` is
the denoiser, ``experiment`` trains it, ``evaluation`` with ``features`` and ``fid`` measures what
it generates, ``figures`` draws it.
"""
