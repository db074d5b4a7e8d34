// Builds dist/ (ESM and CJS with their types) and script/client.js, the script-tag file; `--check` fails where the kept
// script is not what the sources give. The kept file is what a node serves as /client.js.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url).pathname;
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
const check = process.argv.includes('--check');

const { outputFiles } = await build({
  absWorkingDir: root, entryPoints: ['src/script.ts'], outfile: 'script/client.js', write: false,
  bundle: true, minify: true, format: 'iife', globalName: 'PlayProof', target: 'es2022',
  sourcemap: 'linked', legalComments: 'none', charset: 'utf8', banner: { js: `/*! PlayProof Batch client ${version}, MIT */` },
});
mkdirSync(`${root}script`, { recursive: true });
for (const { path, text } of outputFiles) {
  if (check && readFileSync(path, 'utf8') !== text) throw new Error(`${path} is not what the sources give; run npm run build`);
  if (!check) writeFileSync(path, text);
}
const script = outputFiles.find(({ path }) => path.endsWith('.js'));
console.log(`sha384-${createHash('sha384').update(script.contents).digest('base64')}`);

if (!check) {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const compile = (...options) => execFileSync(process.execPath, [tsc, '-p', root, ...options], { stdio: 'inherit' });
  rmSync(`${root}dist`, { recursive: true, force: true });
  compile('--outDir', `${root}dist/esm`);
  compile('--outDir', `${root}dist/cjs`, '--module', 'commonjs', '--moduleResolution', 'node10', '--verbatimModuleSyntax', 'false');
  writeFileSync(`${root}dist/cjs/package.json`, '{"type":"commonjs"}\n');
}
