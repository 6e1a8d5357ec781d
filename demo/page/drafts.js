// What somebody has written and nobody has got yet: what stands in the box of each conversation, and the messages that
// are under way or were not sent. Kept for this tab, each user's apart, so that a reload does not lose it.

const LEFT = "No answer came before the page was left; it may or may not have arrived.";

const known = new Map();

/** What this user has written: the same whenever they come back. Nothing is kept for nobody. */
export function draftsOf(user) {
  const id = user?.id ?? null;
  if (!known.has(id)) known.set(id, new Drafts(id === null ? null : `drafts ${id}`));
  return known.get(id);
}

class Drafts {
  #key;
  #typed = new Map(); // by conversation
  #unsent = []; // written and not seen again yet
  #reasons = new Map(); // why, of those that did not get through, by client_id
  #arrived = new Set(); // of those that have got through all the same, by client_id

  constructor(key) {
    this.#key = key;
    const { typed = [], unsent = [] } = recalled(key) ?? {};
    this.#typed = new Map(typed);
    this.#unsent = unsent.map(({ draft }) => draft);
    this.#reasons = new Map(unsent.map(({ draft, reason }) => [draft.client_id, reason ?? LEFT]));
  }

  /** Whether there is anything that would be missed. */
  get any() {
    return this.#unsent.length > 0 || this.#typed.size > 0;
  }

  /** What stands in the box of this conversation. */
  typed(conversation) {
    return this.#typed.get(conversation) ?? "";
  }

  type(conversation, text) {
    if (text) this.#typed.set(conversation, text);
    else this.#typed.delete(conversation);
    this.#keep();
  }

  /** The messages of this conversation that have not been seen again, the first written first. */
  unsent(conversation) {
    return this.#unsent.filter((draft) => draft.conversation_id === conversation);
  }

  /** Those of them that did not get through. */
  failed(conversation) {
    return this.unsent(conversation).filter((draft) => this.reason(draft));
  }

  /** Why this one did not get through; undefined while it is under way. */
  reason(draft) {
    return this.#reasons.get(draft.client_id);
  }

  /** The messages that are under way, of the conversation that has waited longest. */
  sending() {
    const all = this.#unsent.filter((draft) => !this.reason(draft) && !this.#arrived.has(draft.client_id));
    return all.filter((draft) => draft.conversation_id === all[0].conversation_id);
  }

  add(draft) {
    this.#unsent.push(draft);
    this.#keep();
  }

  /** These are under way again. */
  retry(some) {
    for (const { client_id } of some) this.#reasons.delete(client_id);
    this.#keep();
  }

  /** These did not get through; returns those of them that have not arrived after all. */
  fail(some, reason) {
    const lost = some.filter((draft) => this.#unsent.includes(draft));
    for (const { client_id } of lost) this.#reasons.set(client_id, reason);
    this.#keep();
    return lost;
  }

  /** These got through: they are shown until they are seen again, but a reload will not miss them. */
  arrive(some) {
    for (const draft of some) if (this.#unsent.includes(draft)) this.#arrived.add(draft.client_id);
    this.#keep();
  }

  /** These are settled, one way or the other. */
  forget(some) {
    const names = new Set(some.map((one) => one.client_id));
    if (!this.#unsent.some((draft) => names.has(draft.client_id))) return;
    this.#unsent = this.#unsent.filter((draft) => !names.has(draft.client_id));
    for (const name of names) {
      this.#reasons.delete(name);
      this.#arrived.delete(name);
    }
    this.#keep();
  }

  #keep() {
    const unsent = this.#unsent.filter((draft) => !this.#arrived.has(draft.client_id));
    keep(this.#key, { typed: [...this.#typed], unsent: unsent.map((draft) => ({ draft, reason: this.reason(draft) })) });
  }
}

function recalled(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null; // the browser keeps nothing for this page
  }
}

function keep(key, written) {
  if (key === null) return;
  try {
    sessionStorage.setItem(key, JSON.stringify(written));
  } catch {
    // There is no room, or the browser keeps nothing for this page: then what is written lasts as long as the page does.
  }
}
