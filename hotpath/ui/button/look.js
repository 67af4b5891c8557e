// What a button is made of. Elements are made one by one and the style is a sheet of
// its own, so that neither a Content-Security-Policy nor Trusted Types stand in the way.

import css from './look.css';

const style = new CSSStyleSheet();
style.replaceSync(css);

const heart =
  'M12 20.5C5.5 15.5 2.5 12 2.5 8.5A5 5 0 0 1 7.5 3.5C9.5 3.5 11 4.5 12 6.2C13 4.5 14.5 3.5 16.5 3.5A5 5 0 0 1 21.5 8.5C21.5 12 18.5 15.5 12 20.5Z';

function make(name, attributes, ...children) {
  const svg = name === 'svg' || name === 'path';
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * Fills a shadow root. The count stands beside the button and not in it: a name that
 * changes with what is pressed would have to be read anew.
 */
export function build(root) {
  const icon = make('svg', { part: 'icon', viewBox: '0 0 24 24', 'aria-hidden': true }, make('path', { d: heart }));
  const slot = make('slot', { part: 'label' });
  const button = make('button', { part: 'button', type: 'button', 'aria-describedby': 'likes' }, icon, slot);
  const count = make('span', { part: 'count', 'aria-hidden': true });
  const likes = make('span', { id: 'likes', class: 'hidden' });
  const box = make('span', { part: 'box' }, button, count, likes);
  const message = make('span', { part: 'message', role: 'status' });
  root.adoptedStyleSheets = [style];
  root.append(box, message);
  return { box, button, icon, slot, count, likes, message };
}

/** Lets the heart beat once, unless the visitor has asked for calm. */
export function beat(icon) {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  icon.animate({ transform: ['none', 'scale(.7)', 'scale(1.25)', 'none'] }, { duration: 320, easing: 'ease-out' });
}
