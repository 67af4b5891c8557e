// The demo page: who likes here, the storm's switch, and what both stores say.

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat('en');
const ms = (n) => (n < 10 ? `${n.toFixed(1)} ms` : `${whole.format(Math.round(n))} ms`);

// The API on this machine believes a page that says who looks at it, unless it knows
// its users otherwise.
function introduce() {
  const auth = document.body.dataset.auth;
  if (auth === 'header') {
    const user = localStorage.getItem('plusone-demo-user') ?? `guest-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    localStorage.setItem('plusone-demo-user', user);
    window.likeButton = { headers: () => ({ 'X-User-ID': user }) };
    $('who').textContent = `You like as ${user}.`;
  } else if (auth === 'jwt') {
    $('who').textContent = 'With --auth jwt these buttons need a token to like; the storm has a key of its own.';
  } else {
    $('who').textContent = 'You like as the visitor that your cookie names.';
  }
}

const SECONDS = 60;
const LOOK = 400; // ms between two looks
const rates = new Array((SECONDS * 1000) / LOOK).fill(0);

function plot(rate) {
  rates.push(rate);
  rates.shift();
  const top = Math.max(100, ...rates) * 1.1;
  const step = 600 / (rates.length - 1);
  const line = rates.map((r, i) => `${(i * step).toFixed(1)} ${(80 - (r / top) * 80).toFixed(1)}`).join('L');
  $('line').setAttribute('d', `M${line}`);
  $('area').setAttribute('d', `M0 80L${line}L600 80Z`);
}

const sum = (items, side) => items.reduce((all, item) => all + item[side], 0);

function show({ items, source, lag_ms: lag, troubles, storm }) {
  const most = Math.max(1, ...items.map((item) => Math.max(item.redis, item.ledger)));
  for (const item of items) {
    const bars = document.querySelectorAll(`[data-item="${item.item}"] .sides dd`);
    [item.redis, item.ledger].forEach((count, side) => {
      bars[side].querySelector('b').style.inlineSize = `${(count / most) * 100}%`;
      bars[side].querySelector('span').textContent = whole.format(count);
    });
  }
  const pending = items.reduce((all, { redis, ledger }) => all + Math.abs(redis - ledger), 0);
  $('told').textContent = source === 'ledger' && pending ? 'likes accepted, as Postgres says' : 'likes accepted';
  $('redis').textContent = whole.format(sum(items, 'redis'));
  $('ledger').textContent = whole.format(sum(items, 'ledger'));
  $('pending').textContent = whole.format(pending);
  $('lag').textContent = lag ? `Postgres is ${ms(lag)} behind` : 'both say the same';
  if (!lag && pending) $('lag').textContent = 'just arriving';
  $('trouble').textContent = troubles.join(' ');

  plot(storm.rate);
  $('storm').setAttribute('aria-checked', storm.on);
  $('rate').textContent = whole.format(Math.round(storm.rate));
  $('median').textContent = storm.median_ms ? ms(storm.median_ms) : '–';
  $('p99').textContent = storm.p99_ms ? ms(storm.p99_ms) : '–';
  $('refused').textContent = whole.format(storm.refused);
  $('storm-says').textContent = storm.on
    ? `${whole.format(storm.sent)} likes and unlikes so far. It ends by itself in ${Math.ceil(storm.left_ms / 1000)} s.`
    : calm;
}

const calm = $('storm-says').textContent;

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch('/demo/state', { signal: AbortSignal.timeout(6000) });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
  } catch {
    $('trouble').textContent = 'plusone does not answer. Has plusone dev ended?';
  }
}

$('storm').onclick = async () => {
  const on = $('storm').getAttribute('aria-checked') !== 'true';
  $('storm').setAttribute('aria-checked', on);
  try {
    await fetch('/demo/storm', { method: 'POST', headers: { 'X-Demo-Storm': on ? 'on' : 'off' } });
  } finally {
    await look();
  }
};

async function keepLooking() {
  await look();
  setTimeout(keepLooking, LOOK);
}

introduce();
keepLooking();
