"use strict";
/* Gradient descent from W = 0 in the limit of many tokens and then of a high dimension, where few
   data points hold the first pattern. The other patterns are alike and stay alike, so five query-key
   products are left: of the rare pattern with itself and with a common one, of a common one with the
   rare one, with itself and with another common one. */
gmmtf.training = (() => {
  const { N_STEPS, level } = gmmtf.law;

  /* One row of attention, written to `out`: the query's own pattern has the product `own`, `n` keys
     have `first` and `m` have `second`. Attention to one key of each kind, the squared error in units
     of r², and its slopes in the three products over ᾱ. */
  const out = { own: 0, first: 0, second: 0, error: 0, slopeOwn: 0, slopeFirst: 0, slopeSecond: 0 };
  function row(alphaBar, own, first, n, second, m) {
    const u = Math.exp(alphaBar * (first - own)), v = Math.exp(alphaBar * (second - own));
    const a = 1 / (1 + n * u + m * v), b = u * a, c = v * a;
    const mean = (a - 1) * a + n * b * b + m * c * c;
    out.own = a;
    out.first = b;
    out.second = c;
    out.error = (a - 1) ** 2 + n * b * b + m * c * c;
    out.slopeOwn = 2 * a * (a - 1 - mean);
    out.slopeFirst = 2 * n * b * (b - mean);
    out.slopeSecond = 2 * m * c * (c - mean);
    return out;
  }

  const START = { rareSame: 0, rareCommon: 0, commonRare: 0, commonSame: 0, commonOther: 0 };

  /* The products at every step from 0 on, with the excess risk of all tokens (`all`) and of the rare
     pattern's (`own`). `rarest`: share of the data points that hold the rare pattern; `rate`: step
     size in units of K M d/r⁶; `every`: of the schedule's times every how many are taken. */
  function flow({ rarest, steps, patterns, active, dim, radius, sigma, rate = 1, every = 1 }) {
    const levels = [];
    for (let t = every >> 1; t < N_STEPS; t += every) {
      const { alphaBar, gainSquared } = level(t, sigma);
      levels.push([alphaBar, gainSquared * alphaBar * radius ** 2 / dim]);
    }
    // How likely a token is of the rare pattern, a common one beside it, a common one without it.
    const chances = [rarest / active, rarest * (active - 1) / active, 1 - rarest];
    const others = patterns - 1;
    const entries = { rareSame: 1, rareCommon: others, commonRare: others, commonSame: others,
      commonOther: others * (others - 1) };
    const speed = rate * active * patterns * dim / radius ** 2 / levels.length;
    const found = [];
    let p = { ...START };
    for (let step = 0; step <= steps; step++) {
      let all = 0, own = 0;
      const slope = { ...START };
      for (const [alphaBar, scale] of levels) {
        const up = alphaBar * scale;
        row(alphaBar, p.rareSame, p.rareCommon, active - 1, 0, 0);
        own += scale * out.error;
        all += chances[0] * scale * out.error;
        slope.rareSame += chances[0] * up * out.slopeOwn;
        slope.rareCommon += chances[0] * up * out.slopeFirst;
        for (const beside of [1, 0]) {
          const chance = beside ? chances[1] : chances[2];
          row(alphaBar, p.commonSame, p.commonRare, beside, p.commonOther, active - 1 - beside);
          all += chance * scale * out.error;
          slope.commonSame += chance * up * out.slopeOwn;
          slope.commonRare += chance * up * out.slopeFirst;
          slope.commonOther += chance * up * out.slopeSecond;
        }
      }
      found.push({ step, ...p, all: all / levels.length, own: own / levels.length });
      p = { ...p };
      for (const name of Object.keys(START)) p[name] -= speed * slope[name] / entries[name];
    }
    return found;
  }

  /* Attention of a token of each pattern to all tokens of each pattern, in a data point that holds
     the rare one, which comes first. */
  function attention(t, p, active) {
    const { alphaBar } = level(t, 0);
    return Array.from({ length: active }, (_, u) => {
      const { own, first, second } = u === 0
        ? row(alphaBar, p.rareSame, p.rareCommon, active - 1, 0, 0)
        : row(alphaBar, p.commonSame, p.commonRare, 1, p.commonOther, active - 2);
      return Array.from({ length: active }, (__, v) => {
        if (u === v) return own;
        return u === 0 || v === 0 ? first : second;
      });
    });
  }

  return { attention, flow };
})();
