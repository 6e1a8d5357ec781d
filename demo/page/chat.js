// Conversations: read by polling, written in batches. What is typed while a batch travels leaves with the next one.

import { avatar, element, toast, when } from "./dom.js";
import { Failure, idempotencyKey, readOwn, send } from "./network.js";

const POLLING = 4000;

const dialog = document.getElementById("chat");
const body = document.getElementById("chat-body");
const compose = document.getElementById("compose");
const title = document.getElementById("chat-title");
const back = document.getElementById("chat-back");

let user = null;
let conversation = null;
let unsent = [];
let sending = false;
let timer = 0;

/** Whose conversations these are. */
export function chatAs(someone) {
  user = someone;
  conversation = null;
  unsent = [];
  if (dialog.open) listConversations();
}

export function wireChat() {
  document.getElementById("open-chat").addEventListener("click", () => {
    dialog.showModal();
    listConversations();
  });
  back.addEventListener("click", listConversations);
  dialog.addEventListener("close", () => clearTimeout(timer));
  compose.addEventListener("submit", (event) => {
    event.preventDefault();
    const content = compose.content.value.trim();
    if (!content) return;
    compose.content.value = "";
    unsent.push({ sender_id: user.id, content, message_type: "text", client_id: idempotencyKey() });
    append(element("li.bubble.own.waiting", {}, element("p", {}, content)));
    flush();
  });
}

async function listConversations() {
  clearTimeout(timer);
  conversation = null;
  back.hidden = compose.hidden = true;
  title.textContent = "Conversations";
  if (!user) {
    body.replaceChildren(element("div.empty", {}, element("h2", {}, "Who are you?"), element("p", {}, "Pick somebody to browse as, at the top of the page, and their conversations appear here.")));
    return;
  }
  body.replaceChildren(...Array.from({ length: 4 }, () => element("div.skeleton.line")));
  try {
    const { document: list } = await readOwn(`/api/chat/conversations?user=${user.id}`);
    if (conversation === null) body.replaceChildren(element("ul.conversations", {}, list.conversations.map(entry)));
  } catch (failure) {
    apologise(failure, listConversations);
  }
}

function entry(one) {
  const others = one.participants.filter((member) => member.id !== user.id);
  const last = one.last_message;
  const speaker = last && (last.sender_id === user.id ? "You" : one.participants.find((member) => member.id === last.sender_id)?.full_name.split(" ")[0]);
  const faces = element("span.faces", {}, others.slice(0, 3).map((member) => avatar(member, 30)));
  return element("li", {}, element("button", { type: "button", onclick: () => open(one) }, faces, element("span.last", {}, element("b", {}, one.title), element("span", {}, last ? `${speaker}: ${last.content}` : "No messages yet")), last ? when(last.created_at) : null));
}

function open(one) {
  conversation = one;
  back.hidden = compose.hidden = false;
  title.textContent = one.title;
  body.replaceChildren(element("div.skeleton.line"), element("div.skeleton.line"));
  poll();
  compose.content.focus();
}

async function poll() {
  clearTimeout(timer);
  const current = conversation;
  if (!current || !dialog.open) return;
  try {
    if (!document.hidden) {
      const { document: page } = await readOwn(`/api/chat/messages/${current.id}?per_page=40`);
      if (current === conversation) paint(page.messages);
    }
  } catch (failure) {
    if (current === conversation && !body.querySelector("ol")) apologise(failure, poll);
  }
  if (current === conversation) timer = setTimeout(poll, POLLING);
}

function paint(messages) {
  const atEnd = !body.querySelector("ol") || body.scrollHeight - body.scrollTop - body.clientHeight < 80;
  const known = new Set(messages.map((message) => message.client_id));
  const waiting = unsent.filter((draft) => !known.has(draft.client_id));
  body.replaceChildren(element("ol.messages", {}, messages.map(bubble), waiting.map((draft) => element("li.bubble.own.waiting", {}, element("p", {}, draft.content)))));
  if (atEnd) body.scrollTop = body.scrollHeight;
}

function bubble(message, index, all) {
  const own = message.sender_id === user.id;
  const follows = all[index - 1]?.sender_id === message.sender_id;
  const face = own ? null : follows ? element("span.gap") : avatar(message.sender, 30);
  const name = own || follows ? null : element("b", {}, message.sender.full_name);
  return element(`li.bubble${own ? ".own" : ""}${follows ? ".follows" : ""}`, {}, face, element("p", { title: new Date(message.created_at).toLocaleString("en-GB") }, name, message.content));
}

function append(node) {
  body.querySelector("ol")?.append(node);
  body.scrollTop = body.scrollHeight;
}

async function flush() {
  if (sending || !unsent.length) return;
  sending = true;
  const batch = unsent.slice(0, 100);
  const target = conversation;
  try {
    await send("POST", "/api/chat/messages/batch", { conversation_id: target.id, messages: batch }, { "Idempotency-Key": idempotencyKey() });
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    toast(`Not sent: ${failure.message}`, "bad");
    if (conversation === target && !compose.content.value) compose.content.value = batch.map((draft) => draft.content).join(" ");
  } finally {
    unsent = unsent.filter((draft) => !batch.includes(draft));
    sending = false;
  }
  if (unsent.length) flush();
  else poll();
}

function apologise(failure, again) {
  if (!(failure instanceof Failure)) throw failure;
  body.replaceChildren(element("div.empty", { role: "alert" }, element("h2", {}, "Nobody picks up"), element("p", {}, failure.message), element("button.button.primary", { type: "button", onclick: again }, "Try again")));
}
