// Puts the integrity of script/client.js into the guides.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const at = (path) => new URL(`../${path}`, import.meta.url);
const integrity = `sha384-${createHash('sha384').update(readFileSync(at('script/client.js'))).digest('base64')}`;
for (const guide of ['README.md', '../../docs/challenges.md']) {
  writeFileSync(at(guide), readFileSync(at(guide), 'utf8').replace(/sha384-[\w+/=]+/g, integrity));
}
