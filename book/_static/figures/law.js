"use strict";
/* Noise levels of DDPM's linear schedule, and random numbers that are the same at every visit. */
gmmtf.law = (() => {
  const N_STEPS = 1000;

  const alphaBars = [];
  for (let t = 0, product = 1; t < N_STEPS; t++) {
    product *= 1 - (1e-4 + (0.02 - 1e-4) * t / (N_STEPS - 1));
    alphaBars.push(product);
  }

  /* The fraction ᾱ of the signal at index t, the variance τ² of a coordinate given the label,
     and c², the square of the factor that turns a deviation into a noise estimate. */
  function level(t, sigma) {
    const alphaBar = alphaBars[t];
    const variance = alphaBar * sigma ** 2 + 1 - alphaBar;
    return { alphaBar, signal: Math.sqrt(alphaBar), variance,
      gainSquared: (1 - alphaBar) / variance ** 2 };
  }

  /* Uniform numbers on (0, 1): Marsaglia's xorshift on 32 bits. */
  function uniforms(seed) {
    let state = (seed * 2654435761 + 1) >>> 0 || 1;
    const next = () => {
      state ^= state << 13; state >>>= 0;
      state ^= state >>> 17;
      state ^= state << 5; state >>>= 0;
      return (state + 0.5) / 2 ** 32;
    };
    for (let i = 0; i < 20; i++) next();
    return next;
  }

  /* Standard normal numbers by Box and Muller. */
  function normals(seed, count) {
    const uniform = uniforms(seed);
    return Array.from({ length: count }, () =>
      Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  /* Probabilities in proportion to the exponentials of the scores. */
  function softmax(scores) {
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / sum);
  }

  return { N_STEPS, alphaBars, level, normals, softmax, uniforms };
})();
