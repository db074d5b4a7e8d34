/** The script-tag build: what {@link ./browser.js} has as the global `PlayProof`, with the widget defined. @packageDocumentation */
import { defineCheck, setBaseUrl } from './browser.js';

export * from './browser.js';

const script = typeof document === 'object' ? document.currentScript as HTMLScriptElement | null : null;
// The service that the script came from.
if (script?.src) setBaseUrl(script.src.replace(/\/[^/]*$/, ''));
defineCheck();
