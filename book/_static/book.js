// Says of every box that is narrower than its content that it scrolls: book.css draws the hint, and
// the keyboard can reach the box.
(() => {
  "use strict";
  const BOXES = [
    "mjx-container",
    "div.math",
    ".pst-scrollable-table-container",
    "table",
    ".cell_output",
    "pre",
    ".picture",
  ].map((box) => `.bd-article ${box}`).join(", ");

  function mark(box) {
    const hidden = box.scrollWidth - box.clientWidth;
    const scrolls = hidden > 1 && getComputedStyle(box).overflowX !== "visible";
    box.classList.toggle("more-right", scrolls && box.scrollLeft < hidden - 1);
    box.classList.toggle("more-left", scrolls && box.scrollLeft > 1);
    if (scrolls && !box.hasAttribute("tabindex")) box.tabIndex = 0;
  }

  // A picture scrolls in a box of its own, so that its caption stays.
  function boxPictures() {
    for (const image of document.querySelectorAll(".bd-article .cell_output img")) {
      const box = document.createElement("div");
      box.className = "picture";
      const picture = image.closest("picture") ?? image;
      picture.replaceWith(box);
      box.append(picture);
    }
  }

  async function watch() {
    boxPictures();
    if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
    await document.fonts.ready;
    // A box changes its size with the window, and when what holds it is unfolded.
    const sizes = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
    for (const box of document.querySelectorAll(BOXES)) {
      box.addEventListener("scroll", () => mark(box), { passive: true });
      sizes.observe(box);
    }
  }

  // Print shows what is folded, and folds it again afterwards.
  const opened = [];
  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details:not([open])")) {
      fold.open = true;
      opened.push(fold);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const fold of opened.splice(0)) fold.open = false;
  });

  window.addEventListener("load", watch);
})();
