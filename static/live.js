// Keeps a page live, and says truthfully whether it is. The pages work without this file.
//
// Figures come as a stream (GET /live); while there is none, the page asks its own address by htmx, as its markup
// says, and a stream is tried again now and then. Both bring the same markup.
(() => {
  "use strict";
  const state = document.getElementById("live-state");
  const pause = document.getElementById("pause");
  const flash = document.getElementById("flash");
  const banner = document.getElementById("lost");
  if (!state || !pause || !flash || !banner || !window.htmx) return;

  const SILENT = 10_000; // a living stream speaks every 4 s
  const BUFFERED = 6_000; // and at once when it opens, unless something on the way holds it back
  const WAITS = [1_000, 5_000, 30_000, 60_000];

  let paused = false;
  let lost = false;
  let ended = false;
  let leaving = false;
  let lastFigures = new Date();
  let titled = document.title;
  let lostTitle = null;

  let stream = null; // { source, address, opened, heard }
  let failures = 0;
  let retryAt = 0;
  let heldSince = null;
  let waiting = null; // markup of which a part could not be shown yet
  let behind = false; // the page has asked for figures of which a part could not be shown yet

  const live = () => document.getElementById("live");
  const address = () => live()?.getAttribute("hx-get") ?? null;
  const clock = (moment) => moment.toISOString().slice(11, 19);
  const time = (moment) => `${clock(moment)} UTC`; // as the server writes it
  const streaming = () => stream !== null && stream.heard > 0;

  // A row must not move away under the pointer or the keyboard that is about to press its button: the list or form it
  // is in stays what it is and where it is. Everything around goes on, or an alert would stay unseen.
  function held() {
    const chosen = live()?.querySelectorAll(following ? CHOSEN_BY_KEYBOARD : `${CHOSEN_BY_KEYBOARD}, [data-hold]:hover`) ?? [];
    return [...new Set([...chosen].map((each) => each.closest("table") ?? each))];
  }

  // Whoever has pressed a button and waits for what it leads to chooses no longer, as long as the pointer rests there.
  const CHOSEN_BY_KEYBOARD = "[data-hold]:focus-within, .purge-all[open]";
  const AT_REST = 16; // pixels: no hand is quite still
  let pressed = { x: 0, y: 0 };
  let following = false;

  document.addEventListener("pointerdown", (event) => {
    pressed = { x: event.clientX, y: event.clientY };
    following = false;
  });
  document.addEventListener("pointermove", (event) => {
    if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > AT_REST) following = false;
  });
  document.addEventListener("wheel", () => (following = false), { passive: true });
  document.addEventListener("htmx:before:request", (event) => {
    if (event.detail.ctx.sourceElement.matches("[data-follow]")) following = true;
  });

  // What is said

  function say(name, text) {
    if (state.dataset.state !== name) state.dataset.state = name;
    if (state.textContent !== text) state.textContent = text;
    state.title = name !== "live" ? "" : streaming() ? "Figures come as soon as they change" : "The page asks for new figures again and again";
    document.documentElement.classList.toggle("is-lost", lost || ended);
    document.documentElement.classList.toggle("is-paused", paused);
  }

  function lose(why, advice) {
    if (ended) return;
    lost = true;
    say("lost", `${why}; figures are of ${time(lastFigures)}`);
    const told = `${why}. What is shown is as of ${time(lastFigures)}. ${advice} The page recovers by itself.`;
    if (banner.textContent !== told) banner.textContent = told;
    banner.hidden = false;
    if (document.title !== lostTitle) titled = document.title;
    document.title = lostTitle = `${why} · Cachewire`;
    date();
  }

  const unreachable = () => lose("No connection", "Is the process running?");

  // A verdict must not look like one of now.
  function date() {
    const verdict = document.querySelector(".health .sentence");
    if (!verdict || verdict.querySelector(".as-of")) return;
    const mark = document.createElement("span");
    mark.className = "as-of";
    mark.textContent = `as of ${time(lastFigures)}`;
    verdict.prepend(mark, " ");
  }

  function recover() {
    banner.hidden = true;
    banner.textContent = "";
    if (document.title === lostTitle) document.title = titled;
    for (const mark of document.querySelectorAll(".as-of")) mark.remove();
  }

  function found() {
    if (lost) recover();
    lost = false;
    lastFigures = new Date();
    sayHowItGoes();
    document.dispatchEvent(new Event("figures:came"));
  }

  function sayHowItGoes() {
    const newer = waiting !== null || behind ? ", newer waits" : "";
    if (paused) say("paused", `Paused at ${time(lastFigures)}`);
    else if (heldSince) say("held", `Held since ${clock(heldSince)}${newer}; move away to go on`);
    else say("live", "Live");
  }

  function end() {
    if (ended) return;
    ended = true;
    banner.hidden = true;
    close();
    say("lost", `Logged out; figures are of ${time(lastFigures)}`);
    const link = document.createElement("a");
    link.href = location.pathname + location.search;
    link.textContent = "Log in and come back here";
    const message = document.createElement("p");
    message.className = "message message-bad";
    message.append("You are logged out, or your session is over. ", link);
    flash.replaceChildren(message);
  }

  // What comes

  function show(text) {
    const main = live();
    if (main) htmx.swap({ text, sourceElement: main, target: main, select: "#live", swap: "outerMorph" });
  }

  function arrived(text) {
    waiting = held().length ? text : null;
    found();
    show(text);
  }

  // A list holds still as long as somebody chooses in it, and shows what waits afterwards.
  function settle() {
    if (held().length) heldSince ??= new Date();
    else letGo();
    sayHowItGoes();
  }

  function letGo() {
    if (!heldSince) return;
    heldSince = null;
    live()?.removeAttribute("style");
    if (waiting !== null) arrived(waiting);
    else if (behind) ask();
    behind = false;
  }

  // What is held is not only left as it is: the page scrolls by what grows or shrinks above it.
  let kept = null; // { parts, anchor, top } during a swap

  function keep() {
    const parts = held();
    if (!parts.length) return;
    heldSince ??= new Date();
    for (const part of parts) part.setAttribute("hx-morph-skip", "");
    const anchor = parts.find((part) => part.matches(":hover")) ?? parts[0];
    kept = { parts, anchor, top: anchor.getBoundingClientRect().top };
  }

  function putBack() {
    if (!kept) return;
    const { parts, anchor, top } = kept;
    kept = null;
    for (const part of parts) part.removeAttribute("hx-morph-skip");
    const main = live();
    const moved = () => Math.round(anchor.getBoundingClientRect().top - top);
    if (!main || !anchor.isConnected || !moved()) return;
    scrollBy({ top: moved(), behavior: "instant" });
    // Where the page is too short to scroll so far, it gets the room.
    const rest = moved();
    if (rest < 0) main.style.marginTop = `${-rest}px`;
    else if (rest > 0) {
      main.style.marginBottom = `${rest + innerHeight}px`;
      scrollBy({ top: rest, behavior: "instant" });
    }
  }

  function failed(status) {
    if (status === 401) end();
    else lose(`The dashboard answered ${status}`, "The log of the process says why.");
  }

  function ask() {
    const main = live();
    if (main && address()) htmx.trigger(main, "every");
  }

  // The stream

  function open() {
    const wanted = address();
    if (stream || paused || ended || document.hidden || !wanted || !window.EventSource || Date.now() < retryAt) return;
    const source = new EventSource(`/live?page=${encodeURIComponent(wanted)}`);
    const mine = { source, address: wanted, opened: Date.now(), heard: 0 };
    stream = mine;
    const on = (name, act) =>
      source.addEventListener(name, (event) => {
        if (stream !== mine) return;
        mine.heard = Date.now();
        failures = 0;
        act(event.data);
      });
    on("live", arrived);
    on("failed", (data) => failed(Number(data)));
    on("beat", (data) => {
      const status = Number(data);
      if (status >= 400) failed(status);
      else if (status) found();
    });
    on("again", () => {
      close();
      open();
    });
    on("end", () => broken());
    source.addEventListener("error", () => {
      if (stream === mine) broken();
    });
  }

  function close() {
    stream?.source.close();
    stream = null;
  }

  // The stream is no more, or was none. Asking tells why: no connection, signed out, or no streams here.
  function broken() {
    close();
    if (leaving) return;
    retryAt = Date.now() + WAITS[Math.min(failures, WAITS.length - 1)];
    failures += 1;
    ask();
  }

  // The page's address follows filters; the stream follows the page.
  function follow() {
    if (stream && stream.address !== address()) {
      close();
      retryAt = 0;
    }
    open();
  }

  setInterval(() => {
    const now = Date.now();
    if (stream?.heard && now - stream.heard > SILENT) {
      // Said at once: a process that hangs lets the question why wait as well.
      unreachable();
      broken();
    } else if (stream && !stream.heard && now - stream.opened > BUFFERED) broken();
    if (!paused && !lost && !ended && address()) settle();
    open();
  }, 500);

  // What the operator does

  if (address()) {
    pause.hidden = false;
    found();
    open();
  } else {
    say("still", "");
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
    heldSince = waiting = null;
    retryAt = 0;
    if (paused) {
      close();
      sayHowItGoes();
    } else {
      found();
      open();
      ask();
    }
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return close();
    retryAt = 0;
    open();
    if (!paused) ask();
  });
  window.addEventListener("offline", () => stream && broken());
  window.addEventListener("online", () => {
    retryAt = 0;
    open();
  });
  window.addEventListener("pagehide", () => {
    leaving = true;
    close();
  });
  window.addEventListener("pageshow", () => {
    leaving = false;
    open();
  });

  // Asking, by htmx

  const isPoll = (ctx) => ctx?.sourceElement?.id === "live" && ctx.request !== undefined;

  document.addEventListener("htmx:config:request", (event) => {
    if (!isPoll(event.detail.ctx)) return;
    if (paused || ended || document.hidden || streaming()) event.preventDefault();
  });

  // What somebody asked for is shown wherever the pointer is; only figures that come by themselves leave out what is held.
  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement?.id === "live") keep();
    else heldSince = waiting = null;
    if (isPoll(ctx)) behind = kept !== null;
  });

  // A session that is over leads to another page, whose markup has nothing to say here.
  document.addEventListener("htmx:before:response", (event) => {
    const { ctx } = event.detail;
    const { redirected, status } = ctx.response.raw;
    const signedOut = status === 401 || (redirected && new URL(ctx.response.raw.url).pathname === "/login");
    if (!signedOut) return;
    event.preventDefault();
    end();
  });

  document.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (isPoll(ctx)) failed(ctx.response.status);
  });

  document.addEventListener("htmx:error", (event) => {
    const { ctx } = event.detail;
    if (isPoll(ctx) && !leaving && !streaming()) unreachable();
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    putBack();
    follow();
    if (ctx.request && ctx.response && ctx.response.status < 400) found();
  });
})();
