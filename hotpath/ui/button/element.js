// <like-button item="post-1">: a button that likes, and tells how many do.

import { beat, build } from './look.js';
import { join, leave, refresh } from './page.js';
import { numbers, word } from './words.js';

// What the API takes for the id of an item.
const isID = (id) =>
  /^(?!\.\.?$)[^\p{White_Space}\p{Cc}\p{Cs}{}"\\<>%]+$/u.test(id) && new TextEncoder().encode(id).length <= 200;

class LikeButton extends HTMLElement {
  static observedAttributes = ['item', 'label'];

  /** Reads counts and likes again, for instance when somebody has signed in. */
  static refresh = refresh;

  #item;
  #connected = false;
  #parts = build(this.attachShadow({ mode: 'open', delegatesFocus: true }));

  constructor() {
    super();
    const { button, slot, message } = this.#parts;
    button.onclick = () => {
      this.#item.press(this);
      if (this.liked) beat(this.#parts.icon);
    };
    slot.onslotchange = () => this.render();
    message.onclick = () => this.say('');
    this.onkeydown = ({ key }) => {
      if (key === 'Escape') this.say('');
    };
  }

  get item() {
    return this.getAttribute('item');
  }

  set item(id) {
    this.setAttribute('item', id);
  }

  /** What the button shows: whether the visitor likes the item, and how many do. */
  get liked() {
    return this.#item?.pressed ?? false;
  }

  get count() {
    return this.#item?.shown;
  }

  /** Whether the count is to follow what others do. */
  get live() {
    return this.getAttribute('live') !== 'off';
  }

  connectedCallback() {
    this.#connected = true;
    const id = this.item;
    if (id !== null && isID(id)) this.#item = join(id, this);
    else if (id !== null) console.error(`<like-button>: ${JSON.stringify(id)} is no id of an item`);
    this.render();
  }

  disconnectedCallback() {
    this.#connected = false;
    if (this.#item) leave(this.#item, this);
    this.#item = undefined;
  }

  attributeChangedCallback(name) {
    if (!this.#connected) return;
    if (name === 'item') {
      this.disconnectedCallback();
      this.say('');
      this.connectedCallback();
    }
    this.render();
  }

  render() {
    const { box, button, count, likes } = this.#parts;
    const label = this.getAttribute('label') ?? (this.textContent.trim() ? null : word('like'));
    if (label === null) button.removeAttribute('aria-label');
    else button.setAttribute('aria-label', label);
    button.disabled = !this.#item;
    button.setAttribute('aria-pressed', this.liked);
    box.part = this.liked ? 'box pressed' : 'box';
    const [short, full] = this.count === undefined ? ['', ''] : numbers(this.count, this);
    count.textContent = short;
    likes.textContent = full && word('likes', { n: full });
  }

  say(message) {
    this.#parts.message.textContent = message;
  }
}

// The script may be there twice.
if (!customElements.get('like-button')) customElements.define('like-button', LikeButton);
