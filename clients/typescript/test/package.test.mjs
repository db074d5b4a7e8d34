// The package as it would be published: packed, checked by publint and arethetypeswrong, installed, imported both ways.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';

const root = new URL('..', import.meta.url).pathname;
const read = (path) => readFileSync(join(root, path));
const tool = (name) => join(root, 'node_modules/.bin', name);
const folder = mkdtempSync(join(tmpdir(), 'playproof-package-'));
let archive;

before(() => {
  // Built already; its lines would mix with npm's.
  const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root, encoding: 'utf8' }));
  archive = join(folder, filename);
});
after(() => rmSync(folder, { recursive: true }));

test('the script tag\'s file is small, needs nothing, and its integrity is the one in the guides', () => {
  const script = read('script/client.js');
  assert.ok(gzipSync(script, { level: 9 }).length < 8192, `${gzipSync(script, { level: 9 }).length} bytes of gzip`);
  assert.doesNotMatch(script.toString(), /\bimport\b|\brequire\(|innerHTML|eval\(/);
  assert.match(script.toString(), /\/\/# sourceMappingURL=client\.js\.map\s*$/);
  assert.ok(JSON.parse(read('script/client.js.map')).sources.some((name) => name.endsWith('src/recorder.ts')));
  const integrity = `sha384-${createHash('sha384').update(script).digest('base64')}`;
  for (const guide of ['README.md', '../../docs/challenges.md']) {
    const told = read(guide).toString().match(/sha384-[\w+/=]+/g) ?? [];
    assert.deepEqual([...new Set(told)], [integrity], `${guide} names the integrity of script/client.js`);
  }
});

test('one version everywhere, and no place of a download in the lock file', () => {
  const { version } = JSON.parse(read('package.json'));
  assert.match(read('src/recorder.ts').toString(), new RegExp(`'web ${version.replaceAll('.', '\\.')}'`));
  assert.doesNotMatch(read('package-lock.json').toString(), /"resolved"|https?:\/\/registry/);
});

test('the packed package is well made', () => {
  const files = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).split('\n');
  for (const file of ['LICENSE', 'README.md', 'script/client.js', 'dist/esm/index.d.ts', 'dist/cjs/index.d.ts']) assert.ok(files.includes(`package/${file}`), file);
  assert.ok(!files.some((file) => /^package\/(src|test|scripts|node_modules)\//.test(file)));
  execFileSync(tool('publint'), ['run', archive, '--strict'], { encoding: 'utf8' });
  execFileSync(tool('attw'), [archive, '--profile', 'node16', '--exclude-entrypoints', 'client.js', '--no-emoji'], { encoding: 'utf8' });
});

test('installed, it is imported, required and compiled strictly', () => {
  writeFileSync(join(folder, 'package.json'), '{"name":"site","private":true}');
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', archive], { cwd: folder, stdio: 'pipe' });
  const run = (file, text) => { writeFileSync(join(folder, file), text); return execFileSync(process.execPath, [file], { cwd: folder, encoding: 'utf8' }).trim(); };
  const names = 'typeof createClient, typeof recordPointer, typeof verifyWebhook, typeof PlayProofCheck, typeof defineCheck';
  const all = 'function function function function function';
  assert.equal(run('a.mjs', `import { createClient, recordPointer, verifyWebhook } from 'playproof-batch-client'; import { PlayProofCheck, defineCheck } from 'playproof-batch-client/browser'; console.log(${names})`), all);
  assert.equal(run('b.cjs', `const { createClient, recordPointer, verifyWebhook } = require('playproof-batch-client'); const { PlayProofCheck, defineCheck } = require('playproof-batch-client/browser'); console.log(${names})`), all);
  for (const [file, module, resolution] of [['a.mts', 'nodenext', 'nodenext'], ['b.cts', 'nodenext', 'nodenext'], ['c.ts', 'esnext', 'bundler']]) {
    writeFileSync(join(folder, file), `import { createClient, recordPointer, type Telemetry } from 'playproof-batch-client';
import { defineCheck } from 'playproof-batch-client/browser';
defineCheck();
const game = document.querySelector<HTMLElement>('#game');
if (game) { const session: Telemetry = recordPointer(game, { gameType: 'x' }).stop(); void createClient().scoreSession(session); }
document.querySelector('playproof-check')?.addEventListener('verified', (event) => { const { token }: { token: string } = event.detail; console.log(token); });
`);
    execFileSync(tool('tsc'), ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable', '--module', module, '--moduleResolution', resolution, file], { cwd: folder, encoding: 'utf8' });
  }
});
