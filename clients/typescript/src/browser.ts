/** For pages: the recorder, the widget, and what sends their sessions. @packageDocumentation */
export { recordPointer } from './recorder.js';
export type { Recorder, RecorderOptions, SessionContext, Telemetry } from './recorder.js';
export { SendError, atUnload, sendAtUnload, sendSession } from './transport.js';
export type { SendOptions } from './transport.js';
export { PlayProofCheck, defineCheck, setBaseUrl } from './widget.js';
export type { CheckEvents } from './widget.js';
export type { Challenge } from './client.js';
