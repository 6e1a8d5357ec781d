// Building elements. Text is always set as text, never parsed as markup: what users write stays what they wrote.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `element("a.button", {href: "/"}, "Home")`. Attributes that are null or false are left out. */
export function element(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function avatar(user, size = 32) {
  return element("img.avatar", { src: user.avatar_url, alt: "", width: size, height: size, loading: "lazy" });
}

/** A photo that becomes a quiet placeholder when it cannot be had. */
export function photo(url, alt, attributes = {}) {
  if (!url) return element("div.no-photo", {}, icon("image"));
  const image = element("img.photo", { src: url, alt, decoding: "async", ...attributes });
  image.addEventListener("error", () => image.replaceWith(element("div.no-photo", {}, icon("image"))), { once: true });
  return image;
}

export const words = (slug) => slug.charAt(0).toUpperCase() + slug.slice(1).replaceAll("-", " ");

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

/** "5 min. ago" within a week, the date before that. */
export function when(iso) {
  const moment = new Date(iso);
  const seconds = (moment - Date.now()) / 1000;
  let text = "just now";
  if (seconds < -7 * 86400) {
    const year = moment.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
    text = moment.toLocaleDateString("en-GB", { day: "numeric", month: "short", year });
  } else {
    const unit = UNITS.find(([, length]) => -seconds >= length);
    if (unit) text = relative.format(Math.round(seconds / unit[1]), unit[0]);
  }
  return element("time", { datetime: iso, title: moment.toLocaleString("en-GB") }, text);
}

const toasts = document.getElementById("toasts"); // held, since what a dialog shows may be replaced with it inside

/** A short message at the bottom of the page that leaves by itself. */
export function toast(text, kind = "") {
  const node = element(`p.toast${kind && `.${kind}`}`, {}, text);
  // A modal dialog lies above all else, and nothing beside it is read out.
  const place = document.querySelector("dialog:modal") ?? document.body;
  if (toasts.parentElement !== place) place.append(toasts);
  toasts.append(node);
  setTimeout(() => node.remove(), 5000);
}

/** The dialogs close by their button, by Escape (the browser's own) and by a click beside them. */
export function wireDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
    dialog.addEventListener("close", () => document.body.append(toasts));
  }
}
