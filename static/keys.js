// Keyboard shortcuts, listed under `?`; every one of them is also a link, a button or a field of the page.
(() => {
  "use strict";
  const dialog = document.getElementById("keys");
  const hint = document.getElementById("keys-hint");
  if (!dialog || !hint) return;

  const PATIENCE = 1_500; // between `g` and the letter that says where
  let going = 0;

  const typing = (element) =>
    element instanceof HTMLElement && (element.isContentEditable || element.matches("input, select, textarea"));

  const actions = {
    "?": () => dialog.showModal(),
    "/": () => document.querySelector("input[type=search]")?.focus(),
    p: () => document.getElementById("pause")?.click(),
    g: () => {
      going = Date.now();
    },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || dialog.open) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const goes = Date.now() - going < PATIENCE;
    going = 0;
    const link = goes ? document.querySelector(`.bar nav a[data-key="${CSS.escape(event.key)}"]`) : null;
    const act = link ? () => link.click() : actions[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  hint.hidden = false;
  hint.addEventListener("click", () => dialog.showModal());

  // On a narrow screen the list of pages is a strip: begin where we are.
  const here = document.querySelector(".bar nav a[aria-current]");
  const strip = here?.closest("nav");
  if (strip) strip.scrollLeft = here.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2;
})();
