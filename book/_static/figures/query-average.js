"use strict";
/* What one query's attention returns, for two patterns in the plane and the weight W = βI: the limit
   of many tokens, and the first order of the scatter about it. */
gmmtf.query = (() => {
  const { level, normals, softmax, uniforms } = gmmtf.law;

  const RADIUS = 3, SIGMA = 0.3, DIM = 2;
  const DOUBT = 0.08; // variance of the mean weight from which on the first order is not trusted

  const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
  const sum = (a, b) => [a[0] + b[0], a[1] + b[1]];
  const times = (s, a) => [s * a[0], s * a[1]];

  /* Logarithm of the mean over the patterns. */
  function logMean(scores) {
    const top = Math.max(...scores);
    return top + Math.log((Math.exp(scores[0] - top) + Math.exp(scores[1] - top)) / 2);
  }

  function predict(query, strength, t, count) {
    const { signal, variance, gainSquared } = level(t, SIGMA);
    const reach = signal * RADIUS;
    const nu = times(strength / RADIUS ** 2, query);
    const shifts = times(reach, nu), drift = times(variance, nu);
    const spread = variance * dot(nu, nu); // of a token's score, given its label
    const first = softmax(shifts), second = softmax(times(2, shifts));
    const mass = logMean(shifts);
    const rho = Math.exp(spread + logMean(times(2, shifts)) - 2 * mass);
    const own = Math.exp(dot(nu, query) - mass - spread / 2) / (count - 1);
    const keep = 1 / (1 + own);

    const posterior = softmax(times(reach / variance, query));
    const target = times(reach, posterior);
    const limit = sum(times(reach, first), drift);
    const pull = times(1 - keep, sum(limit, times(-1, query)));
    const wrong = sum(times(reach, first), times(-1, target));
    const error = sum(sum(limit, times(-1, pull)), times(-1, target));

    // Moments of another token about the limit, under the square of its weight.
    const mean = sum(times(reach, sum(second, times(-1, first))), drift);
    const about = rho * (dot(mean, mean) + reach ** 2 * (1 - dot(second, second))
      + DIM * variance + 2 * dot(mean, pull)) + (rho - 1) * dot(pull, pull);
    const cross = sum(times(rho, mean), times(rho - 1, pull));
    const scatter = keep ** 2 * about / (count - 1);
    const bias = -2 * keep ** 2 * dot(error, cross) / (count - 1);

    const unit = gainSquared / DIM;
    return {
      reach, target, limit, drift, posterior, rho, scatter, deviation: Math.sqrt(variance),
      mixed: times(reach, first),
      effective: (count - 1) / rho,
      dispersion: (rho - 1) / (count - 1),
      parts: {
        wrong: unit * dot(wrong, wrong),
        tilt: unit * dot(drift, drift),
        variance: unit * scatter,
        together: unit * (dot(error, error) + scatter + bias),
      },
    };
  }

  /* The query's attention to tokens, of which it is the last, and their average. */
  function attend(query, strength, tokens) {
    const nu = times(strength / RADIUS ** 2, query);
    const attention = softmax(tokens.map((token) => dot(nu, token)));
    const average = tokens.reduce((y, token, m) => sum(y, times(attention[m], token)), [0, 0]);
    return { attention, average };
  }

  /* Labels and noise of tokens, from which those of any time follow. */
  function drawn(seed, count) {
    const uniform = uniforms(seed + 0.5);
    return { labels: Array.from({ length: count }, () => (uniform() < 0.5 ? 0 : 1)),
      noise: normals(seed, 2 * count) };
  }

  function tokenAt({ labels, noise }, m, reach, deviation) {
    return [(labels[m] === 0 ? reach : 0) + deviation * noise[2 * m],
      (labels[m] === 1 ? reach : 0) + deviation * noise[2 * m + 1]];
  }

  /* What `predict` gives to first order, as means over data points that are drawn. */
  function simulate(query, strength, t, count, pool) {
    const { reach, deviation, target, limit } = predict(query, strength, t, count);
    const { gainSquared } = level(t, SIGMA);
    const points = Math.floor(pool.labels.length / (count - 1));
    const averages = Array.from({ length: points }, (_, point) => {
      const others = Array.from({ length: count - 1 }, (__, m) =>
        tokenAt(pool, point * (count - 1) + m, reach, deviation));
      return attend(query, strength, [...others, query]).average;
    });
    const mean = times(1 / points, averages.reduce(sum));
    const spread = (centre) => averages.reduce((total, y) => {
      const away = sum(y, times(-1, centre));
      return total + dot(away, away) / points;
    }, 0);
    const unit = gainSquared / DIM;
    return { scatter: spread(limit), variance: unit * spread(mean), together: unit * spread(target) };
  }

  return { DOUBT, RADIUS, SIGMA, attend, drawn, predict, simulate, tokenAt };
})();
