"use strict";
/* The risks of the oracle, of the Bayes estimator and of the best linear filter, for M orthogonal
   patterns of equal norm and probability of which a data point uses all. All are exact. */
gmmtf.noise = (() => {
  const { N_STEPS, level } = gmmtf.law;

  const DIM = 64;
  const SIGMA = 0.3;
  const SIZES = [2, 3, 4, 5, 6, 7, 8];
  const SURE = 6.5; // label margin from which on every label is read
  const STEP = 0.05; // of the label margin, in the table
  const table = []; // by label margin and number of patterns

  /* A(κ), the expected posterior probability of the true label, for each number of patterns. The
     softmax of scores is the law of the largest of them after independent Gumbel numbers are added.
     So A(κ) is the probability that the true pattern's sum 2κ² + a g + Gumbel, with a = √2 κ, exceeds
     M - 1 sums a g + Gumbel: an integral of a density against the power M - 1 of a distribution
     function, both averages over one normal number g. The integrands are analytic and vanish at both
     ends, so that equal steps converge faster than any power of them; and with the same steps for
     both integrals all exponentials depend on a difference of places. */
  function accuracies(kappa, sizes) {
    const a = Math.SQRT2 * kappa, lead = 2 * kappa ** 2;
    const step = Math.min(0.3, 0.4 * a), inner = Math.ceil(8 * a / step);
    const low = Math.floor((-6 - 7 * a) / step), high = Math.ceil((28 + 7 * a) / step);
    const chance = Array.from({ length: 2 * inner + 1 }, (_, i) =>
      step / (a * Math.sqrt(2 * Math.PI)) * Math.exp(-0.5 * ((i - inner) * step / a) ** 2));
    const places = Array.from({ length: high - low + 2 * inner + 1 }, (_, i) =>
      Math.exp((i - inner - high) * step));
    const density = places.map((x) => x * Math.exp(-x));
    const below = places.map((x) => Math.exp(-x * Math.exp(-lead)));
    const total = sizes.map(() => 0);
    for (let j = low; j <= high; j++) {
      let f = 0, h = 0;
      for (let i = 0, k = high - j; i <= 2 * inner; i++, k++) {
        f += chance[i] * density[k];
        h += chance[i] * below[k];
      }
      sizes.forEach((size, s) => { total[s] += step * f * h ** (size - 1); });
    }
    return total;
  }

  function accuracy(kappa, size) {
    if (kappa < 1e-3) return 1 / size;
    return kappa > SURE ? 1 : accuracies(kappa, [size])[0];
  }

  /* The same from a table, by cubic interpolation: fast enough for whole curves. */
  function tabulated(kappa, size) {
    if (kappa >= SURE) return 1;
    if (table.length === 0) {
      table.push(SIZES.map((each) => 1 / each));
      for (let i = 1; i <= SURE / STEP + 2; i++) table.push(accuracies(i * STEP, SIZES));
    }
    const place = kappa / STEP, i = Math.floor(place), u = place - i;
    const p = [-1, 0, 1, 2].map((by) => table[Math.abs(i + by)][SIZES.indexOf(size)]);
    return p[1] + 0.5 * u * (p[2] - p[0] + u * (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]
      + u * (3 * (p[1] - p[2]) + p[3] - p[0])));
  }

  function margin(t, radius, sigma = SIGMA) {
    const { signal, variance } = level(t, sigma);
    return signal * radius / Math.sqrt(2 * variance);
  }

  /* Risks per coordinate at index t. */
  function risks(t, radius, size, known = tabulated) {
    const { alphaBar, variance, gainSquared } = level(t, SIGMA);
    const oracle = alphaBar * SIGMA ** 2 / variance;
    const signal = alphaBar * radius ** 2;
    const kappa = margin(t, radius);
    const along = signal / size;
    return {
      oracle,
      bayes: oracle + gainSquared * signal * (1 - known(kappa, size)) / DIM,
      linear: oracle + gainSquared * (size - 1) * along * variance / (along + variance) / DIM,
    };
  }

  const times = Array.from({ length: 168 }, (_, i) => Math.min(6 * i, N_STEPS - 1));

  return { DIM, SIGMA, SIZES, accuracy, margin, risks, tabulated, times };
})();
