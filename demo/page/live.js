// The one connection to the realtime core in front of this application. Opened when somebody first chats, shared by
// whatever wants to hear; when there is no such core, everything works by asking now and then.

import { behindEdge } from "./network.js";

const socketConfig = {
  transports: ["websocket"], // no long-polling before
  autoConnect: false, // only when somebody chats
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

/** Dispatches `state`, `lost` (something may have been missed), and the core's own events with what they bring as `detail`. */
export const live = new EventTarget();
const EVENTS = ["new_messages_batch", "message_deleted", "message_error", "user_typing", "user_stopped_typing", "presence_update"];

let socket = null;
let user = null;
let authenticated = false;
let joined = null;
let again = 0;

/** Whether what is sent now goes through the core. */
export const isLive = () => authenticated;

/** Speak for this user from now on; null: for nobody. */
export async function speakFor(someone) {
  if (someone?.id === user?.id && (socket || !someone)) return;
  user = someone;
  joined = null;
  clearTimeout(again);
  if (socket) {
    socket.disconnect();
    become(false);
  }
  if (!user || !behindEdge()) return;
  socket ??= await opened();
  socket.connect();
}

/** Take part in a conversation, and leave the one before; null: in none. */
export function takePart(conversation) {
  if (conversation === joined) return;
  if (joined && authenticated) socket.emit("leave_conversation", joined);
  joined = conversation;
  if (joined && authenticated) socket.emit("join_conversation", joined);
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
  const made = io(socketConfig);
  made.on("connect", () => made.emit("authenticate", user.id));
  made.on("authenticated", () => {
    // A session that was recovered is still where it was, and has been given what it missed.
    if (!made.recovered && joined) made.emit("join_conversation", joined);
    become(true);
    if (!made.recovered) live.dispatchEvent(new Event("lost"));
  });
  made.on("auth_error", () => made.disconnect());
  made.on("disconnect", (reason) => {
    become(false);
    if (reason === "io server disconnect") tryAgain();
  });
  made.io.on("reconnect_failed", tryAgain);
  made.on("connect_error", () => made.active || tryAgain());
  for (const name of EVENTS) made.on(name, (detail) => live.dispatchEvent(new CustomEvent(name, { detail })));
  return made;
}

function tryAgain() {
  clearTimeout(again);
  again = setTimeout(() => user && socket.connect(), NEXT_TRY);
}

function become(now) {
  if (authenticated === now) return;
  authenticated = now;
  live.dispatchEvent(new Event("state"));
}
