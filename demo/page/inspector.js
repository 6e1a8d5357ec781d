// The small panel that makes the edge visible: what each request got, and buttons that break the origin.

import { element, toast } from "./dom.js";
import { Failure, readOwn, requests, send, traffic } from "./network.js";

const SPARED = new Set(["hit", "stale", "browser"]);
const SLOW = 8;

const panel = document.getElementById("inspector-panel");
const toggle = document.getElementById("inspector-toggle");
const chaos = document.getElementById("chaos");
const tally = { asked: 0, spared: 0, edge: false };

export function wireInspector() {
  traffic.addEventListener("request", ({ detail }) => record(detail));
  toggle.addEventListener("click", () => setOpen(panel.hidden));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden && !document.querySelector("dialog[open]")) setOpen(false);
  });
  chaos.addEventListener("click", (event) => {
    const button = event.target.closest("[data-mode]");
    if (button) misbehave(button.dataset.mode);
  });
}

function setOpen(open) {
  panel.hidden = !open;
  toggle.setAttribute("aria-expanded", String(open));
  if (!open) return;
  paintRows();
  run(readOwn("/demo/chaos"));
}

function record(entry) {
  if (!entry.path.startsWith("/demo/")) {
    tally.asked += 1;
    tally.spared += SPARED.has(entry.verdict);
    toggle.dataset.verdict = entry.verdict;
  }
  const summary = document.getElementById("inspector-summary");
  tally.edge ||= !["direct", "browser"].includes(entry.verdict) && entry.status > 0;
  summary.textContent = !tally.edge ? "no edge" : `edge · ${tally.spared} of ${tally.asked} spared the origin`;
  if (!panel.hidden) paintRows();
}

function paintRows() {
  document.getElementById("inspector-rows").replaceChildren(
    ...requests.map((entry) =>
      element(
        "tr",
        { title: entry.detail },
        element("td", {}, element("span.path", {}, entry.method === "GET" ? "" : element("b", {}, `${entry.method} `), entry.path)),
        element("td", {}, String(entry.status || "–")),
        element("td", {}, element(`span.verdict.${entry.verdict}`, {}, entry.verdict)),
        element("td", {}, String(entry.ms)),
      ),
    ),
  );
}

const misbehave = (mode) => run(send("POST", "/demo/chaos", mode === "slow" ? { mode, delay: SLOW } : { mode }));

async function run(request) {
  try {
    const { document: behaviour } = await request;
    for (const button of chaos.children) button.setAttribute("aria-pressed", String(button.dataset.mode === behaviour.mode));
    document.getElementById("chaos-note").textContent = NOTES[behaviour.mode];
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    toast(`The origin's switch is out of reach: ${failure.message}`, "bad");
  }
}

const NOTES = {
  ok: "The origin works. Break it, then click around: what was seen before still answers.",
  slow: `Every answer of the origin takes ${SLOW} seconds now.`,
  errors: "The origin answers 503 to everything now.",
  down: "The origin hangs up on everyone now. Only this switch still reaches it.",
};
