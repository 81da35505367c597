"""Generating real MNIST digits: the mixture's experiment carried over to images.

``files`` and ``mnist`` load verified data, ``patches`` turns images into tokens, ``transformer`` is
the denoiser, ``trainer`` trains it, ``sampler`` draws with it, and ``evaluation``, ``coverage``,
``features`` and ``fid`` measure what it generates.
"""
