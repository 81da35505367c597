"use strict";
/* Figure "training": steps of the descent and how rare a pattern is, beside the recorded runs. */
gmmtf.frame.mount("training", (frame) => {
  const { set, svg } = gmmtf.frame;
  const { attention, flow, recorded } = gmmtf.training;
  const LAST = 400, EVERY = 4;
  const RAREST = [0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05, 0.08, 0.125, 0.2, 0.3, 0.5];
  const { active } = recorded;

  const upTo = (from, to, by) => Array.from({ length: (to - from) / by }, (_, i) => from + by * (i + 1));
  const steps = [0, ...upTo(0, 20, 1), ...upTo(20, 40, 2), ...upTo(40, 100, 4), ...upTo(100, LAST, 10)];
  frame.slider({ key: "step", label: "step", values: steps, start: 40,
    text: (step) => `${step}`, plays: true });
  frame.slider({ key: "rarest", label: "rarest: π̃ₘᵢₙ", values: RAREST, start: 0.02,
    text: (rarest) => `${rarest}` });
  frame.slider({ key: "t", label: "map: time t", start: 200, text: (t) => `${t}`,
    values: Array.from({ length: 100 }, (_, i) => 10 * i) });

  const flows = new Map();
  frame.flowOf = (rarest) => {
    if (!flows.has(rarest)) {
      flows.set(rarest, flow({ ...recorded, rarest, steps: LAST, every: EVERY }));
    }
    return flows.get(rarest);
  };

  const left = frame.column(), right = frame.column();
  const box = { left: 38, top: 24, right: 322, bottom: 152 };
  const stepAxis = { from: 0, to: LAST, scale: "steps", ticks: [0, 3, 10, 30, 100, 300],
    name: "step" };
  const excessAxis = { from: 0.003, to: 0.6, scale: "log", ticks: [0.003, 0.01, 0.03, 0.1, 0.3] };
  const TOKENS = [["all", "all tokens"], ["own", "the rare pattern's"]];

  const byStep = chart(left, "excess", [...TOKENS, ["", "○ recorded"]], stepAxis, excessAxis);
  const PRODUCTS = [["commonSame", "common, same"], ["rareSame", "rare, same"],
    ["rareCommon", "different"], ["commonRare", ""]];
  const grown = chart(left, "products", PRODUCTS, stepAxis,
    { from: -2, to: 10, ticks: [-2, 0, 2, 4, 6, 8, 10] });
  const cells = map(frame.panel(right, 184, ""));
  const byRarity = chart(right, "excess at this step", TOKENS,
    { from: 0.005, to: 0.5, scale: "log", ticks: [0.005, 0.02, 0.05, 0.125, 0.5],
      name: "rarest pattern π̃ₘᵢₙ" }, excessAxis);

  function chart(column, title, names, x, y) {
    const panel = frame.panel(column, 184, "");
    gmmtf.Plot.title(panel, title, names);
    const plot = new gmmtf.Plot(panel, box, x, y);
    const ruler = plot.ruler();
    const shown = names.map(([name]) => name).filter(Boolean);
    const drawn = shown.map((name) => ({ name, line: plot.line(name) }));
    const lines = drawn.map((each) => ({ ...each, dot: plot.dot(each.name) }));
    return { panel, plot, ruler, lines, marks: svg("g", {}, plot.marks) };
  }

  function map(panel) {
    gmmtf.Plot.title(panel, "attention, in %: from (row) to (column)");
    const names = ["rare", ...Array.from({ length: active - 1 }, (_, i) => `common ${i + 1}`)];
    const drawn = names.map((name, u) => {
      svg("text", { class: "gmmtf-faint", x: 76, y: 60 + 35 * u, "text-anchor": "end", text: name },
        panel);
      svg("text", { class: "gmmtf-faint", x: 114 + 63 * u, y: 33, "text-anchor": "middle",
        text: name }, panel);
      return names.map((_, v) => ({
        cell: svg("rect", { class: "gmmtf-cell", x: 84 + 63 * v, y: 39 + 35 * u, width: 60,
          height: 32 }, panel),
        number: svg("text", { x: 114 + 63 * v, y: 60 + 35 * u, "text-anchor": "middle" }, panel) }));
    });
    return { panel, names, drawn };
  }

  /* A recorded mean with two standard errors to both sides. */
  function recordedMark({ plot, marks }, name, x, [value, error]) {
    const at = plot.across(x);
    svg("line", { class: `gmmtf-error ${name}`, x1: at, x2: at, y1: plot.up(value - 2 * error),
      y2: plot.up(value + 2 * error) }, marks);
    svg("circle", { class: `gmmtf-recorded ${name}`, cx: at, cy: plot.up(value), r: 6 }, marks);
  }

  function drawBySteps(path, now) {
    const { step, rarest } = frame;
    const x = steps, at = steps.map((s) => path[s]);
    for (const { plot, ruler, lines, marks } of [byStep, grown]) {
      plot.rule(ruler, step);
      marks.replaceChildren();
      for (const { name, line, dot } of lines) {
        plot.trace(line, x, at.map((each) => each[name]));
        plot.put(dot, step, now[name]);
      }
    }
    const found = recorded.cases.find((each) => each.rarest === rarest);
    if (found) {
      recorded.steps.forEach((s, i) => recordedMark(byStep, "all", s, found.all[i]));
      const last = recorded.steps.at(-1);
      recordedMark(byStep, "own", last, found.own);
      for (const [name, pair] of Object.entries(found.products)) recordedMark(grown, name, last, pair);
    }
    set(byStep.panel, { "aria-label": `Excess against steps; at step ${step} all tokens `
      + `${now.all.toFixed(4)}, the rare pattern's ${now.own.toFixed(4)}` });
    set(grown.panel, { "aria-label": `Products against steps; at step ${step} rare with itself `
      + `${now.rareSame.toFixed(2)}, common with itself ${now.commonSame.toFixed(2)}, rare with `
      + `common ${now.rareCommon.toFixed(2)}, common with rare ${now.commonRare.toFixed(2)}` });
    return found;
  }

  function drawMap(now) {
    const shares = attention(frame.t, now, active);
    shares.forEach((line, u) => line.forEach((share, v) => {
      const { cell, number } = cells.drawn[u][v];
      set(cell, { "fill-opacity": 0.06 + 0.94 * share });
      set(number, { text: `${Math.round(100 * share)}`, class: share > 0.5 ? "gmmtf-inside" : "" });
    }));
    const own = shares.map((line, u) => `${cells.names[u]} ${Math.round(100 * line[u])} %`);
    set(cells.panel, { "aria-label": `Attention to the own pattern: ${own.join(", ")}` });
  }

  function drawByRarity(now) {
    const { step, rarest } = frame;
    const known = RAREST.filter((each) => flows.has(each));
    byRarity.plot.rule(byRarity.ruler, rarest);
    byRarity.marks.replaceChildren();
    for (const { name, line, dot } of byRarity.lines) {
      byRarity.plot.trace(line, known, known.map((each) => flows.get(each)[step][name]));
      byRarity.plot.put(dot, rarest, now[name]);
    }
    const place = recorded.steps.indexOf(step);
    for (const each of place < 0 ? [] : recorded.cases) {
      recordedMark(byRarity, "all", each.rarest, each.all[place]);
      if (step === recorded.steps.at(-1)) recordedMark(byRarity, "own", each.rarest, each.own);
    }
    set(byRarity.panel, { "aria-label": `Excess at step ${step} against the share of data points `
      + `that hold the rarest pattern; at ${rarest} all tokens ${now.all.toFixed(4)}, the rare `
      + `pattern's ${now.own.toFixed(4)}` });
    return place >= 0;
  }

  frame.draw = () => {
    const path = frame.flowOf(frame.rarest), now = path[frame.step];
    const found = drawBySteps(path, now);
    drawMap(now);
    drawByRarity(now);
    const kept = (name) => `${(100 * now[name] / path[0][name]).toFixed(0)} %`;
    const learned = path.find(({ own }) => own < path[0].own / 2);
    frame.note.textContent = `Step ${frame.step}: all tokens keep ${kept("all")} of their excess, the `
      + `rare pattern's ${kept("own")}. Half of the rare pattern's is gone at step `
      + `${learned ? learned.step : `${LAST} not yet`}. `
      + (found ? `Circles: recorded runs, which have ${recorded.tokens} tokens in ${recorded.dim} `
        + `dimensions where the lines have endlessly many, at steps ${recorded.steps.join(" and ")}.`
        : "No run is recorded for this probability.");
  };

  /* The curves of the other probabilities are computed one by one, so that the page stays quick. */
  const rest = [...RAREST];
  frame.busy = true;
  setTimeout(function next() {
    const rarest = rest.shift();
    if (rarest === undefined) {
      frame.busy = false;
      return frame.redraw();
    }
    frame.flowOf(rarest);
    setTimeout(next);
  });
});
