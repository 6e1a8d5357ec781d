// Keeps a page live, and says truthfully whether it is. The pages work without this file.
(() => {
  "use strict";
  const state = document.getElementById("live-state");
  const pause = document.getElementById("pause");
  const flash = document.getElementById("flash");
  if (!state || !pause || !flash || !window.htmx) return;

  let paused = false;
  let lostAt = null;

  const live = () => document.getElementById("live");
  const time = (moment) => moment.toLocaleTimeString([], { hour12: false });

  // A row must not move away under the pointer or the keyboard that is about to press its button.
  const held = () => document.querySelector("[data-hold]:hover, [data-hold]:focus-within, .purge-all[open]") !== null;

  function say(name, text) {
    if (state.dataset.state !== name) state.dataset.state = name;
    if (state.textContent !== text) state.textContent = text;
  }

  function lost(why) {
    lostAt ??= new Date();
    say("lost", `${why}; figures are of ${time(lostAt)}`);
    document.documentElement.classList.add("is-lost");
  }

  function found() {
    lostAt = null;
    document.documentElement.classList.remove("is-lost");
    say(paused ? "paused" : "live", paused ? `Paused at ${time(new Date())}` : "Live");
  }

  function refresh() {
    htmx.trigger(live(), "every");
  }

  function fail(text) {
    const message = document.createElement("p");
    message.className = "message message-bad";
    message.textContent = text;
    flash.replaceChildren(message);
  }

  pause.hidden = false;
  found();
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
    found();
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !paused) refresh();
  });

  const isPoll = (ctx) => ctx.sourceElement.id === "live";

  document.addEventListener("htmx:config:request", (event) => {
    if (!isPoll(event.detail.ctx)) return;
    if (paused || document.hidden) event.preventDefault();
    else if (held()) {
      event.preventDefault();
      say("held", "Holding still while you choose");
    }
  });

  document.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    const status = ctx.response.status;
    if (isPoll(ctx)) lost(`The dashboard answered ${status}`);
    else fail(`That did not work: ${ctx.text.startsWith("<") ? `status ${status}` : ctx.text.trim()}`);
  });

  document.addEventListener("htmx:error", (event) => {
    const { ctx } = event.detail;
    if (!ctx) return;
    if (isPoll(ctx)) lost("No connection");
    else fail("That did not work: no connection to the dashboard");
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.response && ctx.response.status < 400) found();
    // The button that was pressed went with its row: lead the keyboard to the message that says so.
    if (ctx.request.method === "POST") flash.focus({ preventScroll: true });
    // A question was put there: lead to it, wherever on the page it was asked.
    else if (ctx.target === flash) flash.focus();
  });
})();
