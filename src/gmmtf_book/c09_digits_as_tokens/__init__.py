"""Chapter 9: digits as tokens (F1, F2C)."""

from gmmtf_book.c09_digits_as_tokens import figures, quoted
from gmmtf_book.c09_digits_as_tokens.checks import BOUNDS, bounds_of
from gmmtf_book.c09_digits_as_tokens.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c09_digits_as_tokens.runs import run
from gmmtf_book.c09_digits_as_tokens.setting import LADDER
from gmmtf_book.c09_digits_as_tokens.summary import Study, recorded
from gmmtf_book.c09_digits_as_tokens.token_runs import attention_by_class, compare, draw_noisy
