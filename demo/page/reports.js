// The grid of reports, the drawer with one of them, and the form for a new one.

import { avatar, element, icon, photo, plural, toast, when, words } from "./dom.js";
import { live } from "./live.js";
import { Failure, idempotencyKey, read, readOwn, send } from "./network.js";

const PER_PAGE = 12;
const HEALING = 3000;

const grid = document.getElementById("reports");
const more = document.getElementById("more");
const banner = document.getElementById("banner");
const drawer = document.getElementById("detail");

const view = { category: "", status: "", query: "", page: 1 };
let liked = new Set();
let user = null;
let turn = 0;
let healing = 0;

/** Who is looking; loads which reports they like. */
export async function lookAs(someone) {
  user = someone;
  liked = new Set();
  if (user) {
    try {
      liked = new Set((await readOwn(`/api/likes?user=${user.id}`)).document.report_ids);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure; // hearts stay empty; the grid works without them
    }
  }
  for (const button of document.querySelectorAll("[data-like]")) paintLike(button, button.dataset.like);
}

/** Change what is shown, from its first page on. */
export function show(change) {
  Object.assign(view, change, { page: 1 });
  return load();
}

/** Load the current view; `appending` adds the next page below. */
export async function load({ appending = false, quiet = false } = {}) {
  const mine = ++turn;
  clearTimeout(healing);
  grid.setAttribute("aria-busy", "true");
  if (!appending && !quiet) grid.replaceChildren(...Array.from({ length: 8 }, () => element("div.card.skeleton")));
  try {
    const answer = await read(address());
    if (mine !== turn) return; // a younger request is on its way
    paint(answer, appending);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (mine === turn) apologise(failure, appending);
    if (mine === turn && failure.passing && !appending) keepTrying();
  } finally {
    if (mine === turn) grid.setAttribute("aria-busy", "false");
  }
}

function address() {
  if (view.query) return `/api/search?${new URLSearchParams({ q: view.query })}`;
  const parameters = new URLSearchParams({ page: view.page, per_page: PER_PAGE });
  if (view.category) parameters.set("category", view.category);
  if (view.status) parameters.set("status", view.status);
  return `/api/reports?${parameters}`;
}

function paint({ document: list, verdict, age }, appending) {
  const cards = list.reports.map(card);
  if (appending) grid.append(...cards);
  else grid.replaceChildren(...(cards.length ? cards : [nothing()]));
  more.hidden = !list.pages || view.page >= list.pages;
  if (list.total !== undefined) document.getElementById("total").textContent = `${plural(list.total, "report")} here.`;
  announce(verdict, age);
}

const nothing = () => element("div.empty", {}, icon("search"), element("h2", {}, "Nothing here"), element("p", {}, "No report matches. Try another filter."));

/** Say when an answer is not the newest, and look again until it is. */
function announce(verdict, age) {
  banner.hidden = verdict !== "stale";
  if (verdict !== "stale") return;
  const old = age >= 120 ? `${Math.round(age / 60)} minutes` : plural(age, "second");
  banner.querySelector("p").textContent = `The application is not answering. You see what it said ${age ? `${old} ago` : "last"}; this page keeps trying.`;
  // Only the first page may be repainted behind a reader's back.
  if (view.page === 1) keepTrying();
}

function keepTrying() {
  healing = setTimeout(() => load({ quiet: true }), HEALING);
}

function apologise(failure, appending) {
  banner.hidden = true;
  if (appending) {
    view.page -= 1;
    toast(failure.message, "bad");
    return;
  }
  more.hidden = true;
  document.getElementById("total").textContent = "";
  if (grid.querySelector("[role=alert]")) return; // said already; the button may have the focus
  const again = element("button.button.primary", { type: "button", onclick: () => load() }, "Try again");
  const title = failure.passing ? "The streets are quiet" : "That did not work";
  const advice = failure.passing ? "The application is not answering, and nobody kept a copy of this page yet. What you have looked at before still works." : "";
  grid.replaceChildren(element("div.empty", { role: "alert" }, icon("cloud"), element("h2", {}, title), element("p", {}, advice), element("p.small", {}, failure.status ? `${failure.status} · ${failure.message}` : failure.message), again));
}

function card(report) {
  const open = element("a.card-link", { href: `#${report.id}` }, report.title);
  return element(
    "article.card",
    {},
    element("div.cover", {}, photo(report.photos[0], "", { loading: "lazy" }), element("span.badge", {}, icon(report.category), words(report.category)), report.photos.length > 1 ? element("span.count", {}, icon("image"), String(report.photos.length)) : null),
    element(
      "div.card-body",
      {},
      element("p.meta", {}, state(report.status), element("span", {}, when(report.created_at))),
      element("h3", {}, open),
      element("p.place", {}, icon("pin"), report.place),
      element("p.text", {}, report.text),
      element("div.card-foot", {}, element("span.author", {}, avatar(report.author, 28), element("span", {}, report.author.full_name)), element("span.actions", {}, likeButton(report), element("span.tally", { title: plural(report.comment_count, "comment") }, icon("comment"), String(report.comment_count)))),
    ),
  );
}

const state = (status) => element(`span.state.${status}`, {}, words(status));

function likeButton(report) {
  const button = element("button.like", { type: "button", "data-like": report.id, "data-count": report.like_count, onclick: () => toggleLike(report.id) }, icon("heart"), element("span"));
  paintLike(button, report.id);
  return button;
}

function paintLike(button, id) {
  const on = liked.has(id);
  button.setAttribute("aria-pressed", String(on));
  button.setAttribute("aria-label", `${on ? "Liked" : "Like"}, ${plural(Number(button.dataset.count), "like")}`);
  button.querySelector("span").textContent = button.dataset.count;
}

/** Likes show at once and are taken back when the write fails. */
async function toggleLike(id) {
  if (!requireUser()) return;
  const on = !liked.has(id);
  setLike(id, on, on ? 1 : -1);
  try {
    const { document: report } = await send(on ? "POST" : "DELETE", `/api/reports/${id}/likes`);
    if (report?.like_count !== undefined) countLikes(id, () => report.like_count);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    setLike(id, !on, on ? -1 : 1);
    toast(`Your like did not get through: ${failure.message}`, "bad");
  }
}

function setLike(id, on, change) {
  liked[on ? "add" : "delete"](id);
  countLikes(id, (count) => count + change);
}

function countLikes(id, count) {
  for (const button of document.querySelectorAll(`[data-like="${CSS.escape(id)}"]`)) {
    button.dataset.count = count(Number(button.dataset.count));
    paintLike(button, id);
  }
}

function requireUser() {
  if (user) return true;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  toast("Pick somebody to browse as first, at the top of the page.");
  document.getElementById("who").focus();
  return false;
}

/** Open the report that the address names (`/#r12`), close the drawer when it names none. */
export async function followAddress() {
  const id = location.hash.slice(1);
  if (!/^r\d+$/.test(id)) {
    if (drawer.open) drawer.close();
    return;
  }
  drawer.replaceChildren(head("Report"), element("div.drawer-body", {}, element("div.skeleton.tall"), element("div.skeleton.line"), element("div.skeleton.line")));
  if (!drawer.open) drawer.showModal();
  try {
    paintDetail((await read(`/api/reports/${id}`)).document);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    const again = failure.passing ? element("button.button.primary", { type: "button", onclick: followAddress }, "Try again") : null;
    const title = failure.passing ? "Out of reach right now" : "Not to be found";
    drawer.replaceChildren(head("Report"), element("div.drawer-body", {}, element("div.empty", { role: "alert" }, icon("cloud"), element("h2", {}, title), element("p", {}, failure.message), again)));
  }
}

const head = (title, ...buttons) => element("div.drawer-head", {}, element("h2", {}, title), ...buttons, element("button.round", { type: "button", "data-close": true, "aria-label": "Close" }, icon("close")));

function paintDetail(report) {
  const list = element("ul.comments", {}, report.comments.map(comment));
  const page = element("a.round", { href: `/reports/${report.id}`, "aria-label": "Page of its own", title: "Page of its own" }, icon("link"));
  const gallery = element("div.gallery", { tabindex: report.photos.length > 1 ? "0" : null }, report.photos.length ? report.photos.map((url, index) => photo(url, `Photo ${index + 1} of ${report.title}`)) : photo(null));
  drawer.replaceChildren(
    head(words(report.category), page),
    element(
      "div.drawer-body",
      {},
      gallery,
      element("p.tags", {}, state(report.status), element("span.place", {}, icon("pin"), report.place)),
      element("h1", {}, report.title),
      element("p.byline", {}, avatar(report.author, 36), element("span", {}, element("b", {}, report.author.full_name), element("br"), when(report.created_at)), likeButton(report)),
      element("p.prose", {}, report.text),
      element("h2.comments-title", {}, plural(report.comments.length, "comment")),
      list,
    ),
    commentForm(report, list),
  );
}

const comment = (one) => element("li", {}, avatar(one.author, 36), element("div", {}, element("b", {}, one.author.full_name), " ", when(one.created_at), element("p", {}, one.text)));

function commentForm(report, list) {
  const input = element("input", { name: "text", placeholder: "Add a comment", "aria-label": "Comment", maxlength: 1000, required: true, autocomplete: "off" });
  const submit = async (event) => {
    event.preventDefault();
    if (!requireUser() || !input.value.trim()) return;
    const text = input.value;
    input.value = "";
    try {
      const answer = await send("POST", `/api/reports/${report.id}/comments`, { text }, { "Idempotency-Key": idempotencyKey() });
      if (answer.document?.author) list.append(comment(answer.document));
      list.previousElementSibling.textContent = plural(list.children.length, "comment");
      list.lastElementChild?.scrollIntoView({ block: "nearest", behavior: "smooth" });
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      input.value = text;
      toast(`The comment did not get through: ${failure.message}`, "bad");
    }
  };
  return element("form.compose", { onsubmit: submit }, input, element("button.round.send", { "aria-label": "Send" }, icon("send")));
}

/** Wire what stands on the page from the start. */
export function wireReports() {
  document.getElementById("categories").addEventListener("click", (event) => {
    const chip = event.target.closest("[data-category]");
    if (!chip) return;
    for (const other of chip.parentElement.children) other.setAttribute("aria-pressed", String(other === chip));
    document.getElementById("search").reset();
    show({ category: chip.dataset.category, query: "" });
  });
  document.getElementById("status").addEventListener("change", (event) => show({ status: event.target.value, query: "" }));
  document.getElementById("search").addEventListener("submit", (event) => {
    event.preventDefault();
    show({ query: new FormData(event.target).get("q").trim() });
  });
  document.querySelector("#search input").addEventListener("input", (event) => {
    if (!event.target.value && view.query) show({ query: "" });
  });
  more.addEventListener("click", () => {
    view.page += 1;
    load({ appending: true });
  });
  addEventListener("hashchange", followAddress);
  drawer.addEventListener("close", () => {
    if (location.hash) history.pushState(null, "", location.pathname);
  });
  live.addEventListener("report_created", ({ detail }) => showNew(detail));
  live.addEventListener("report_updated", ({ detail }) => showUpdate(detail));
  wireForm();
}

/** Somebody has posted a report: it belongs on top, unless it is there already or hidden by a filter. */
function showNew(report) {
  if (view.query || (view.status && view.status !== report.status) || (view.category && view.category !== report.category)) return;
  if (grid.querySelector(`[data-like="${CSS.escape(report.id)}"]`) || grid.getAttribute("aria-busy") === "true") return;
  grid.prepend(card(report));
  toast(`New: ${report.title}`);
}

/** Somebody has liked or commented on a report. What is told is how many there are now, so being told twice does no harm. */
function showUpdate({ id, like_count, comment_count }) {
  countLikes(id, () => like_count);
  for (const button of grid.querySelectorAll(`[data-like="${CSS.escape(id)}"]`)) {
    const tally = button.parentElement.querySelector(".tally");
    tally.title = plural(comment_count, "comment");
    tally.lastChild.textContent = comment_count;
  }
}

function wireForm() {
  const dialog = document.getElementById("form");
  const form = document.getElementById("report-form");
  const [preview, error] = [form.querySelector(".drop img"), form.querySelector(".error")];
  document.getElementById("open-form").addEventListener("click", () => requireUser() && dialog.showModal());
  form.photo.addEventListener("change", () => {
    URL.revokeObjectURL(preview.src);
    const file = form.photo.files[0];
    preview.hidden = !file;
    if (file) preview.src = URL.createObjectURL(file);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector(".primary");
    button.disabled = true;
    error.textContent = "";
    const fields = new FormData(form);
    if (!form.photo.files.length) fields.delete("photo");
    try {
      const { document: report } = await send("POST", "/api/reports", fields, { "Idempotency-Key": idempotencyKey() });
      form.reset();
      preview.hidden = true;
      dialog.close();
      toast("Thank you. Your report is out.");
      // It may have been heard of before its own answer came.
      if (report?.photos && !grid.querySelector(`[data-like="${CSS.escape(report.id)}"]`)) grid.prepend(card(report));
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      error.textContent = failure.message;
    } finally {
      button.disabled = false;
    }
  });
}
