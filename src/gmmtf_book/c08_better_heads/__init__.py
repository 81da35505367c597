"""Chapter 8: better heads (C3, C6)."""

from gmmtf_book.c08_better_heads import exercises, figures, summary, tilt
from gmmtf_book.c08_better_heads.best_head import KINDS, best_head
from gmmtf_book.c08_better_heads.checks import BOUNDS
from gmmtf_book.c08_better_heads.heads import run
from gmmtf_book.c08_better_heads.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c08_better_heads.summary import Study
