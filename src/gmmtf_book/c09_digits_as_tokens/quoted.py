"""What the prose of chapter 9 quotes, section by section: names as glued, without the prefix."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from gmmtf import AttentionDenoiser, Estimate, bayes_risk, oracle_risk
from gmmtf.images import mnist
from gmmtf.images.features import load_classifier
from gmmtf.laws.level import noise_level
from gmmtf.risks.formulas import start_risk
from gmmtf.risks.linear import linear_risk
from gmmtf_book.c09_digits_as_tokens.moments import linear_head
from gmmtf_book.c09_digits_as_tokens.plan import SCHEDULE, Plan
from gmmtf_book.c09_digits_as_tokens.setting import LADDER, Setting, initial_growth, span_share
from gmmtf_book.c09_digits_as_tokens.summary import Study
from gmmtf_book.c09_digits_as_tokens.tokens import DigitData

Numbers = dict[str, object]

NAMES = {
    "start": "W = 0",
    "head": "trained head",
    "isotropic": "isotropic classes",
    "fitted": "fitted mixture",
}
"""Denoisers that are compared over the schedule."""


def gallery(setting: Setting) -> dict[str, Tensor]:
    """One training image of each digit, the image of its token, and the class means."""
    data = setting.data
    chosen = [int((data.train_labels == u).nonzero()[0, 0]) for u in range(10)]
    images, labels = mnist.load("train")
    originals = [images[(labels == u).nonzero()[0, 0]] for u in data.digits]
    return {
        "images": mnist.to_unit_range(torch.stack(originals)),
        f"their tokens, d = {data.projection.dim}": data.projection.images(
            data.train_tokens[chosen]
        ),
        r"class means $\mu_u$": data.projection.images(setting.moments.means),
    }


def tokens(setting: Setting) -> Numbers:
    """Moments of the tokens."""
    moments, centred = setting.moments, setting.moments.centred_means
    norms = centred.norm(dim=1)
    cosines = (centred @ centred.T / norms / norms[:, None])[~torch.eye(10, dtype=torch.bool)]
    variances = torch.linalg.eigvalsh(moments.covariance)
    return {
        "kept": 100 * setting.data.projection.kept,
        "dim": setting.data.projection.dim,
        "n": setting.n_tokens,
        "sigma": moments.sigma,
        "radius": moments.radius,
        "ratio": moments.radius / moments.sigma,
        "norm-min": float(norms.min()),
        "norm-max": float(norms.max()),
        "cos-min": float(cosines.min()),
        "cos-max": float(cosines.max()),
        "within-min": float(moments.within.min()),
        "within-max": float(moments.within.max()),
        "var-max": float(variances[-1]),
        "var-min": float(variances[0]),
    }


def start_of_any_tokens(setting: Setting) -> float:
    """Loss at W = 0 for any tokens with the covariance of ours, in closed form."""
    moments, n = setting.moments, setting.n_tokens
    level = noise_level(setting.mixture, SCHEDULE, SCHEDULE.times())
    q = level.gain * (1 - level.signal**2).sqrt()
    per_coordinate = float(moments.covariance.trace()) / len(moments.covariance)
    spread = (level.gain * level.signal) ** 2 * per_coordinate
    return float(((1 - q) ** 2 + (1 - (1 - q) ** 2) / n + spread * (1 - 1 / n)).mean())


def start_of_the_mixture(setting: Setting) -> float:
    """Loss at W = 0 of the matched mixture, in closed form."""
    return oracle_risk(setting.mixture, SCHEDULE) + start_risk(setting.mixture, SCHEDULE)


def linear_limit(setting: Setting) -> float:
    """Loss of the best head for infinitely many normal tokens with the digits' covariance."""
    moments = setting.moments
    return linear_head(moments.covariance, moments.sigma, SCHEDULE).risk


def first_step(live: Study, setting: Setting) -> Numbers:
    """The start, and the first step."""
    direction = live.record.value(kind="direction")
    return {
        "start-formula": start_of_any_tokens(setting),
        "cos-general": direction["general"],
        "size-general": direction["general_size"],
        "cos-patterns": direction["patterns"],
        "size-patterns": direction["patterns_size"],
    }


def start_measured(live: Study, place: int = 0) -> float:
    """Measured loss on real test tokens at a record, by default the first."""
    return Estimate.mean(curve["loss"][place] for curve in live.curves("real")).value


def training(live: Study, paper: Study, setting: Setting) -> Numbers:
    """Gains of training on the laws of the ladder."""
    here, there, scale = live.gain_multiples(), paper.gain_multiples(), live.predicted_gain()
    recorded, mine = paper.numbers(), live.numbers()
    found: Numbers = {
        "start-real": start_measured(live),
        "end-real": start_measured(live, -1),
        "gain-predicted": scale,
        "gain-theory": scale * here["theory"].value,
        "gain-real": scale * here["real"].value,
        "linear": linear_limit(setting),
        "eventual": live.predicted_gain(10),
        "real-eventual": mine["gain of real / eventually predicted"],
        "paper-real-eventual": recorded["gain of real / eventually predicted"],
        "wiener": linear_risk(setting.law("train"), SCHEDULE),
        "bayes-matched": bayes_risk(setting.mixture, SCHEDULE).value,
        "cov-real": 100 * mine["gain of covariances / real"],
        "paper-cov-real": 100 * recorded["gain of covariances / real"],
        "paper-dim": paper.plan.dim,
        "paper-n_tokens": paper.plan.n_tokens,
        "paper-kept": 100 * paper.record.value(kind="constants")["kept"],
        "paper-seeds": paper.plan.n_seeds,
        "paper-per-digit": paper.plan.per_digit,
    }
    for name in LADDER:
        found[f"multiple-{name}"] = here[name].value
        found[f"paper-{name}"] = there[name].value
    return found


def attention(
    before: Tensor, after: Tensor, head: AttentionDenoiser, setting: Setting, time: int
) -> Numbers:
    """Attention between digits, and where the weight lies."""
    digits, dim = setting.data.digits, setting.data.projection.dim
    diagonal = after.diagonal() / before.diagonal()
    others = after.masked_fill(torch.eye(10, dtype=torch.bool), -1.0)
    query, key = divmod(int(others.argmax()), 10)
    symmetric = (head.weight + head.weight.T).detach().cpu()
    return {
        "attention-time": time,
        "own-min": float(diagonal.min()),
        "own-max": float(diagonal.max()),
        "own-min-digit": digits[int(diagonal.argmin())],
        "own-max-digit": digits[int(diagonal.argmax())],
        "pair": f"{digits[query]} to {digits[key]}",
        "pair-value": float(others.max()),
        "span-w": 100 * span_share(head.weight, setting.moments),
        "span-random": 100 * (9 / dim) ** 2,
        "negative": int((torch.linalg.eigvalsh(symmetric) < 0).sum()),
    }


def mean_table(live: Study, paper: Study, seed: int) -> pd.DataFrame:
    """Losses averaged over the schedule, and how far above the fitted mixture."""
    point = live.record.value(kind="mean", seed=seed)
    rows = {
        label: {
            "loss": f"{point[name]['loss'].value:.4f}",
            "above the fitted mixture": f"{point[name]['above'].value:.4f} ± "
            f"{point[name]['above'].standard_error:.4f}",
            "recorded run: above": f"{paper.above(name):.4f}",
        }
        for name, label in NAMES.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def least_memory(live: Study) -> float:
    """Largest ratio of the ideal denoiser's loss on training tokens to the best other's."""
    losses = live.losses("train")
    return max(
        own / min(losses[name][place] for name in NAMES)
        for place, own in enumerate(losses["empirical"])
    )


def memorised(live: Study) -> float:
    """Loss of the ideal denoiser over the fitted mixture's, on test tokens at the least noise."""
    losses = live.losses("test")
    return losses["empirical"][0] / losses["fitted"][0]


def levels(live: Study, paper: Study, seed: int) -> Numbers:
    """Comparison over the schedule and by noise level."""
    times, losses = live.plan.level_times, live.losses("test")
    above = {n: v["above"].value for n, v in live.record.value(kind="mean", seed=seed).items()}
    rows = list(zip(times, losses["empirical"], losses["head"], losses["start"], strict=True))
    middle = min(range(len(times)), key=lambda k: abs(times[k] - 400))
    gap = losses["head"][middle] - losses["empirical"][middle]
    found: Numbers = {
        "worse": ", ".join(str(t) for t, _, head, start in rows if head > start) or "none",
        "above-start": above["start"],
        "above-head": above["head"],
        "above-isotropic": above["isotropic"],
        "above-closed": 100 * (1 - above["head"] / above["start"]),
        "class-closed": 100
        * (above["start"] - above["head"])
        / (above["start"] - above["isotropic"]),
        "memorised": f"{memorised(live):,.0f}",
        "crossing": min(t for t, ideal, head, _ in rows if ideal < head),
        "level-low": times[0],
        "middle": times[middle],
        "middle-empirical": losses["empirical"][middle],
        "middle-fitted": losses["fitted"][middle],
        "middle-head": losses["head"][middle],
        "middle-above": gap,
    }
    return found | {f"paper-above-{name}": paper.above(name) for name in NAMES if name != "fitted"}


def rare_shares(live: Study, seed: int) -> dict[str, list[float]]:
    """Shares of the gain of the first rare digit, of the same when common, and of the others."""
    return live.shares(live.plan.rare_digits[0], seed)


def rare(live: Study, paper: Study, setting: Setting) -> Numbers:
    """A rare digit."""
    plan, recorded = live.plan, paper.numbers()
    shown = plan.rare_digits[0]
    times = live.rare_times(shown)
    growth = initial_growth(setting, shown, plan.rare_probability)
    return {
        "rare-probability": plan.rare_probability,
        "rare": shown,
        "rare-half": times["rare"][0],
        "rare-common-half": times["common"][0],
        "rare-others-half": times["others"][0],
        "rare-share": 100 * times["share"][0],
        "paper-delay": recorded["least delay of a rare digit"],
        "paper-delay-others": recorded["least delay behind the other digits"],
        "paper-share-min": 100 * recorded["least final share of a rare digit"],
        "paper-share-max": 100 * recorded["largest final share of a rare digit"],
        "rare-ratio": 0.1 / plan.rare_probability,
        "growth-real": growth["real"],
        "growth-theory": growth["theory"],
    }


def spectra(rows: Mapping[str, Tensor], data: DigitData) -> dict[str, Tensor]:
    """Variances along the principal axes of real and of generated tokens."""
    return {
        "real": data.test_tokens.var(0),
        "fitted": rows["fitted"].var(0),
        "finished": rows["both"].var(0),
    }


def generated(rows: Mapping[str, Tensor], data: DigitData, calls: int, handover: int) -> Numbers:
    """What tokens from four denoisers look like; ``rows`` by ``real``, ``fitted``, ``both``, ..."""
    dim = data.projection.dim
    classifier = load_classifier()

    def recognised_surely(some: Tensor) -> float:
        images = data.projection.images(some).float().clamp(-1, 1)
        with torch.no_grad():
            return 100 * float((classifier(images).softmax(1).amax(1) > 0.9).double().mean())

    nearest = torch.cdist(rows["empirical"], data.train_tokens).amin(1)
    centre = rows["head"].mean(0)
    found: Numbers = {
        "ddim": calls,
        "handover": handover,
        "walk": float(centre.square().mean()),
        "within-head": float((rows["head"] - centre).square().mean()),
        "copy": f"{float(nearest.square().mean()) / dim:.0e}",
    }
    for name in ("real", "fitted", "both"):
        found[f"sure-{name}"] = recognised_surely(rows[name])
    for name, values in spectra(rows, data).items():
        found[f"tail-{name}"] = float(values[dim // 2 :].mean())
        found[f"top-{name}"] = float(values[:5].mean())
    return found


def live_numbers(live: Study, setting: Setting, own: float, plan: Plan) -> dict[str, float]:
    """Return the numbers of this run that are checked; ``own``: least gain of attention."""
    found = live.numbers()
    start = start_of_any_tokens(setting)
    point = live.record.value(kind="mean", seed=plan.seed)
    times = live.rare_times(plan.rare_digits[0])
    moments = setting.moments
    return {f"live {name}": value for name, value in found.items()} | {
        "live start": start_of_the_mixture(setting) / start,
        "live start measured": start_measured(live) / start,
        "live own attention": own,
        "live closed": point["head"]["above"].value / point["start"]["above"].value,
        "live memory": least_memory(live),
        "live memorised": memorised(live),
        "live delay": times["rare"][0] / times["common"][0],
        "live kept": setting.data.projection.kept,
        "live ratio": moments.radius / moments.sigma,
        "live wiener": linear_risk(setting.law("train"), SCHEDULE) / linear_limit(setting),
        "live eventual": live.predicted_gain(10) / live.predicted_gain(),
        "live growth": initial_growth(setting, plan.rare_digits[0], plan.rare_probability)["real"],
    }
