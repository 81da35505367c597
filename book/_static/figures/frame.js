"use strict";
/* A figure that the reader drives: panels in columns, controls that a keyboard and a finger reach,
   and one redraw a frame. It takes the place of the still picture that the page holds, which is
   what print without scripts, and a reader without them, see. */
window.gmmtf = window.gmmtf || {};

gmmtf.frame = (() => {
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const GAP = 12; // between panels, in their units

  function set(node, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = value;
      else node.setAttribute(name, typeof value === "number" ? +value.toFixed(2) : value);
    }
    return node;
  }

  function svg(tag, attributes, parent) {
    const node = set(document.createElementNS(NAMESPACE, tag), attributes);
    if (parent) parent.append(node);
    return node;
  }

  function html(tag, attributes, parent) {
    const node = set(document.createElement(tag), attributes);
    if (parent) parent.append(node);
    return node;
  }

  class Frame {
    constructor(figure, name) {
      for (const child of figure.children) if (child.tagName !== "FIGCAPTION") child.hidden = true;
      this.name = name;
      this.root = html("div", { class: "gmmtf-figure", "data-figure": name });
      figure.prepend(this.root);
      this.controls = html("div", { class: "gmmtf-controls", role: "group",
        "aria-label": "Controls of the figure" }, this.root);
      this.columns = html("div", { class: "gmmtf-columns" }, this.root);
      this.note = html("p", { class: "gmmtf-note", id: `gmmtf-${name}-note` },
        this.root);
      this.waiting = false;
      this.busy = false; // with work that goes on beside the drawing
    }

    get ready() {
      return !this.waiting && !this.busy;
    }

    /* Columns stand side by side where there is room, below each other on a phone. */
    column() {
      return html("div", { class: "gmmtf-column" }, this.columns);
    }

    /* A drawing of 340 units' width, of which the label says what it shows. */
    panel(column, height, label, role = "img") {
      return svg("svg", { viewBox: `0 0 340 ${height}`, role, "aria-label": label }, column);
    }

    /* A range input over a list of values; `text` says a value in words, for the eye and the ear. */
    slider({ key, label, values, start, text, plays = false }) {
      const id = `gmmtf-${this.name}-${key}`;
      const row = html("div", { class: "gmmtf-control" }, this.controls);
      html("label", { for: id, text: label }, row);
      const input = html("input", { type: "range", id, min: 0, max: values.length - 1, step: 1,
        value: values.indexOf(start), "aria-describedby": this.note.id }, row);
      const output = html("output", { for: id }, row);
      const update = () => {
        this[key] = values[Number(input.value)];
        output.textContent = text(this[key]);
        input.setAttribute("aria-valuetext", text(this[key]));
        this.redraw();
      };
      input.addEventListener("input", update);
      if (plays) this.player(row, input, label, update);
      this[key] = start;
      output.textContent = text(start);
      input.setAttribute("aria-valuetext", text(start));
      return input;
    }

    player(row, input, label, update) {
      const button = html("button", { type: "button", class: "gmmtf-play", text: "▶",
        "aria-label": `Play: ${label}` }, row);
      let timer = null;
      const stop = () => {
        clearInterval(timer);
        timer = null;
        set(button, { text: "▶", "aria-label": `Play: ${label}` });
      };
      const forward = () => {
        if (Number(input.value) >= Number(input.max)) return stop();
        input.value = Number(input.value) + Math.max(1, Math.round(Number(input.max) / 200));
        update();
      };
      button.addEventListener("click", () => {
        if (timer) return stop();
        if (Number(input.value) >= Number(input.max)) input.value = 0;
        timer = setInterval(forward, 60);
        set(button, { text: "❚❚", "aria-label": `Stop: ${label}` });
      });
      for (const event of ["pointerdown", "keydown"]) input.addEventListener(event, stop);
    }

    button(label, act) {
      const button = html("button", { type: "button", class: "gmmtf-button", text: label },
        this.controls);
      button.addEventListener("click", () => { act(); this.redraw(); });
    }

    /* Many inputs between two pictures of the screen are drawn once. */
    redraw() {
      if (this.waiting) return;
      this.waiting = true;
      requestAnimationFrame(() => { this.waiting = false; this.draw(); });
    }

    /* The panels as one picture with its own style, the still picture of the page. */
    picture(style) {
      const whole = svg("svg", { xmlns: NAMESPACE, class: "gmmtf-figure gmmtf-still" });
      svg("style", { text: style }, whole);
      let left = GAP, bottom = 0;
      for (const column of this.columns.children) {
        let top = GAP;
        for (const panel of column.querySelectorAll("svg")) {
          const height = panel.viewBox.baseVal.height;
          const copy = panel.cloneNode(true);
          for (const name of ["role", "aria-label"]) copy.removeAttribute(name);
          whole.append(set(copy, { x: left, y: top, width: 340, height }));
          top += height + GAP;
        }
        left += 340 + GAP;
        bottom = Math.max(bottom, top);
      }
      set(whole, { viewBox: `0 0 ${left} ${bottom}`, width: left, height: bottom });
      return new XMLSerializer().serializeToString(whole);
    }
  }

  /* Build a figure wherever the page has a place for it: `build` gets the frame, adds what it
     needs, and sets its function `draw`. */
  function mount(name, build) {
    const start = () => {
      for (const figure of document.querySelectorAll(`figure.interactive-${name}`)) {
        const frame = new Frame(figure, name);
        build(frame);
        frame.draw();
        gmmtf[name].frame = frame;
      }
    };
    if (document.readyState !== "loading") start();
    else document.addEventListener("DOMContentLoaded", start);
  }

  return { html, mount, set, svg };
})();
