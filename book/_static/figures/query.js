"use strict";
/* Figure "query": one query token, the tokens that it attends to, and what its average gets wrong. */
gmmtf.frame.mount("query", (frame) => {
  const { set, svg } = gmmtf.frame;
  const { DOUBT, attend, drawn, predict, simulate, tokenAt } = gmmtf.query;
  const UNIT = 42, ORIGIN = { x: 112, y: 228 };
  const RANGE = { across: [-2.4, 5.2], up: [-2.2, 4.8] };
  const MOST = 1000, LARGEST = 45;
  const REDRAWN = 100000; // tokens of the data points that are drawn where the first order fails

  const counts = [10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 700, MOST];
  frame.slider({ key: "strength", label: "strength βr²", start: 4,
    values: Array.from({ length: 65 }, (_, i) => i / 4), text: (strength) => `${strength}` });
  frame.slider({ key: "t", label: "time t", values: Array.from({ length: 200 }, (_, i) => 5 * i),
    start: 200, text: (t) => `${t}` });
  frame.slider({ key: "count", label: "tokens N", values: counts, start: 400,
    text: (count) => `${count}` });
  frame.seed = 1;
  frame.button("draw other tokens", () => { frame.seed += 1; });
  frame.query = [2.6, 0.7];

  const left = frame.column(), right = frame.column();
  const plane = frame.panel(left, 330, "", "group");
  gmmtf.Plot.title(plane, "attention of the query", [["target", "target"],
    ["trained", "average"], ["tilt", "tilt"]]);
  svg("circle", { r: 2.5, cx: ORIGIN.x, cy: ORIGIN.y, class: "gmmtf-origin" }, plane);
  const rings = [0, 1].map(() => svg("circle", { class: "gmmtf-ring plain" }, plane));
  const dots = svg("g", { class: "gmmtf-others" }, plane), discs = svg("g", {}, plane);
  const pool = Array.from({ length: MOST - 1 }, () => ({
    dot: svg("circle", { r: 1.2 }, dots), disc: svg("circle", { class: "gmmtf-disc" }, discs) }));
  const self = svg("circle", { class: "gmmtf-disc own" }, discs);
  const names = [0, 1].map((k) => svg("text", { class: "gmmtf-faint", text: `pattern ${k + 1}` },
    plane));
  const handle = svg("g", { class: "gmmtf-handle", tabindex: "0", role: "slider",
    "aria-label": "query token", "aria-roledescription": "point in the plane",
    "aria-describedby": frame.note.id,
    "aria-valuemin": RANGE.across[0], "aria-valuemax": RANGE.across[1] }, plane);
  svg("circle", { class: "gmmtf-grip", r: 22 }, handle);
  svg("path", { class: "gmmtf-star", d: star(10, 4.5) }, handle);
  const circle = svg("circle", { class: "gmmtf-ring predicted" }, plane);
  const arrows = Object.fromEntries(["target", "tilt", "trained"].map((name) =>
    [name, svg("path", { class: `gmmtf-arrow ${name}` }, plane)]));
  svg("text", { class: "gmmtf-faint", x: 4, y: 324,
    text: "Drag the star, or focus it and use the arrow keys." }, plane);

  const weights = frame.panel(right, 118, "");
  gmmtf.Plot.title(weights, "weight of each pattern", [["trained", "attention"],
    ["target", "posterior"]]);
  const rows = [0, 1].map((k) => {
    const top = 28 + 42 * k;
    svg("text", { x: 4, y: top + 16, text: `pattern ${k + 1}` }, weights);
    return { bar: svg("rect", { class: "gmmtf-bar trained", x: 100, y: top, height: 22 }, weights),
      mark: svg("rect", { class: "gmmtf-bar target", y: top - 5, width: 4, height: 32 }, weights) };
  });
  const bars = frame.panel(right, 200, "");
  gmmtf.Plot.title(bars, "what goes wrong: excess of this query");
  const plot = new gmmtf.Plot(bars, { left: 100, top: 24, right: 322, bottom: 166 },
    { from: 0, to: 1, ticks: [], name: "" }, { from: 0, to: 1, ticks: [] });
  const parts = Object.entries({ wrong: "other patterns", tilt: "tilt", variance: "variance",
    together: "together" }).map(([name, label], i) => {
    svg("text", { x: 4, y: 45 + 35 * i, text: label }, bars);
    return { name, label, bar: svg("rect", { class: `gmmtf-bar ${name}`, x: 100, y: 30 + 35 * i,
      height: 21 }, plot.marks), number: svg("text", { y: 45 + 35 * i }, bars) };
  });

  function star(outer, inner) {
    const tips = Array.from({ length: 10 }, (_, i) => {
      const angle = Math.PI * i / 5 - Math.PI / 2, r = i % 2 ? inner : outer;
      return `${(r * Math.cos(angle)).toFixed(2)},${(r * Math.sin(angle)).toFixed(2)}`;
    });
    return `M${tips.join("L")}Z`;
  }

  const place = ([across, up]) => ({ cx: ORIGIN.x + UNIT * across, cy: ORIGIN.y - UNIT * up });

  /* An arrow between points of the plane, as a line and two strokes of its head. */
  function arrow(from, to) {
    const [a, b] = [place(from), place(to)];
    const angle = Math.atan2(b.cy - a.cy, b.cx - a.cx);
    const size = Math.min(9, Math.hypot(b.cx - a.cx, b.cy - a.cy));
    const at = (p) => `${p.cx.toFixed(2)},${p.cy.toFixed(2)}`;
    const barb = (turn) => at({ cx: b.cx - size * Math.cos(angle + turn),
      cy: b.cy - size * Math.sin(angle + turn) });
    return `M${at(a)}L${at(b)}M${barb(0.5)}L${at(b)}L${barb(-0.5)}`;
  }

  const pools = new Map();
  function pooled(seed, count) {
    if (!pools.has(seed)) pools.set(seed, drawn(seed, count));
    return pools.get(seed);
  }

  /* A round number just above, the end of an axis that shows a value. */
  function roundAbove(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= value);
  }

  function drawPlane(found, tokens, attention, average) {
    rings.forEach((ring, k) => {
      const centre = place(k ? [0, found.reach] : [found.reach, 0]);
      set(ring, { ...centre, r: UNIT * found.deviation });
      const beyond = UNIT * found.deviation;
      set(names[k], { x: centre.cx, y: centre.cy + (k ? -beyond - 5 : beyond + 13),
        "text-anchor": "middle" });
    });
    const radius = (share) => Math.min(3 * Math.sqrt(frame.count * share), LARGEST);
    pool.forEach(({ dot, disc }, m) => {
      const shown = m < tokens.length - 1 ? "inline" : "none";
      set(dot, { display: shown });
      set(disc, { display: shown });
      if (shown === "none") return;
      const at = place(tokens[m]);
      set(dot, at);
      set(disc, { ...at, r: radius(attention[m]) });
    });
    set(self, { ...place(frame.query), r: radius(attention.at(-1)) });
    set(circle, { ...place(found.limit), r: UNIT * Math.min(Math.sqrt(found.scatter), 9) });
    set(arrows.target, { d: arrow([0, 0], found.target) });
    set(arrows.trained, { d: arrow([0, 0], average) });
    set(arrows.tilt, { d: arrow(found.mixed, found.limit) });
    const { cx, cy } = place(frame.query);
    const words = frame.query.map((value, k) => `${value.toFixed(2)} along pattern ${k + 1}`);
    set(handle, { transform: `translate(${cx.toFixed(2)} ${cy.toFixed(2)})`,
      "aria-valuenow": frame.query[0], "aria-valuetext": words.join(", ") });
    set(plane, { "aria-label": `A query token among ${frame.count} tokens in the plane of two `
      + `patterns; its average is at ${average.map((value) => value.toFixed(2)).join(", ")}, the `
      + `target at ${found.target.map((value) => value.toFixed(2)).join(", ")}` });
  }

  function drawBars(found, shares) {
    rows.forEach(({ bar, mark }, k) => {
      set(bar, { width: 222 * shares[k] });
      set(mark, { x: 98 + 222 * found.posterior[k] });
    });
    set(weights, { "aria-label": [0, 1].map((k) => `pattern ${k + 1}: attention `
      + `${shares[k].toFixed(2)}, posterior ${found.posterior[k].toFixed(2)}`).join("; ") });
    const top = roundAbove(Math.max(1e-3, ...Object.values(found.parts)) * 1.15);
    plot.set({ from: 0, to: top, ticks: [0, top / 2, top], name: "c²/d times a squared distance",
      text: (tick) => `${+tick.toPrecision(2)}` }, { from: 0, to: 1, ticks: [] });
    for (const { name, bar, number } of parts) {
      const value = found.parts[name];
      const end = plot.across(value);
      set(bar, { width: end - 100 });
      set(number, { text: value.toPrecision(2), x: end > 270 ? end - 5 : end + 5,
        "text-anchor": end > 270 ? "end" : "start", class: end > 270 ? "gmmtf-inside" : "" });
    }
    const said = parts.map(({ name, label }) => `${label} ${found.parts[name].toPrecision(2)}`);
    set(bars, { "aria-label": `Excess of this query: ${said.join(", ")}` });
  }

  frame.draw = () => {
    const found = predict(frame.query, frame.strength, frame.t, frame.count);
    const doubtful = found.dispersion > DOUBT;
    if (doubtful) {
      const { scatter, ...parts } = simulate(frame.query, frame.strength, frame.t, frame.count,
        pooled(0, REDRAWN));
      Object.assign(found, { scatter });
      Object.assign(found.parts, parts);
    }
    const pool = pooled(frame.seed, MOST);
    const tokens = [...Array.from({ length: frame.count - 1 }, (_, m) =>
      tokenAt(pool, m, found.reach, found.deviation)), frame.query];
    const { attention, average } = attend(frame.query, frame.strength, tokens);
    const shares = [0, 0];
    attention.slice(0, -1).forEach((share, m) => { shares[pool.labels[m]] += share; });
    Object.assign(frame, { found, average, attention });
    drawPlane(found, tokens, attention, average);
    drawBars(found, shares);
    const apart = (y) => Math.hypot(y[0] - found.target[0], y[1] - found.target[1]).toFixed(2);
    frame.note.textContent = `Of ${frame.count} tokens about `
      + `${Math.max(1, Math.round(found.effective))} take part. Attention to itself: `
      + `${(100 * attention.at(-1)).toFixed(1)} %. Average and target are ${apart(average)} apart; `
      + `with endlessly many tokens it would be ${apart(found.limit)}.`
      + (doubtful ? " So few that the first order in 1/N does not hold: variance, together and the "
        + "dashed circle are means over data points that were drawn." : "");
  };

  function move(across, up) {
    const clip = (value, [low, high]) => Math.min(Math.max(value, low), high);
    frame.query = [clip(across, RANGE.across), clip(up, RANGE.up)];
    frame.redraw();
  }

  handle.addEventListener("keydown", (event) => {
    const by = event.shiftKey ? 0.5 : 0.1;
    const way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, by], ArrowDown: [0, -by] };
    if (!way[event.key]) return;
    event.preventDefault();
    move(frame.query[0] + way[event.key][0], frame.query[1] + way[event.key][1]);
  });
  // A finger on the star moves the star, and not the page.
  handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    event.preventDefault();
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(plane.getScreenCTM().inverse());
    move((at.x - ORIGIN.x) / UNIT, (ORIGIN.y - at.y) / UNIT);
  });
});
