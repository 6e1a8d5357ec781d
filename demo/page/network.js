// Every request of the page goes through here, and every answer says what the edge made of it.

const KEPT = 20;

/** The last requests, youngest first: {method, path, status, verdict, detail, ms}. */
export const requests = [];

let edge = false;

/** Whether the last answer came through an edge of this kind: only then is there a realtime core to connect to. */
export const behindEdge = () => edge;

/** Dispatches `request` after each finished request. */
export const traffic = new EventTarget();

/** An answer that is no success; `problem` is the RFC 9457 document, `status` 0 when there was no answer at all. */
export class Failure extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || (status ? `The answer was ${status}.` : "No answer came."));
    this.status = status;
  }

  /** Whether trying again later may help: nobody answered, or a gateway said that the origin is away. */
  get passing() {
    return this.status === 0 || this.status >= 500;
  }
}

/**
 * What a cache made of a request, from its Cache-Status (RFC 9211).
 * Of several caches the last one counts: it is the nearest to this page.
 */
export function readCacheStatus(header, response) {
  if (!header) return { verdict: "direct", detail: "no Cache-Status: asked without an edge" };
  const nearest = header.match(/(?:"(?:\\.|[^"\\])*"|[^,"])+/g)?.at(-1).trim() ?? "";
  const parameters = {};
  for (const part of nearest.match(/(?:"(?:\\.|[^"\\])*"|[^;"])+/g)?.slice(1) ?? []) {
    const [name, ...value] = part.trim().split("=");
    parameters[name.toLowerCase()] = value.length ? value.join("=").replace(/^"|"$/g, "") : true;
  }
  return { verdict: judge(parameters, response), detail: header };
}

function judge(parameters, response) {
  const forwarded = Number(parameters["fwd-status"] ?? 0);
  const detail = String(parameters.detail ?? "");
  // Cachewire begins the detail of a stale answer with "stale: "; other caches at least report a negative ttl.
  if (detail.startsWith("stale: ") || (parameters.hit && Number(parameters.ttl ?? 0) < 0)) return "stale";
  if (parameters.hit) return "hit";
  if (forwarded === 304) return "revalidated";
  // A stored answer that stood in for a failing origin: forwarded, failed, and yet there is a success with an Age.
  const stood = forwarded >= 500 || (!forwarded && Number(response.headers.get("Age") ?? 0) > 0);
  if (response.ok && parameters.fwd === "stale" && stood) return "stale";
  if (!response.ok && response.status >= 500) return "error";
  return ["bypass", "method", "request"].includes(parameters.fwd) ? "bypass" : "miss";
}

/** Ask without cookies: what is public stays public, and any cache on the way may share it. */
export const read = (path) => ask(path, { credentials: "omit" });

/** Ask as the user who is logged in. */
export const readOwn = (path) => ask(path, {});

/** Send `body` (an object as JSON, or a FormData) as the user who is logged in. */
export function send(method, path, body, headers = {}) {
  const json = body !== undefined && !(body instanceof FormData);
  if (json) headers = { ...headers, "Content-Type": "application/json" };
  return ask(path, { method, headers, body: json ? JSON.stringify(body) : body });
}

async function ask(path, options) {
  const started = performance.now();
  const entry = { method: options.method ?? "GET", path, status: 0, verdict: "error", detail: "", ms: 0 };
  try {
    const response = await fetch(path, options);
    entry.status = response.status;
    edge = /\bcachewire\b/.test(response.headers.get("Cache-Status") ?? "");
    Object.assign(entry, readCacheStatus(response.headers.get("Cache-Status"), response));
    const document = await parse(response);
    if (servedByBrowser(response.url, started)) {
      entry.verdict = "browser";
      entry.detail = "this browser's own cache answered";
    }
    if (!response.ok) throw new Failure(response.status, document);
    return { document, verdict: entry.verdict, age: Number(response.headers.get("Age") ?? 0) };
  } catch (error) {
    if (error instanceof Failure) throw error;
    entry.detail = String(error);
    throw new Failure(0, null);
  } finally {
    entry.ms = Math.round(performance.now() - started);
    requests.unshift(entry);
    requests.length = Math.min(requests.length, KEPT);
    traffic.dispatchEvent(new CustomEvent("request", { detail: entry }));
  }
}

async function parse(response) {
  const text = await response.text();
  return /json/.test(response.headers.get("Content-Type") ?? "") && text ? JSON.parse(text) : null;
}

function servedByBrowser(url, started) {
  const timing = performance.getEntriesByName(url, "resource").at(-1);
  return Boolean(timing && timing.startTime >= started - 1 && timing.transferSize === 0 && timing.decodedBodySize > 0);
}

/** A name for one write, so that repeating it does not write twice. Works on plain http too, unlike randomUUID. */
export const idempotencyKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
