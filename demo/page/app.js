// The entry: who is looking, and everything wired together.

import { element, toast, wireDialogs } from "./dom.js";
import { Failure, read, readOwn, send } from "./network.js";
import { chatAs, wireChat } from "./chat.js";
import { listen } from "./live.js";
import { followAddress, load, lookAs, wireReports } from "./reports.js";
import { wireInspector } from "./inspector.js";

const who = document.getElementById("who");
let people = new Map();
let current = null;

wireInspector();
wireDialogs();
wireReports();
wireChat();

who.addEventListener("change", async () => {
  try {
    const { document: answer } = await (who.value ? send("POST", "/api/auth/login", { user: who.value }) : send("POST", "/api/auth/logout"));
    // Asked although the answer says it: a copy of the session is what a reload lives on while the origin is away.
    become((await attempt(readOwn("/api/auth/session")) ?? answer).user);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    // The session is what it was.
    toast(`Nobody opens the door: ${failure.message} You are still ${current?.full_name ?? "a guest"}.`, "bad");
    who.value = current?.id ?? "";
  }
});

// Three questions at once; the grid does not wait for the other two.
load().then(listen);
followAddress();
const [session] = await Promise.all([attempt(readOwn("/api/auth/session")), attempt(read("/api/profiles")).then(fillChoices)]);
become(session?.user ?? null);

async function attempt(request) {
  try {
    return (await request).document;
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    return null;
  }
}

function fillChoices(answer) {
  const profiles = answer?.profiles ?? [];
  people = new Map(profiles.map((person) => [person.id, person]));
  who.append(...profiles.map((person) => element("option", { value: person.id }, person.full_name)));
}

function become(user) {
  current = user;
  // The list of people may have been out of reach; whoever is logged in is a choice all the same.
  if (user && !people.has(user.id)) {
    people.set(user.id, user);
    who.append(element("option", { value: user.id }, user.full_name));
  }
  who.value = user?.id ?? "";
  document.getElementById("who-avatar").src = user?.avatar_url ?? "/favicon.svg";
  lookAs(user);
  chatAs(user);
}
