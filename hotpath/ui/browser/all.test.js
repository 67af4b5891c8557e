// One browser for all tests: node all.test.js

import { after, describe } from 'node:test';
import { demo } from './demo.js';
import { docs } from './docs.js';
import { elsewhere } from './elsewhere.js';
import { likes } from './likes.js';
import { live } from './live.js';
import { looks } from './looks.js';
import { end } from './stage.js';
import { trouble } from './trouble.js';

describe('in a browser', { concurrency: 3, timeout: 480_000 }, () => {
  looks();
  likes();
  live();
  trouble();
  elsewhere();
  demo();
  docs();
});

after(end);
