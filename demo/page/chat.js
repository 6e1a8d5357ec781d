// Conversations. Behind an edge with a realtime core, messages arrive as they are written; without one, or while it
// is away, they are read by polling and written in batches. Either way nothing typed is lost without a word.

import { avatar, element, icon, plural, toast, when } from "./dom.js";
import { draftsOf } from "./drafts.js";
import { isLive, live, post, speakFor, takePart, tellTyping } from "./live.js";
import { Failure, idempotencyKey, readOwn, send } from "./network.js";

const POLLING = 4000;
const TYPING_TOLD = 1500; // the core takes it that somebody has stopped after twice this time

const dialog = document.getElementById("chat");
const body = document.getElementById("chat-body");
const compose = document.getElementById("compose");
const title = document.getElementById("chat-title");
const back = document.getElementById("chat-back");
const here = document.getElementById("chat-here");
const offer = document.getElementById("chat-offer");
const typingLine = document.getElementById("chat-typing");

let user = null;
let conversation = null;
let messages = new Map(); // of the open conversation; an application that was started anew gives the same ids again
let drafts = draftsOf(null);
let sending = false;
let answered = false; // since the conversation was opened, and since a message was last not sent
let timer = 0;
let typists = new Map();
let toldTyping = 0;

/** Whose conversations these are. */
export function chatAs(someone) {
  leave();
  user = someone;
  drafts = draftsOf(user);
  if (dialog.open) enter();
  else speakFor(null); // nobody stays connected as somebody else
}

export function wireChat() {
  document.getElementById("open-chat").addEventListener("click", () => {
    dialog.showModal();
    enter();
  });
  back.addEventListener("click", listConversations);
  offer.lastElementChild.addEventListener("click", () => sendAgain(drafts.failed(conversation.id)));
  dialog.addEventListener("close", leave);
  compose.addEventListener("submit", (event) => {
    event.preventDefault();
    write(compose.content.value.trim());
  });
  compose.content.addEventListener("input", () => {
    drafts.type(conversation.id, compose.content.value);
    tellTypingNow();
  });
  live.addEventListener("state", showState);
  live.addEventListener("lost", () => conversation && poll());
  live.addEventListener("new_messages_batch", ({ detail }) => receive(detail.filter(ofThis), true));
  live.addEventListener("message_deleted", ({ detail }) => ofThis(detail) && remove(detail.message_id));
  live.addEventListener("user_typing", ({ detail }) => showTyping(detail, true));
  live.addEventListener("user_stopped_typing", ({ detail }) => showTyping(detail, false));
  live.addEventListener("presence_update", ({ detail }) => showPresence(detail));
}

const ofThis = (detail) => conversation !== null && (detail.conversation_id ?? detail.conversationId) === conversation.id;

function enter() {
  speakFor(user);
  if (!isLive()) flush(); // what still waited for its turn when its writer became somebody else
  listConversations();
}

function leave() {
  clearTimeout(timer);
  if (conversation && toldTyping) tellTyping(conversation.id, false);
  conversation = null;
  messages = new Map();
  typists = new Map();
  toldTyping = 0;
  answered = false;
  offer.hidden = true;
  typingLine.textContent = here.textContent = "";
  takePart(null);
}

async function listConversations() {
  leave();
  back.hidden = compose.hidden = true;
  title.textContent = "Conversations";
  showState();
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
  const faces = element("span.faces", {}, others.slice(0, 3).map((member) => avatar(member, 30)));
  return element("li", {}, element("button", { type: "button", onclick: () => open(one) }, faces, element("span.last", {}, element("b", {}, one.title), latest(one)), one.last_message ? when(one.last_message.created_at) : null));
}

function latest(one) {
  if (drafts.failed(one.id).length) return element("span.unsent", {}, "A message was not sent");
  if (drafts.typed(one.id)) return element("span", {}, element("em", {}, "Draft:"), ` ${drafts.typed(one.id)}`);
  const last = one.last_message;
  if (!last) return element("span", {}, "No messages yet");
  const speaker = last.sender_id === user.id ? "You" : one.participants.find((member) => member.id === last.sender_id)?.full_name.split(" ")[0];
  return element("span", {}, `${speaker}: ${last.content}`);
}

function open(one) {
  conversation = one;
  back.hidden = compose.hidden = false;
  title.textContent = one.title;
  compose.content.value = drafts.typed(one.id);
  body.replaceChildren(element("div.skeleton.line"), element("div.skeleton.line"));
  // First a member, then the history: what is written in between arrives twice rather than never.
  takePart(one.id);
  poll();
  showState();
  compose.content.focus();
}

// Reading

async function poll() {
  clearTimeout(timer);
  const current = conversation;
  if (!current || !dialog.open) return;
  try {
    if (!document.hidden || !messages.size) {
      const { document: page, verdict } = await readOwn(`/api/chat/messages/${current.id}?per_page=40`);
      if (current === conversation) receive(page.messages, verdict !== "stale");
    }
  } catch (failure) {
    if (current === conversation && !body.querySelector("ol")) apologise(failure, poll);
  }
  if (current === conversation && !isLive()) timer = setTimeout(poll, POLLING);
}

function receive(some, fresh) {
  answered ||= fresh;
  for (const message of some) {
    messages.set(`${message.id} ${message.created_at}`, message);
    drafts.forget([message]);
    showTyping({ conversationId: conversation.id, userId: message.sender_id }, false);
  }
  paint();
}

function remove(id) {
  const latest = [...messages].filter(([, message]) => String(message.id) === String(id)).sort(byTime).at(-1);
  if (latest && messages.delete(latest[0])) paint();
}

const byTime = ([, one], [, other]) => Date.parse(one.created_at) - Date.parse(other.created_at) || one.id - other.id;

function paint() {
  const list = body.querySelector("ol") ?? element("ol.messages", { role: "log", "aria-live": "polite" });
  const atEnd = !list.isConnected || body.scrollHeight - body.scrollTop - body.clientHeight < 80;
  const known = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const inOrder = [...messages].sort(byTime).map(([, message]) => message);
  const nodes = [...inOrder.map(bubble), ...drafts.unsent(conversation.id).map(waitingBubble)].map((node) => {
    const before = known.get(node.dataset.key);
    return before?.outerHTML === node.outerHTML ? before : node;
  });
  // Only what has changed is touched, so that a screen reader says what is new and nothing else.
  nodes.forEach((node, index) => list.children[index] === node || list.insertBefore(node, list.children[index] ?? null));
  while (list.children.length > nodes.length) list.lastChild.remove();
  if (!list.isConnected) body.replaceChildren(list);
  showOffer();
  if (atEnd) body.scrollTop = body.scrollHeight;
}

function bubble(message, index, all) {
  const own = message.sender_id === user.id;
  const follows = all[index - 1]?.sender_id === message.sender_id;
  const face = own ? null : follows ? element("span.gap") : avatar(message.sender, 30);
  const name = own || follows ? null : element("b", {}, message.sender.full_name);
  return element(`li.bubble${own ? ".own" : ""}${follows ? ".follows" : ""}`, { "data-key": message.client_id ?? `${message.id} ${message.created_at}` }, face, element("p", { title: new Date(message.created_at).toLocaleString("en-GB") }, name, message.content));
}

function waitingBubble(draft) {
  const why = drafts.reason(draft);
  const said = element("p", {}, draft.content);
  if (!why) return element("li.bubble.own.waiting", { "data-key": draft.client_id }, said);
  const button = (label, act) => element("button.button", { type: "button", "aria-label": `${label}: ${draft.content.slice(0, 60)}`, onclick: () => act(draft) }, label);
  return element("li.bubble.own.failed", { "data-key": draft.client_id }, said, element("span.why", { role: "alert" }, icon("road-hazard"), element("span", {}, element("b", {}, "Not sent."), ` ${why}`)), element("span.ways", {}, button("Take back", takeBack), button("Send again", (one) => sendAgain([one]))));
}

/** Once it may get through, and wherever one reads: what was not sent can be sent again, all of it at once. */
function showOffer() {
  const count = drafts.failed(conversation.id).length;
  const said = answered && count ? `${plural(count, "message")} ${count === 1 ? "was" : "were"} not sent.` : "";
  const line = offer.firstElementChild;
  if (line.textContent !== said) line.textContent = said; // the same again would be read out again
  offer.hidden = !said;
}

function apologise(failure, again) {
  if (!(failure instanceof Failure)) throw failure;
  body.replaceChildren(element("div.empty", { role: "alert" }, element("h2", {}, "Nobody picks up"), element("p", {}, failure.message), drafts.any ? element("p", {}, "What you have written is kept in this tab.") : null, element("button.button.primary", { type: "button", onclick: again }, "Try again")));
}

// Writing

function write(content) {
  if (!content) return;
  compose.content.value = "";
  drafts.type(conversation.id, "");
  toldTyping = 0; // the message itself says that its writer has stopped
  const draft = { conversation_id: conversation.id, sender_id: user.id, content, message_type: "text", client_id: idempotencyKey() };
  drafts.add(draft);
  deliver([draft]);
}

/** Under the names that they have: what has arrived before after all is not said twice. */
function sendAgain(some) {
  drafts.retry(some);
  compose.content.focus(); // the button goes
  deliver(some);
}

function takeBack(draft) {
  drafts.forget([draft]);
  compose.content.value = [draft.content, compose.content.value].filter(Boolean).join(" ");
  drafts.type(conversation.id, compose.content.value);
  compose.content.focus();
  paint();
}

function deliver(some) {
  paint();
  body.scrollTop = body.scrollHeight;
  if (isLive()) some.forEach(postLive);
  else flush();
}

async function postLive(draft) {
  const written = drafts;
  try {
    await post(draft);
    written.arrive([draft]);
  } catch (failure) {
    fail(written, [draft], failure);
  }
}

async function flush() {
  const written = drafts;
  // Of one conversation at a time, whether or not it is the one that is open.
  const batch = written.sending().slice(0, 100);
  if (sending || !batch.length) return;
  sending = true;
  try {
    const messages = batch.map(({ conversation_id, ...draft }) => draft);
    await send("POST", "/api/chat/messages/batch", { conversation_id: batch[0].conversation_id, messages }, { "Idempotency-Key": idempotencyKey() });
    written.arrive(batch);
    await poll();
    written.forget(batch);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    fail(written, batch, failure);
  } finally {
    sending = false;
  }
  flush();
}

/** What did not get through stays where it was written, and says so. */
function fail(written, some, failure) {
  const lost = written.fail(some, failure.message);
  if (!lost.length || written !== drafts) return; // its writer finds it on coming back
  answered = false;
  if (lost[0].conversation_id === conversation?.id) paint();
  else toast(`A message was not sent: ${failure.message}`, "bad");
}

// Who is there

function tellTypingNow() {
  const now = Date.now();
  if (!compose.content.value) {
    if (toldTyping) tellTyping(conversation.id, false);
    toldTyping = 0;
  } else if (now - toldTyping > TYPING_TOLD) {
    toldTyping = now;
    tellTyping(conversation.id, true);
  }
}

function showTyping({ conversationId, userId, username }, typing) {
  if (conversationId !== conversation?.id || userId === user.id) return;
  if (typing) typists.set(userId, nameOf(userId) ?? username ?? "Somebody");
  else typists.delete(userId);
  const names = [...typists.values()];
  typingLine.textContent = names.length ? `${names.slice(0, 3).join(", ")} ${names.length === 1 ? "is" : "are"} typing …` : "";
}

function showPresence(detail) {
  if (!ofThis(detail)) return;
  const others = detail.users.filter((id) => id !== user.id).map((id) => nameOf(id) ?? id);
  here.textContent = others.length ? `${others.slice(0, 3).join(", ")}${others.length > 3 ? ` and ${others.length - 3} more` : ""} here now` : "Live · only you are here";
}

const nameOf = (id) => conversation.participants.find((member) => member.id === id)?.full_name.split(" ")[0];

function showState() {
  dialog.dataset.live = isLive();
  if (!isLive()) {
    here.textContent = conversation ? "Not live: new messages appear every few seconds" : "";
    typists = new Map();
    typingLine.textContent = "";
    if (conversation) poll();
  } else if (conversation) {
    here.textContent ||= "Live";
    if (here.textContent.startsWith("Not live")) here.textContent = "Live";
  }
}
