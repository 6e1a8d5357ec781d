// What an application's own client does, with the client of that application: socket.io-client, unmodified, and the
// configuration it always had. Each scenario is a function; tests/socketio_client.py runs one and carries out its steps.
"use strict";

const assert = require("node:assert/strict");
const readline = require("node:readline");
const { io } = require("socket.io-client");

const socketConfig = {
  transports: ["websocket"], // Force WebSocket only
  autoConnect: false, // Manual connection control
  reconnectionAttempts: 3, // Reduced from 5
  reconnectionDelay: 500, // Reduced from 1000
  timeout: 10000, // Reduced from 20000
  upgrade: false, // Disable upgrade for better performance
  pingTimeout: 60000,
  pingInterval: 25000,
  maxHttpBufferSize: 1e6, // 1MB limit
  allowEIO3: false, // Disable legacy support
};

const [, , name, url] = process.argv;
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Have the test do something, such as killing the server, and wait until it is done. */
async function step(what) {
  process.stdout.write(JSON.stringify({ step: what }) + "\n");
  return JSON.parse((await answers.next()).value);
}

/** A client that writes down every event; `seen(event)` are their first arguments so far. */
function client(options = {}) {
  const socket = io(url, { ...socketConfig, forceNew: true, ...options });
  const log = [];
  const waiting = new Set();
  const note = (event, payload) => {
    log.push([event, payload]);
    for (const check of waiting) check();
  };
  socket.onAny((event, payload) => note(event, payload));
  for (const event of ["connect", "disconnect", "connect_error"]) socket.on(event, (payload) => note(event, payload));
  socket.log = log;
  socket.seen = (event) => log.filter(([each]) => each === event).map(([, payload]) => payload);
  socket.until = (what, condition) =>
    new Promise((resolve, reject) => {
      const check = () => {
        const value = condition();
        if (!value) return;
        clearTimeout(timer);
        waiting.delete(check);
        resolve(value);
      };
      const timer = setTimeout(() => reject(new Error(`never: ${what}\n${JSON.stringify(log, null, 1)}`)), 15000);
      waiting.add(check);
      check();
    });
  socket.heard = async (event, count = 1) => {
    await socket.until(`${count} ${event}`, () => socket.seen(event).length >= count);
    return socket.seen(event)[count - 1];
  };
  socket.messages = () => socket.seen("new_messages_batch").flat();
  socket.contents = () => socket.messages().map((message) => message.content);
  socket.holds = (count) => socket.until(`${count} messages`, () => socket.messages().length >= count);
  socket.ask = (event, payload) => socket.timeout(15000).emitWithAck(event, payload);
  return socket;
}

/** A client that is connected, authenticated as `user` and in the conversations. */
async function member(user, conversations, options = {}) {
  const socket = client(options);
  socket.connect();
  assert.equal((await socket.ask("authenticate", user)).ok, true);
  for (const id of conversations) assert.equal((await socket.ask("join_conversation", id)).ok, true);
  return socket;
}

const text = (conversation_id, sender_id, content, more = {}) => ({ conversation_id, sender_id, content, message_type: "text", ...more });

const cut = (socket) => socket.io.engine.transport.ws.terminate?.() ?? socket.io.engine.transport.ws._socket.destroy();

const scenarios = {
  async ten_users_share_a_socket_and_the_eleventh_is_refused() {
    const socket = client();
    socket.connect();
    for (let user = 1; user <= 11; user++) socket.emit("authenticate", `u${user}`);
    await socket.heard("auth_error");
    const users = socket.seen("authenticated").map(({ user }) => user.id);
    assert.deepEqual(users, Array.from({ length: 10 }, (_, index) => `u${index + 1}`));
    assert.match(socket.seen("auth_error")[0].message, /10 users/);
    assert.equal((await socket.ask("authenticate", "u3")).ok, true); // who is there already is no eleventh
    assert.equal(socket.connected, true);
    // Every one of them can speak, and no other.
    await socket.ask("join_conversation", "7");
    assert.equal((await socket.ask("send_message", text("7", "u10", "from the tenth"))).ok, true);
    const refused = await socket.ask("send_message", text("7", "u11", "from the eleventh"));
    assert.equal(refused.reason, "not-authenticated");
  },

  async everything_at_once_without_waiting_for_answers() {
    const socket = client();
    socket.emit("authenticate", "u1"); // buffered by the client until it is connected
    socket.emit("join_conversation", "7");
    socket.emit("typing_start", "7");
    socket.emit("send_message", text("7", "u1", "hello"));
    socket.connect();
    const [message] = await socket.heard("new_messages_batch");
    assert.equal(message.content, "hello");
    assert.equal(message.sender.id, "u1");
    assert.deepEqual(socket.seen("message_error"), []);
  },

  async messages_come_in_batches_and_in_order() {
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    const acks = [];
    for (let number = 0; number < 100; number++) acks.push(alice.ask("send_message", text("7", "u1", `m${number}`, { client_id: `c${number}` })));
    const answers = await Promise.all(acks);
    await bob.holds(100);
    assert.deepEqual(bob.contents(), Array.from({ length: 100 }, (_, number) => `m${number}`));
    assert.deepEqual(alice.contents(), bob.contents());
    assert.deepEqual(bob.messages().map(({ id }) => id), answers.map(({ ok, messages: [id] }) => ok && id));
    assert.ok(bob.seen("new_messages_batch").length < 20, "a hundred messages are a few batches");
    const many = await alice.ask("send_message_batch", { conversation_id: "7", messages: ["x", "y", "z"].map((content) => ({ sender_id: "u1", content, message_type: "text" })) });
    assert.equal(many.messages.length, 3);
    await bob.holds(103);
    assert.deepEqual(bob.contents().slice(100), ["x", "y", "z"]);
    return { batches: bob.seen("new_messages_batch").length };
  },

  async a_repeated_client_id_is_not_sent_twice() {
    const alice = await member("u1", ["7"]);
    const first = await alice.ask("send_message", text("7", "u1", "once", { client_id: "c1" }));
    const again = await alice.ask("send_message", text("7", "u1", "once", { client_id: "c1" }));
    assert.deepEqual(first, again);
    await alice.ask("send_message", text("7", "u1", "then", { client_id: "c2" }));
    await alice.holds(2);
    assert.deepEqual(alice.contents(), ["once", "then"]);
  },

  async typing_is_told_to_the_others_and_stops_by_itself() {
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    for (let times = 0; times < 5; times++) alice.emit("typing_start", "7");
    const typing = await bob.heard("user_typing");
    assert.deepEqual(Object.keys(typing).sort(), ["conversationId", "userId", "username"]);
    assert.deepEqual([typing.userId, typing.conversationId], ["u1", "7"]);
    await bob.heard("user_stopped_typing");
    assert.equal(bob.seen("user_typing").length, 1, "five starts at once are one");
    alice.emit("typing_start", "7");
    await bob.heard("user_typing", 2);
    alice.emit("send_message", text("7", "u1", "sent"));
    await bob.heard("user_stopped_typing", 2);
    assert.deepEqual(alice.seen("user_typing"), []);
  },

  async leaving_flushes_the_batch() {
    // The test has set a window of ten seconds, fixed.
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    const began = Date.now();
    const sent = alice.ask("send_message", text("7", "u1", "left behind"));
    await alice.ask("leave_conversation", "7");
    await bob.holds(1);
    assert.equal((await sent).ok, true);
    assert.ok(Date.now() - began < 5000, "nobody waited for the window");
    assert.deepEqual(alice.contents(), ["left behind"]);
    await alice.ask("join_conversation", "7");
    alice.emit("send_message", text("7", "u1", "last words"));
    await alice.ask("client_metrics", { latency: 20 });
    alice.disconnect();
    await bob.holds(2);
    assert.ok(Date.now() - began < 5000, "a disconnect flushes as well");
  },

  async a_cut_connection_recovers_what_it_missed() {
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    const silent = await member("u3", ["8", "7"]);
    await alice.ask("send_message", text("7", "u1", "before"));
    await bob.holds(1);
    const ids = [bob.id, silent.id];
    cut(bob);
    cut(silent);
    await bob.heard("disconnect");
    for (let number = 0; number < 20; number++) await alice.ask("send_message", text("7", "u1", `missed ${number}`));
    await bob.heard("connect", 2);
    await silent.heard("connect", 2);
    assert.deepEqual([bob.recovered, silent.recovered], [true, true]);
    assert.deepEqual([bob.id, silent.id], ids);
    await alice.ask("send_message", text("7", "u1", "after"));
    await bob.holds(22);
    await silent.holds(22);
    const wanted = ["before", ...Array.from({ length: 20 }, (_, number) => `missed ${number}`), "after"];
    assert.deepEqual(bob.contents(), wanted);
    assert.deepEqual(silent.contents(), wanted);
    // It is still who it was: no need to authenticate or join again.
    assert.equal((await bob.ask("send_message", text("7", "u2", "still here"))).ok, true);
  },

  async a_killed_core_loses_nothing_that_was_acknowledged() {
    const patient = { reconnectionAttempts: 30 };
    const alice = await member("u1", ["7"], patient);
    const bob = await member("u2", ["7"], patient);
    const silent = await member("u3", ["7"], { ...patient, auth: { deliver: "single" } });
    const acknowledged = [];
    for (let number = 0; number < 10; number++) {
      const answer = await alice.ask("send_message", text("7", "u1", `m${number}`));
      acknowledged.push(...answer.messages);
    }
    cut(bob); // so that the last ones are only in the journal
    for (let number = 10; number < 15; number++) {
      const answer = await alice.ask("send_message", text("7", "u1", `m${number}`));
      acknowledged.push(...answer.messages);
    }
    await step("kill");
    await step("start");
    await bob.until("recovery", () => bob.connected && bob.recovered);
    await alice.until("recovery", () => alice.connected && alice.recovered);
    await silent.until("recovery", () => silent.connected && silent.recovered);
    const last = await alice.ask("send_message", text("7", "u1", "after the restart"));
    acknowledged.push(...last.messages);
    await bob.until("the last message", () => bob.contents().includes("after the restart"));
    await silent.until("the last message", () => silent.seen("new_message").some(({ content }) => content === "after the restart"));
    assert.deepEqual(bob.messages().map(({ id }) => id), acknowledged, "each exactly once, in order");
    assert.deepEqual(silent.seen("new_message").map(({ id }) => id), acknowledged, "in every shape");
    assert.deepEqual(alice.messages().map(({ id }) => id), acknowledged);
  },

  async long_polling_does_as_well() {
    const alice = await member("u1", ["7"], { transports: ["polling"] });
    const bob = await member("u2", ["7"], { transports: ["polling", "websocket"], upgrade: true });
    const carol = await member("u3", ["7"]);
    await bob.until("the upgrade", () => bob.io.engine.transport.name === "websocket");
    assert.equal(alice.io.engine.transport.name, "polling");
    const senders = [[alice, "u1"], [bob, "u2"], [carol, "u3"]];
    for (let number = 0; number < 30; number++) {
      const [socket, user] = senders[number % 3];
      assert.equal((await socket.ask("send_message", text("7", user, `m${number}`))).ok, true);
    }
    const wanted = Array.from({ length: 30 }, (_, number) => `m${number}`);
    for (const [socket] of senders) {
      await socket.holds(30);
      assert.deepEqual(socket.contents(), wanted);
    }
  },

  async an_application_that_is_down_is_told_to_the_sender() {
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    await step("down");
    const lost = await alice.ask("send_message", text("7", "u1", "into the void", { client_id: "c1" }));
    assert.equal(lost.ok, false);
    assert.equal(lost.reason, "origin-away");
    const error = await alice.heard("message_error");
    assert.deepEqual([error.conversation_id, error.client_id, error.reason], ["7", "c1", "origin-away"]);
    await step("up");
    assert.equal((await alice.ask("send_message", text("7", "u1", "again", { client_id: "c1" }))).ok, true);
    await bob.holds(1);
    assert.deepEqual(bob.contents(), ["again"]);
  },

  async a_short_outage_is_ridden_out() {
    const alice = await member("u1", ["7"]);
    await step("stumble");
    const answer = await alice.ask("send_message", text("7", "u1", "patience"));
    assert.equal(answer.ok, true);
    await alice.holds(1);
    assert.deepEqual(alice.contents(), ["patience"]);
    return answer.messages;
  },

  async one_bad_message_does_not_take_the_others_with_it() {
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    const answers = await Promise.all(["a", "b", "forbidden", "c", "d"].map((content) => alice.ask("send_message", text("7", "u1", content))));
    assert.deepEqual(answers.map(({ ok }) => ok), [true, true, false, true, true]);
    assert.equal(answers[2].message, "No such words here.");
    await bob.holds(4);
    assert.deepEqual(bob.contents(), ["a", "b", "c", "d"]);
  },

  async messages_can_be_deleted_by_their_sender_alone() {
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    const { messages: [id] } = await alice.ask("send_message", text("7", "u1", "regretted"));
    const refused = await bob.ask("delete_message", { conversation_id: "7", message_id: id });
    assert.equal(refused.reason, "not-allowed");
    assert.equal((await alice.ask("delete_message", { conversation_id: "7", message_id: id })).ok, true);
    assert.deepEqual(await bob.heard("message_deleted"), { conversation_id: "7", message_id: String(id) });
    await step("publish a deletion");
    assert.deepEqual(await bob.heard("message_deleted", 2), { conversation_id: "7", message_id: "99" });
  },

  async reports_are_conflated_and_notifications_are_not() {
    const socket = client();
    socket.connect();
    assert.deepEqual(await socket.ask("subscribe", "reports"), { ok: true, channel: "reports", mode: "conflate" });
    assert.equal((await socket.ask("subscribe", "notifications")).mode, "append");
    assert.equal((await socket.ask("subscribe", "secrets")).reason, "not-allowed");
    await step("publish");
    await socket.until("the last report", () => socket.seen("report_updated").some(({ votes }) => votes === 49));
    await socket.heard("notified", 50);
    const votes = socket.seen("report_updated").filter(({ id }) => id === 1).map(({ votes }) => votes);
    assert.ok(votes.length < 10, `fifty updates came as ${votes.length}`);
    assert.equal(votes.at(-1), 49);
    assert.deepEqual(socket.seen("notified"), Array.from({ length: 50 }, (_, number) => number));
    const [report] = socket.seen("report_updated");
    assert.deepEqual([report.author.username, report.likes.count], ["user u5", 3]);
    await socket.ask("unsubscribe", "notifications");
    await step("publish more");
    await socket.until("another report", () => socket.seen("report_updated").some(({ votes }) => votes === 50));
    assert.equal(socket.seen("notified").length, 50);
  },

  async each_client_gets_messages_in_the_shape_it_asked_for() {
    const batch = await member("u1", ["7"]);
    const single = await member("u2", ["7"], { auth: { deliver: "single" } });
    const both = await member("u3", ["7"], { auth: { deliver: "both" } });
    await batch.ask("send_message", text("7", "u1", "hello"));
    await both.heard("new_message");
    await both.heard("new_messages_batch");
    assert.equal((await single.heard("new_message")).content, "hello");
    assert.equal((await batch.heard("new_messages_batch"))[0].content, "hello");
    assert.deepEqual([batch.seen("new_message").length, single.seen("new_messages_batch").length], [0, 0]);
    single.emit("typing_start", "7");
    await batch.heard("user_typing");
    await both.heard("user_typing");
  },

  async nonsense_is_answered_and_harms_nobody() {
    const bob = await member("u2", ["7"]);
    const socket = await member("u1", ["7"]);
    const nonsense = [undefined, null, 1.5, true, [], {}, "x".repeat(5000), { conversation_id: {} }, { sender_id: "u1", content: "x" }, Buffer.from("x")];
    for (const event of ["authenticate", "join_conversation", "leave_conversation", "send_message", "send_message_batch", "delete_message", "typing_start", "typing_stop", "subscribe", "unsubscribe", "client_metrics"]) {
      for (const payload of nonsense) {
        const answer = await socket.ask(event, payload);
        assert.equal(answer.ok, false, `${event} ${JSON.stringify(payload)}`);
        assert.equal(typeof answer.message, "string");
      }
      assert.equal((await socket.timeout(15000).emitWithAck(event)).ok, false); // no argument at all
    }
    socket.emit("no such event", 1);
    assert.equal((await socket.ask("send_message", text("7", "u1", "still fine", { __proto__: { a: 1 }, constructor: "x" }))).ok, true);
    await bob.holds(1);
  },

  async presence_is_told_and_a_lost_client_is_given_a_moment() {
    const alice = await member("u1", ["7"]);
    const bob = await member("u2", ["7"]);
    const here = await alice.until("both", () => alice.seen("presence_update").find(({ online }) => online === 2));
    assert.deepEqual(here.users, ["u1", "u2"]);
    cut(bob);
    await bob.until("recovery", () => bob.connected && bob.recovered);
    assert.equal(alice.seen("presence_update").some(({ left }) => left.includes("u2")), false);
    bob.disconnect();
    await alice.until("his leaving", () => alice.seen("presence_update").some(({ left }) => left.includes("u2")));
  },

  async the_application_decides_who_somebody_is_and_where_they_may_be() {
    const stranger = client();
    stranger.connect();
    assert.equal((await stranger.ask("authenticate", "u1")).reason, "no-credential");
    const socket = client({ extraHeaders: { Cookie: "session=u1" } });
    socket.connect();
    assert.equal((await socket.ask("authenticate", "u2")).reason, "another-user");
    assert.equal((await socket.ask("authenticate", "u1")).user.username, "user u1");
    assert.equal((await socket.ask("authenticate", { token: "for-u2" })).user.id, "u2");
    assert.equal((await socket.ask("authenticate", { token: "bad" })).reason, "refused");
    assert.equal((await socket.ask("join_conversation", "7")).ok, true);
    assert.equal((await socket.ask("join_conversation", "private")).reason, "not-allowed");
    assert.deepEqual(stranger.seen("auth_error").length, 1);
  },

  async the_demo_application_keeps_what_is_sent() {
    const { conversation, users: [first, second], stranger } = await step("find a conversation");
    const alice = await member(first, [conversation]);
    const bob = await member(second, [conversation]);
    const eve = await member(stranger, [conversation]);
    const answers = await Promise.all([
      alice.ask("send_message", text(conversation, first, "from the first", { client_id: "c1" })),
      eve.ask("send_message", text(conversation, stranger, "from outside")),
      bob.ask("send_message", text(conversation, second, "from the second")),
    ]);
    assert.deepEqual(answers.map(({ ok, reason }) => reason ?? ok), [true, "origin-refused", true]);
    await bob.holds(2);
    assert.deepEqual(bob.contents(), ["from the first", "from the second"]);
    const [message] = bob.messages();
    assert.deepEqual([message.id, message.client_id], [answers[0].messages[0], "c1"]);
    assert.equal(typeof message.sender.full_name, "string");
    assert.equal(alice.seen("authenticated")[0].user.username, message.sender.username);
    return bob.messages().map(({ id }) => id);
  },

  async too_many_messages_are_refused_with_a_time_to_wait() {
    const socket = await member("u1", ["7"]);
    const answers = await Promise.all(Array.from({ length: 30 }, (_, number) => socket.ask("send_message", text("7", "u1", `m${number}`))));
    const refused = answers.filter(({ ok }) => !ok);
    assert.equal(refused.length > 0 && refused.length < 30, true);
    assert.equal(refused.every(({ reason, retry_after }) => reason === "rate-limited" && retry_after > 0), true);
    await socket.holds(30 - refused.length);
  },

  async an_operator_makes_a_client_come_back_and_sends_it_away_for_good() {
    const alice = await member("u1", ["7"]);
    const report = { cachedProfiles: 12, activeSubscriptions: 3, pendingUpdates: 0, latency: 87.5, connectionErrors: 1, retries: 2 };
    assert.deepEqual(await alice.ask("client_metrics", report), { ok: true, quality: "excellent" });
    await step("look");
    await step("make it reconnect");
    await alice.heard("connect", 2);
    assert.equal(alice.seen("disconnect")[0], "transport close");
    assert.equal(alice.recovered, true);
    assert.equal((await alice.ask("send_message", text("7", "u1", "back"))).ok, true); // still known, still a member
    await step("disconnect");
    await alice.heard("disconnect", 2);
    assert.equal(alice.seen("disconnect")[1], "io server disconnect");
    assert.equal(alice.active, false); // it does not try again
  },
};

scenarios[name]().then(
  (result = null) => {
    process.stdout.write(JSON.stringify({ result }) + "\n", () => process.exit(0));
  },
  (error) => {
    process.stderr.write(`${error.stack}\n`, () => process.exit(1));
  },
);
