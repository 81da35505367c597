"use strict";
/* Figure "noise": tokens shrink and blur, lose the colour of their pattern, and what that costs. */
gmmtf.frame.mount("noise", (frame) => {
  const { set, svg } = gmmtf.frame;
  const { level, normals, softmax } = gmmtf.law;
  const { DIM, SIGMA, SIZES, margin, risks, tabulated, times } = gmmtf.noise;
  const MOST = 8, TOKENS = 240;
  const CENTRE = { x: 170, y: 166 }, REACH = 146; // of the plane of the tokens, in units
  const COLOURS = [[1, 115, 178], [222, 143, 5], [2, 158, 115], [213, 94, 0], [204, 120, 188],
    [150, 100, 60], [212, 190, 20], [86, 180, 233]];
  const GREY = [150, 150, 150];

  // A token's own scatter and the noise in it, along the patterns and one direction beyond them.
  const scatter = normals(1, TOKENS * (MOST + 1)), noise = normals(2, TOKENS * (MOST + 1));

  frame.slider({ key: "t", label: "time t", values: Array.from({ length: 1000 }, (_, t) => t),
    start: 450, text: (t) => `${t}`, plays: true });
  const ratios = Array.from({ length: 61 }, (_, i) => +(4 * 20 ** (i / 60)).toPrecision(3));
  frame.slider({ key: "ratio", label: "length r/σ", values: ratios, start: ratios[38],
    text: (ratio) => ratio.toPrecision(3) });
  frame.slider({ key: "size", label: "patterns M", values: SIZES, start: 5,
    text: (size) => `${size}` });

  const left = frame.column(), right = frame.column();
  const plane = frame.panel(left, 318, "");
  gmmtf.Plot.title(plane, "tokens, coloured by their posterior");
  const rings = svg("g", {}, plane), cloud = svg("g", {}, plane);
  const tokens = Array.from({ length: TOKENS }, () =>
    svg("circle", { class: "gmmtf-token", r: 3.4 }, cloud));

  const NAMES = { linear: "linear filter", bayes: "Bayes", oracle: "oracle" };
  const box = { left: 38, top: 24, right: 322, bottom: 126 };
  const x = { from: 0, to: 1000, ticks: [0, 200, 400, 600, 800, 1000], name: "time t" };
  const plots = [
    { title: "risk", names: ["linear", "bayes", "oracle"], of: (found, name) => found[name] },
    { title: "above the oracle", names: ["linear", "bayes"],
      of: (found, name) => found[name] - found.oracle },
  ].map(({ title, names, of }) => {
    const panel = frame.panel(right, 159, "");
    gmmtf.Plot.title(panel, title, names.map((name) => [name, NAMES[name]]));
    const plot = new gmmtf.Plot(panel, box, x,
      { from: 0, to: 1, ticks: [0, 0.5, 1] });
    return { plot, of, title, ruler: plot.ruler(),
      lines: names.map((name) => [name, plot.line(name), plot.dot(name)]) };
  });

  /* The plane shows the patterns as corners of a regular polygon: an orthogonal projection, scaled
     with nothing, so that noise looks as large as it is. */
  function corner(u, size) {
    const angle = 2 * Math.PI * u / size - Math.PI / 2;
    const unit = size === 2 ? Math.SQRT1_2 : Math.sqrt(2 / size);
    return [unit * Math.cos(angle), unit * Math.sin(angle)];
  }

  frame.tokensAt = (t, ratio, size) => {
    const radius = ratio * SIGMA;
    const { alphaBar, signal, variance } = level(t, SIGMA);
    const blur = Math.sqrt(1 - alphaBar);
    return tokens.map((_, n) => {
      const label = n % size;
      const at = (u) => signal * SIGMA * scatter[n * (MOST + 1) + u] + blur * noise[n * (MOST + 1) + u];
      const along = Array.from({ length: size }, (_, u) => (u === label ? signal * radius : 0) + at(u));
      const posterior = softmax(along.map((a) => signal * radius * a / variance));
      let [across, up] = [0, 0];
      along.forEach((a, u) => {
        const [cx, cy] = corner(u, size);
        across += a * cx;
        up += a * cy;
      });
      // Two patterns lie on a line; the other direction shown then is one beyond the patterns.
      if (size === 2) across = at(MOST);
      return { label, posterior, across, up };
    });
  };

  function drawPlane() {
    const { t, ratio, size } = frame;
    const radius = ratio * SIGMA;
    const { signal, variance } = level(t, SIGMA);
    const scale = REACH / Math.max(Math.hypot(...corner(0, size)) * radius + 1.2, 3.3);
    const place = (across, up) => ({ cx: CENTRE.x + scale * across, cy: CENTRE.y + scale * up });
    rings.replaceChildren();
    for (let u = 0; u < size; u++) {
      const at = (length) => place(...corner(u, size).map((c) => c * length));
      const clean = at(radius);
      svg("line", { class: "gmmtf-spoke", x1: CENTRE.x, y1: CENTRE.y, x2: clean.cx, y2: clean.cy },
        rings);
      svg("circle", { class: "gmmtf-ring", r: scale * Math.sqrt(variance), ...at(signal * radius),
        style: `stroke: rgb(${COLOURS[u]})` }, rings);
      svg("circle", { r: 2.5, ...clean, style: `fill: rgb(${COLOURS[u]})` }, rings);
    }
    let wrong = 0, sure = 0;
    frame.tokensAt(t, ratio, size).forEach(({ label, posterior, across, up }, n) => {
      const top = Math.max(...posterior), guess = posterior.indexOf(top);
      const share = (top - 1 / size) / (1 - 1 / size);
      const colour = GREY.map((grey, i) => Math.round(grey + share * (COLOURS[guess][i] - grey)));
      set(tokens[n], { ...place(across, up), style: `fill: rgb(${colour})`,
        class: guess === label ? "gmmtf-token" : "gmmtf-token wrong" });
      wrong += guess !== label;
      sure += posterior[label] / TOKENS;
    });
    return { wrong, sure };
  }

  function drawCurves() {
    const { t, ratio, size } = frame;
    const radius = ratio * SIGMA;
    const all = times.map((time) => risks(time, radius, size)), now = risks(t, radius, size);
    for (const { plot, of, title, ruler, lines } of plots) {
      if (title !== "risk") {
        const top = (size - 1) / DIM;
        const ticks = [0, 0.5 * top, top].map((tick) => +tick.toFixed(3));
        plot.set(x, { from: 0, to: 1.05 * top, ticks });
      }
      plot.rule(ruler, t);
      for (const [name, line, dot] of lines) {
        plot.trace(line, times, all.map((found) => of(found, name)));
        plot.put(dot, t, of(now, name));
      }
      const said = lines.map(([name]) => `${NAMES[name]} ${of(now, name).toFixed(4)}`).join(", ");
      set(plot.panel, { "aria-label": `${title} against time; at t = ${t}: ${said}` });
    }
    return now;
  }

  frame.draw = () => {
    const { t, ratio, size } = frame;
    const { wrong, sure } = drawPlane();
    const now = drawCurves();
    const kappa = margin(t, ratio * SIGMA);
    set(plane, { "aria-label": `${TOKENS} noisy tokens of ${size} patterns in a plane at t = ${t}; `
      + `for ${wrong} of them the most probable pattern is not the true one` });
    frame.note.textContent = `At t = ${t}: ᾱ = ${level(t, SIGMA).alphaBar.toPrecision(2)}, label `
      + `margin κ = ${kappa.toFixed(2)}. Tokens whose most probable pattern is wrong (outlined): `
      + `${wrong} of ${TOKENS}. Posterior probability of the true pattern: ${sure.toFixed(2)} on `
      + `average here, ${tabulated(kappa, size).toFixed(2)} expected. Risks: oracle `
      + `${now.oracle.toFixed(4)}, Bayes ${now.bayes.toFixed(4)}, linear filter `
      + `${now.linear.toFixed(4)}.`;
  };
});
