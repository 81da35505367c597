"""Generating real MNIST digits: the mixture's experiment carried over to images.

``generate`` draws digits with the shipped weights. ``files`` and ``mnist`` load verified data,
``patches`` turns images into tokens, ``transformer`` is the denoiser, ``trainer`` trains it,
``sampler`` draws with it, and ``evaluation``, ``coverage``, ``features`` and ``fid`` measure what
it generates.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmmtf.images.generation import generate as generate

__all__ = ["generate"]


def __getattr__(name: str) -> Any:
    """Import ``generate`` when it is first asked for; who loads images needs no network."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gmmtf.images.generation import generate

    return generate


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
