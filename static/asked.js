// What somebody asked for, apart from figures that come by themselves: that it takes a while, what became of it.
// The pages work without this file: what it says, a reload says on top of the page.
(() => {
  "use strict";
  const flash = document.getElementById("flash");
  const loading = document.getElementById("loading");
  const bar = document.querySelector(".bar");
  if (!flash || !loading || !bar || !window.htmx) return;

  const NOTICED = 300; // what is shown sooner feels like at once
  const READ = 10_000;

  const isPoll = (ctx) => ctx?.sourceElement?.id === "live";

  // What is told stays in view below the bar, however high that is.
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--bar-height", `${bar.offsetHeight}px`);
  }).observe(bar);

  function tell(text) {
    const message = document.createElement("p");
    message.className = "message message-bad";
    message.textContent = text;
    flash.replaceChildren(message);
    return message;
  }

  // It lies above the page, so that no row moves away; whoever has read it puts it aside. The observer also sees what
  // other scripts and answers put there.
  function dismissable() {
    for (const message of flash.querySelectorAll(".message")) {
      if (message.querySelector(".dismiss")) continue;
      const dismiss = document.createElement("button");
      dismiss.type = "button";
      dismiss.className = "dismiss";
      dismiss.ariaLabel = "Dismiss";
      message.append(dismiss);
      // A sentence that all went well has been read by then; what went wrong waits for the reader.
      if (!message.matches(".message-bad")) setTimeout(leave, READ, message);
    }
  }

  function leave(message) {
    if (message.matches(":hover, :focus-within")) setTimeout(leave, READ, message);
    else message.remove();
  }

  dismissable();
  new MutationObserver(dismissable).observe(flash, { childList: true });
  flash.addEventListener("click", (event) => event.target.closest(".dismiss")?.closest(".message").remove());

  // The field that was refused says so itself, until it is changed.
  function refuse(form, text) {
    const named = form.elements.namedItem(text.split(":", 1)[0]);
    const field = named instanceof HTMLElement ? named : form.querySelector("input[type=text]");
    if (!field) return;
    const described = field.getAttribute("aria-describedby");
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", described ? `${described} flash` : "flash");
    const changed = () => {
      field.removeAttribute("aria-invalid");
      if (described) field.setAttribute("aria-describedby", described);
      else field.removeAttribute("aria-describedby");
    };
    field.addEventListener("input", changed, { once: true });
  }

  document.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (isPoll(ctx)) return;
    const text = ctx.text.startsWith("<") ? `status ${ctx.response.status}` : ctx.text.trim();
    tell(`That did not work: ${text}`);
    if (ctx.sourceElement.matches("form[method=post]")) refuse(ctx.sourceElement, text);
  });

  // What takes a while is said to be under way, however long the dashboard hangs.
  const underWay = new Map(); // what is asked: the timer that says so

  function busy() {
    const slow = [...underWay.values()].includes(null);
    const text = slow ? "Loading…" : "";
    if (loading.textContent !== text) loading.textContent = text;
    const main = document.getElementById("live");
    if (slow) main?.setAttribute("aria-busy", "true");
    else main?.removeAttribute("aria-busy");
  }

  document.addEventListener("htmx:before:request", (event) => {
    const { ctx } = event.detail;
    if (isPoll(ctx)) return;
    const timer = setTimeout(() => {
      underWay.set(ctx, null);
      busy();
    }, NOTICED);
    underWay.set(ctx, timer);
  });

  document.addEventListener("htmx:finally:request", (event) => {
    const { ctx } = event.detail;
    clearTimeout(underWay.get(ctx));
    if (underWay.delete(ctx)) busy();
  });

  // A filter that got no answer is asked again when there are figures again: the list must be what the form says.
  // An action is not repeated by itself.
  let unanswered = null; // { form, message }

  function answered() {
    unanswered?.message.remove();
    unanswered = null;
  }

  document.addEventListener("htmx:error", (event) => {
    const { ctx } = event.detail;
    if (!ctx?.request || isPoll(ctx)) return;
    const message = tell("That did not work: no connection to the dashboard");
    if (ctx.sourceElement.matches("form[method=get]")) unanswered = { form: ctx.sourceElement, message };
  });

  document.addEventListener("figures:came", () => {
    const form = unanswered?.form;
    answered();
    if (form?.isConnected) htmx.trigger(form, "submit");
  });

  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.request && ctx.sourceElement === unanswered?.form) answered();
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    busy(); // figures that came meanwhile do not know of it
    if (!ctx.request) return;
    // The button that was pressed went with its row: lead the keyboard to the message that says so. What was refused
    // is still there, and so is whoever mends it.
    if (ctx.request.method === "POST") {
      if (ctx.response.status < 400) flash.focus({ preventScroll: true });
    }
    // A question was put there: lead to it, wherever on the page it was asked.
    else if (ctx.target === flash) flash.focus();
  });
})();
