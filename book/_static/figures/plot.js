"use strict";
/* Axes, lines and points of a plot in an SVG panel. */
gmmtf.Plot = (() => {
  const { set, svg } = gmmtf.frame;

  const SCALES = {
    linear: (value) => value,
    log: Math.log,
    steps: Math.log1p, // steps from 0 on, as a logarithmic axis would have them
  };

  class Plot {
    /* `box`: left, top, right, bottom in units of the panel; an axis: from, to, scale, ticks,
       name and, if its numbers are not to be shown as they are, a function `text`. */
    constructor(panel, box, x, y) {
      Object.assign(this, { panel, box });
      this.grid = svg("g", { class: "gmmtf-grid" }, panel);
      this.marks = svg("g", {}, panel);
      this.set(x, y);
    }

    set(x, y) {
      this.x = x;
      this.y = y;
      const { left, top, right, bottom } = this.box;
      this.grid.replaceChildren();
      for (const tick of x.ticks) {
        const at = this.across(tick);
        svg("line", { x1: at, x2: at, y1: top, y2: bottom }, this.grid);
        svg("text", { x: at, y: bottom + 14, "text-anchor": "middle",
          text: x.text ? x.text(tick) : `${tick}` }, this.grid);
      }
      for (const tick of y.ticks) {
        const at = this.up(tick);
        svg("line", { x1: left, x2: right, y1: at, y2: at }, this.grid);
        svg("text", { x: left - 5, y: at + 4, "text-anchor": "end",
          text: y.text ? y.text(tick) : `${tick}` }, this.grid);
      }
      svg("text", { x: right, y: bottom + 29, "text-anchor": "end", text: x.name }, this.grid);
    }

    across(value) {
      const { left, right } = this.box;
      return left + (right - left) * place(this.x, value);
    }

    up(value) {
      const { top, bottom } = this.box;
      return bottom - (bottom - top) * place(this.y, value);
    }

    line(name) {
      return svg("path", { class: `gmmtf-line ${name}` }, this.marks);
    }

    /* A line through points, which stops at the edges of the plot. */
    trace(path, xs, ys) {
      const at = xs.map((x, i) => `${this.across(x).toFixed(2)},${this.up(ys[i]).toFixed(2)}`);
      set(path, { d: `M${at.join("L")}` });
    }

    dot(name, radius = 4.5) {
      return svg("circle", { class: `gmmtf-dot ${name}`, r: radius }, this.marks);
    }

    put(dot, x, y) {
      set(dot, { cx: this.across(x), cy: this.up(y) });
    }

    ruler() {
      const { top, bottom } = this.box;
      return svg("line", { class: "gmmtf-ruler", y1: top, y2: bottom }, this.marks);
    }

    rule(line, x) {
      set(line, { x1: this.across(x), x2: this.across(x) });
    }
  }

  function place({ from, to, scale = "linear" }, value) {
    const map = SCALES[scale];
    const share = (map(value) - map(from)) / (map(to) - map(from));
    return Math.min(Math.max(share, 0), 1);
  }

  /* A title with the names of the lines in their colours, at the top of a panel. */
  Plot.title = (panel, title, names = []) => {
    const text = svg("text", { class: "gmmtf-title", x: 4, y: 13, text: title }, panel);
    for (const [name, label] of names) {
      svg("tspan", { class: `gmmtf-name ${name}`, dx: 8, text: label }, text);
    }
    return text;
  };

  return Plot;
})();
