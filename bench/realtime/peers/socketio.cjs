// The chat on Socket.IO for Node, as one would write it: every message emitted to its room, or, with a window, collected
// per room for so many milliseconds. node --expose-gc socketio.cjs [window]; prints its port; SIGUSR2 collects garbage.
const { randomUUID } = require("node:crypto");
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const window = Number(process.argv[2] || 0);
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  pingInterval: 25000,
  pingTimeout: 60000,
  maxHttpBufferSize: 1e6,
});
const collected = new Map(); // room -> messages of the open window

function leave(room) {
  const messages = collected.get(room);
  collected.delete(room);
  io.to(room).emit("new_messages_batch", messages);
}

function deliver(room, message) {
  if (!window) return io.to(room).emit("new_message", message);
  const messages = collected.get(room);
  if (messages) return messages.push(message);
  collected.set(room, [message]);
  setTimeout(leave, window, room);
}

io.on("connection", (socket) => {
  socket.on("authenticate", (id, ack) => {
    socket.data.user = { id, username: `user ${id}` };
    socket.emit("authenticated", { user: socket.data.user });
    ack?.({ ok: true });
  });
  socket.on("join_conversation", (id, ack) => {
    socket.join(`conversation:${id}`);
    ack?.({ ok: true });
  });
  socket.on("send_message", (sent, ack) => {
    const message = {
      id: randomUUID(),
      conversation_id: sent.conversation_id,
      sender_id: sent.sender_id,
      content: sent.content,
      message_type: sent.message_type,
      created_at: new Date().toISOString(),
      sender: socket.data.user,
    };
    deliver(`conversation:${sent.conversation_id}`, message);
    ack?.({ ok: true, messages: [message.id] });
  });
});

process.on("SIGUSR2", () => global.gc?.());
http.listen(0, "127.0.0.1", () => console.log(`ready on http://127.0.0.1:${http.address().port}`));
