"use strict";
// Below each result of the search: a piece of the page's prose around the words that were found.
// The prose comes as scripts, which a page may also load where it is read from a file.
(() => {
  const LENGTH = 240;
  const pages = new Map();   // page -> promise of [[anchor, text], ...]
  const waiting = new Map(); // page -> what keeps the promise

  window.searchProse = (page, sections) => waiting.get(page)?.(sections);

  const load = (page) => {
    if (!pages.has(page))
      pages.set(page, new Promise((resolve) => {
        const script = document.createElement("script");
        waiting.set(page, resolve);
        script.onerror = () => resolve([]);
        script.src = `${document.documentElement.dataset.content_root}_prose/${page}.js`;
        document.head.append(script);
      }));
    return pages.get(page);
  };

  const words = () => {
    const query = new URLSearchParams(window.location.search).get("q") ?? "";
    const stemmer = new Stemmer();
    return query.toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter(Boolean)
      .map((word) => stemmer.stemWord(word));
  };

  // The piece that holds most of the words, from the beginning of a word to the end of one.
  const piece = (text) => {
    const lower = text.toLowerCase();
    const wanted = words();
    const places = wanted.flatMap((word) => {
      const found = [];
      for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, at + 1)) found.push(at);
      return found;
    });
    const held = (from) => {
      const window_ = lower.slice(from, from + LENGTH);
      return wanted.filter((word) => window_.includes(word)).length;
    };
    let best = 0;
    for (const place of places.sort((a, b) => a - b)) {
      const from = Math.max(0, place - LENGTH / 3);
      if (held(from) > held(best)) best = from;
    }
    const start = best === 0 ? 0 : text.indexOf(" ", best) + 1;
    const cut = start + LENGTH >= text.length ? text.length : text.lastIndexOf(" ", start + LENGTH);
    return (start ? "… " : "") + text.slice(start, cut) + (cut < text.length ? " …" : "");
  };

  const show = async (item) => {
    const link = item.querySelector("a");
    if (!link || item.dataset.prose || item.querySelector("span")) return; // names say what they are
    item.dataset.prose = "asked";
    const [file, anchor] = link.getAttribute("href").split("#");
    const sections = await load(file.replace(/\.html$/, ""));
    const from = anchor ? sections.findIndex(([id]) => id === anchor) : 0;
    const text = sections.slice(Math.max(from, 0)).map(([, said]) => said).join(" ");
    if (!text) return;
    const shown = document.createElement("p");
    shown.className = "context";
    shown.textContent = piece(text);
    item.append(shown);
  };

  new MutationObserver(() => document.querySelectorAll("ul.search > li").forEach(show))
    .observe(document.documentElement, { childList: true, subtree: true });
})();
