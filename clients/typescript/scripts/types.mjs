// Writes the types of openapi.json to standard output: one declaration for each schema, nothing else. The same document
// always gives the same text.
import { readFileSync } from 'node:fs';

const document = JSON.parse(readFileSync(new URL('../../../openapi.json', import.meta.url), 'utf8'));
const name = (ref) => ref.split('/').at(-1);
const indent = (text) => text.replace(/\n/g, '\n  ');

function type(schema) {
  if (schema.$ref) return name(schema.$ref);
  if (schema.oneOf) return schema.oneOf.map(type).join(' | ');
  if (schema.allOf) return schema.allOf.map(type).join(' & ');
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const kinds = [schema.type].flat();
  return kinds.map((kind) => {
    switch (kind) {
      case 'string': return 'string';
      case 'number': case 'integer': return 'number';
      case 'boolean': return 'boolean';
      case 'null': return 'null';
      case 'array': return `Array<${type(schema.items ?? {})}>`;
      case 'object': return object(schema);
      default: return 'unknown';
    }
  }).join(' | ');
}

function object({ properties = {}, required = [], additionalProperties }) {
  const names = Object.keys(properties);
  if (names.length === 0) return `Record<string, ${additionalProperties && additionalProperties !== true ? type(additionalProperties) : 'unknown'}>`;
  const lines = names.map((key) => `${comment(properties[key])}${/^\w+$/.test(key) ? key : JSON.stringify(key)}${required.includes(key) ? '' : '?'}: ${indent(type(properties[key]))};`);
  return `{\n  ${lines.map(indent).join('\n  ')}\n}`;
}

const comment = ({ description }) => (description ? `/** ${description.replace(/\*\//g, '* /').replace(/\s+/g, ' ').trim()} */\n` : '');

console.log('// Made of openapi.json by scripts/types.mjs; do not change it by hand.\n');
for (const [key, schema] of Object.entries(document.components.schemas)) {
  console.log(`${comment(schema)}export type ${key} = ${type(schema)};\n`);
}
