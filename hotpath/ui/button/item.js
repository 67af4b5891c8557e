// An item as this page knows it, shared by all of its buttons.
//
//	press ──▶ want ──▶ settle: one request in flight, until liked is what is wanted
//	              └──▶ shown at once; taken back when the API refuses

import { ask, backOff, config, online, pause } from './ask.js';
import { when, word } from './words.js';

const TRIES = 5;
const PATIENCE = 5; // seconds that a limit is waited for; a longer one is told

// After these nothing was applied; after any other failure that may be so or not.
const APPLIED_NOTHING = ['busy', 'overloaded', 'unavailable'];

export class Item {
  buttons = new Set();
  count; // undefined: not known yet
  liked = false; // what the API has said last
  want; // what the visitor wants; undefined: nothing is open
  unsure = false; // a request may have been applied, or not
  turn = 0; // moves with each request's beginning and end
  #flying = false;
  #missed = false; // something was told while a request was in flight
  #busy = false;
  #reload;

  /** reload(item) is asked to read the item again, soon. */
  constructor(id, reload) {
    this.id = id;
    this.#reload = reload;
  }

  get pressed() {
    return this.want ?? this.liked;
  }

  /** The count with what the visitor wants, as if it had been applied. */
  get shown() {
    if (this.count === undefined) return undefined;
    return Math.max(0, this.count + this.pressed - this.liked);
  }

  get open() {
    return this.want !== undefined && (this.unsure || this.want !== this.liked);
  }

  get idle() {
    return !this.#busy && !this.buttons.size;
  }

  /** Takes a reading that was asked for in the given turn; an older one is asked for anew. */
  learn({ count, liked }, turn = this.turn) {
    if (this.#flying || turn !== this.turn) {
      this.#missed = true;
      if (!this.#busy) this.#catchUp();
      return;
    }
    this.count = count;
    if (liked !== undefined) {
      this.liked = liked;
      this.unsure = false;
    }
    this.render();
  }

  /** The visitor has pressed a button of this item. */
  press(button) {
    this.button = button;
    this.want = !this.pressed;
    this.say(this.open && !navigator.onLine ? word('offline') : '');
    this.render();
    this.#settle();
  }

  async #settle() {
    if (this.#busy) return;
    this.#busy = true;
    let failures = 0;
    let refusal;
    while (this.open && !refusal) {
      if (!navigator.onLine) {
        this.say(word('offline'));
        await online();
        this.say('');
        continue; // by now the visitor may want something else
      }
      const answer = await this.#send();
      if (answer.ok) failures = 0;
      else if (!(await this.#mayRepeat(answer, failures++))) refusal = answer;
    }
    this.#busy = false;
    this.want = undefined;
    if (refusal) this.#rollBack(refusal);
    if (this.#missed || this.unsure) this.#catchUp();
    this.render();
  }

  async #send() {
    this.turn++;
    this.#flying = true;
    const answer = await ask(this.want ? 'PUT' : 'DELETE', `items/${encodeURIComponent(this.id)}/like`);
    this.turn++;
    this.#flying = false;
    const { ok, status, code, body } = answer;
    if (ok) {
      this.unsure = false;
      this.count = body.count;
      this.liked = body.liked;
      this.render();
      this.#tell('like-button-change', { count: body.count, liked: body.liked, receipt: body.receipt });
    } else if (!status || (status >= 500 && !APPLIED_NOTHING.includes(code))) {
      this.unsure = true;
    }
    return answer;
  }

  // Waits as long as the answer asks for, and says whether to try again: it is a
  // state that is sent, so that is always safe.
  async #mayRepeat({ status, code, retry }, failures) {
    if (failures >= TRIES) return false;
    if (code === 'visitor_too_new' || (status === 429 && retry <= PATIENCE)) {
      await pause(retry * 1000 || 1000);
      return true;
    }
    if (status === 401 && !failures && !config().token && !config().headers) {
      await ask('GET', `items?id=${encodeURIComponent(this.id)}`); // it brings the visitor's cookie
      await pause(1000); // the youngest that may like
      return true;
    }
    if (status && status !== 408 && status < 500) return false;
    await backOff(failures, Math.min(retry, 30));
    return true;
  }

  #rollBack({ status, code, retry }) {
    let message = word('failed');
    if (status === 429) message = word('limited', { when: when(retry, this.button) });
    else if (status === 401) message = word('identity');
    else if (code === 'item_frozen') message = word('frozen');
    this.render();
    if (this.#tell('like-button-error', { status, code, retryAfter: retry, message })) this.say(message);
  }

  #catchUp() {
    this.#missed = false;
    this.#reload(this);
  }

  // Tells the page; false when it has prevented what would happen next.
  #tell(type, detail) {
    return this.button.dispatchEvent(
      new CustomEvent(type, { bubbles: true, composed: true, cancelable: true, detail: { item: this.id, ...detail } }),
    );
  }

  say(message) {
    for (const button of this.buttons) button.say(button === this.button ? message : '');
  }

  render() {
    for (const button of this.buttons) button.render();
  }
}
