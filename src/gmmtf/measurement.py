"""What a measurement of denoisers found, to ask for, to print and to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.arguments import checked, shown
from gmmtf.draws import Draws, average, columns, time_weights
from gmmtf.figures import COLOURS, WIDTH, error_bars
from gmmtf.parametrisation import edm_sigmas
from gmmtf.references import REFERENCES
from gmmtf.risks.evaluate import Evaluation
from gmmtf.schedule import NoiseSchedule
from gmmtf.weighting import WEIGHTINGS, Weighting

_LINE = 100  # width of printed tables
_MARKERS = "osD^vP*X"


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """Risks of several denoisers on the same data points, see :func:`gmmtf.measure`.

    Risks are per coordinate, as in :class:`~gmmtf.risks.evaluate.Evaluation`: the excess risk of a
    denoiser that sees the noisy tokens alone is E‖f - ε^B‖²/(Nd), that of the oracle is minus this,
    since its loss is *below* the Bayes risk by so much. Printed, it is two tables; :meth:`frame`
    and :meth:`plot` give all numbers.

    Attributes
    ----------
    names
        The denoisers: those that were measured, and then the references.
    schedule
        The noise schedule.
    levels
        The errors at each measured time, in the order of the times.
    whole
        The errors at stratified times, one in each part of the schedule; None where times were
        chosen.
    law
        The law in words.
    left_out
        References that the law does not have, and why.
    """

    names: tuple[str, ...]
    schedule: NoiseSchedule
    levels: tuple[Draws, ...]
    whole: Draws | None
    law: str
    left_out: dict[str, str]

    @property
    def times(self) -> tuple[int, ...]:
        """The times that were measured one by one, increasing."""
        return tuple(int(draws.t[0]) for draws in self.levels)

    @checked
    def evaluation(
        self, name: str, *, t: int | None = None, weighting: Weighting | Tensor = "uniform"
    ) -> Evaluation:
        """Risks of one denoiser.

        Parameters
        ----------
        name
            One of :attr:`names`.
        t
            One of :attr:`times`; None for the average over the schedule, or over the measured times
            where they were chosen.
        weighting
            Of that average: see :func:`~gmmtf.weighting.loss_weights`, or weights of your own for
            all times of the schedule, ``[T]``.

        Raises
        ------
        ValueError
            If the name, the time or the weighting is unknown.
        """
        index = self._index("name", name)
        return self._evaluation(lambda errors: errors[index], t, weighting)

    @checked
    def difference(
        self,
        first: str,
        second: str,
        *,
        t: int | None = None,
        weighting: Weighting | Tensor = "uniform",
    ) -> Evaluation:
        """Risks of the first denoiser less those of the second, compared on each data point.

        The standard errors are those of the *paired* differences, which are far smaller than those
        of the two risks where the denoisers fail on the same data points. The difference of the
        losses has the same expectation as that of the excess risks, and more noise. Other
        parameters and errors as :meth:`evaluation`.
        """
        one, other = self._index("first", first), self._index("second", second)
        return self._evaluation(lambda errors: errors[one] - errors[other], t, weighting)

    def frame(self) -> pd.DataFrame:
        """All numbers: a row for each denoiser and time, and for each of the averages.

        Columns ``name``; ``t`` and ``sigma``, EDM's noise level, missing in averages;
        ``weighting``, missing in rows of one time; and each number with its standard error, as
        ``loss`` and ``loss_error``.
        """
        sigmas = edm_sigmas(self.schedule)
        rows: list[dict[str, Any]] = []
        for name in self.names:
            for t in self.times:
                place = {"name": name, "t": t, "sigma": float(sigmas[t]), "weighting": None}
                rows.append(place | columns(self.evaluation(name, t=t)))
            for kind in WEIGHTINGS:
                place = {"name": name, "t": None, "sigma": None, "weighting": kind}
                rows.append(place | columns(self.evaluation(name, weighting=kind)))
        return pd.DataFrame(rows).astype({"t": "Int64", "sigma": "float64", "weighting": "object"})

    @checked
    def plot(self, names: Iterable[str] | None = None, *, ax: Axes | None = None) -> Figure:
        """Draw the excess risk against the noise level, with two standard errors, in logarithms.

        The dotted line is the Bayes risk, the loss that nobody can avoid. Neither Bayes nor the
        oracle is drawn: their excess is zero, and below.

        Parameters
        ----------
        names
            Which denoisers; all by default.
        ax
            Where to draw; a new figure by default.

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        chosen = list(self.names if names is None else names)
        for name in chosen:
            self._index("names", name)
        if ax is None:
            _, ax = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
        sigmas = edm_sigmas(self.schedule)[list(self.times)].tolist()
        risks = [self.evaluation("bayes", t=t).loss.value for t in self.times]
        ax.plot(sigmas, risks, ":", color=COLOURS["theory"], label="the Bayes risk itself")
        palette = iter(_own_colours(len(self.names)))
        highest, positive = max(risks), list(risks)
        for k, name in enumerate(name for name in chosen if name not in ("bayes", "oracle")):
            excess = [self.evaluation(name, t=t).excess_risk for t in self.times]
            reference = name in REFERENCES
            colour = COLOURS["linear" if name == "linear" else "start"]
            style = "--" if reference else f"-{_MARKERS[k % len(_MARKERS)]}"
            drawn = colour if reference else next(palette)
            error_bars(ax, sigmas, excess, fmt=style, color=drawn, label=name, capsize=2)
            values = [each.value for each in excess]
            highest = max(highest, *values)
            positive += [value for value in values if value > 0]
        ax.set(
            xscale="log",
            yscale="log",
            xlabel=r"noise level $\sigma=\sqrt{(1-\bar\alpha_t)/\bar\alpha_t}$",
            ylabel="excess risk over Bayes",
            # An exact copy of Bayes has rounding errors alone, which would squeeze all others.
            ylim=(max(min(positive) / 3, 1e-8 * highest), 3 * highest),
        )
        figure = ax.get_figure(root=True)
        assert figure is not None
        ax.legend(frameon=False, fontsize="small")
        return figure

    def __repr__(self) -> str:
        """Show the tables."""
        averages, levels = self._tables()
        lines = [self._title("average"), averages.to_string(), ""]
        lines += [self._title("level"), levels.to_string(line_width=_LINE)]
        lines += [f"left out: {name}, since {why}" for name, why in self.left_out.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = zip((self._title("average"), self._title("level")), self._tables(), strict=True)
        return "".join(f"<p>{title}</p>{table.to_html()}" for title, table in parts)

    def _title(self, of: str) -> str:
        count = len(self.levels[0].t)
        if of == "level":
            return f"Excess risk at each time, {count} data points each"
        over = "the schedule" if self.whole is not None else f"{len(self.times)} times"
        return f"{self.law}\nRisks per coordinate, averaged over {over}; excess is over Bayes"

    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The averages, least excess first, and the excess at every level."""
        order = sorted(self.names, key=lambda n: self.evaluation(n).excess_risk.value)
        averages = {}
        for name in order:
            found = {kind: self.evaluation(name, weighting=kind) for kind in WEIGHTINGS}
            row = {f"excess, {kind}": str(each.excess_risk) for kind, each in found.items()}
            uniform = found["uniform"]
            row |= {"loss": str(uniform.loss), "score error": str(uniform.score_error)}
            averages[name] = row
        sigmas = edm_sigmas(self.schedule)
        index = pd.MultiIndex.from_tuples(
            [(t, f"{float(sigmas[t]):.3g}") for t in self.times], names=["t", "sigma"]
        )
        shown_names = [name for name in order if name != "bayes"]
        levels = {
            name: [str(self.evaluation(name, t=t).excess_risk) for t in self.times]
            for name in shown_names
        }
        return pd.DataFrame(averages).T, pd.DataFrame(levels, index=index)

    def _index(self, argument: str, name: str) -> int:
        if name not in self.names:
            raise ValueError(
                f"{argument}: expected one of {', '.join(self.names)}, got {shown(name)}"
            )
        return self.names.index(name)

    def _evaluation(
        self, pick: Callable[[Tensor], Tensor], t: int | None, weighting: Weighting | Tensor
    ) -> Evaluation:
        """Risks of what ``pick`` makes of the errors ``[denoisers, n]``."""
        if t is not None:
            if t not in self.times:
                raise ValueError(f"t: expected one of the measured times {self.times}, got {t}")
            return self.levels[self.times.index(t)].evaluation(pick, self.schedule)
        weights = time_weights(self.schedule, weighting)
        if self.whole is not None:
            return self.whole.evaluation(pick, self.schedule, weights / weights.mean())
        each = [draws.evaluation(pick, self.schedule) for draws in self.levels]
        return average(each, weights[list(self.times)])


def _own_colours(count: int) -> list[str]:
    """Colours of denoisers that are no references: colour-blind-safe, and others where many."""
    reserved = {COLOURS["linear"], COLOURS["start"]}
    safe = [colour for colour in sns.color_palette("colorblind").as_hex() if colour not in reserved]
    return safe if count <= len(safe) else list(sns.color_palette("husl", count).as_hex())
