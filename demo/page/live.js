// The one connection to the realtime core in front of this application, shared by whatever wants to hear. Where there is
// no such core, everything works by asking now and then.

import { behindEdge } from "./network.js";

const socketConfig = {
  transports: ["websocket"], // no long-polling before
  autoConnect: false, // only when it is known that there is somebody to connect to
  reconnectionAttempts: 3,
  reconnectionDelay: 500,
  timeout: 10000,
  upgrade: false,
  pingTimeout: 60000,
  pingInterval: 25000,
  maxHttpBufferSize: 1e6,
  allowEIO3: false,
};
const NEXT_TRY = 10000; // once the attempts above are used up
const PATIENCE = 30000; // for an acknowledgement: longer than the core tries to have a message kept
const CHANNEL = "reports";

/** Dispatches `state`, `lost` (something may have been missed), and the core's own events with what they bring as `detail`. */
export const live = new EventTarget();
const EVENTS = [
  "new_messages_batch", "message_deleted", "message_error", "user_typing", "user_stopped_typing", "presence_update",
  "report_created", "report_updated",
];

let opening = null;
let socket = null;
let user = null;
let authenticated = false;
let joined = null;
const entered = new Set(); // what the core may have this session in, as far as we know
let again = 0;

/** Whether what is sent now goes through the core. */
export const isLive = () => authenticated;

/** Hear what is published, as nobody in particular. */
export async function listen() {
  if (!behindEdge()) return;
  opening ??= opened();
  (await opening).connect();
}

/** Speak for this user from now on; null: for nobody. */
export function speakFor(someone) {
  if (someone?.id === user?.id) {
    if (!socket) listen(); // there may be an edge by now
    return;
  }
  const before = user;
  user = someone;
  joined = null;
  if (before && socket) {
    // A new connection, so that nobody goes on as somebody else.
    become(false);
    socket.disconnect().connect();
  } else if (socket?.connected) socket.emit("authenticate", user.id);
  else listen();
}

/** Take part in a conversation, and leave the one before; null: in none. */
export function takePart(conversation) {
  if (conversation === joined) return;
  joined = conversation;
  if (authenticated) reconcile();
}

/** Tell the core where to have us. To be told again what it knows changes nothing. */
function reconcile() {
  for (const other of entered) {
    // Only an answer says that it has heard: until then it is told again.
    if (other !== joined) socket.emit("leave_conversation", other, () => other !== joined && entered.delete(other));
  }
  if (!joined) return;
  entered.add(joined);
  // Who comes back before anybody has missed them changes nothing, so nothing but the answer says who is there.
  socket.emit("join_conversation", joined, (answer) => {
    if (answer?.ok) tell("presence_update", { conversationId: answer.conversation_id, users: answer.users });
  });
}

export function tellTyping(conversation, typing) {
  if (authenticated) socket.emit(typing ? "typing_start" : "typing_stop", conversation);
}

/** Resolves when the message has been kept and delivered; rejects with a sentence for whoever wrote it. */
export async function post(message) {
  let answer;
  try {
    answer = await socket.timeout(PATIENCE).emitWithAck("send_message", message);
  } catch {
    throw new Error("No answer came; it may or may not have arrived.");
  }
  if (!answer?.ok) throw new Error(answer?.error ?? "It was refused.");
}

async function opened() {
  const { io } = await import("./vendor/socket.io.js");
  socket = io(socketConfig);
  socket.on("connect", () => {
    if (!socket.recovered) entered.clear();
    socket.emit("subscribe", CHANNEL);
    if (user) socket.emit("authenticate", user.id);
  });
  socket.on("authenticated", (answer) => {
    if (answer.user.id !== user?.id) return;
    // A session that was recovered is still where it was, and has been given what it missed there; but that need not
    // be where it wants to be by now.
    const missed = !socket.recovered || (joined && !entered.has(joined));
    reconcile();
    become(true);
    if (missed) live.dispatchEvent(new Event("lost"));
  });
  socket.on("disconnect", (reason) => {
    become(false);
    if (reason === "io server disconnect") tryAgain();
  });
  socket.on("connect_error", () => socket.active || tryAgain());
  socket.io.on("reconnect_failed", tryAgain);
  for (const name of EVENTS) socket.on(name, (detail) => tell(name, detail));
  return socket;
}

const tell = (name, detail) => live.dispatchEvent(new CustomEvent(name, { detail }));

function tryAgain() {
  clearTimeout(again);
  again = setTimeout(() => socket.connect(), NEXT_TRY);
}

function become(now) {
  if (authenticated === now) return;
  authenticated = now;
  live.dispatchEvent(new Event("state"));
}
