"""The studies behind the chapters: points that a run records, and the numbers drawn from them.

A study computes points that are plain JSON values (see :class:`gmmtf.results.Recording`), from
simulation and from theory side by side, and its ``summary`` turns recorded points into the numbers
that the book's account of the claims quotes. A chapter runs a study at a small size and draws the
recorded run at paper scale beside it.
"""
