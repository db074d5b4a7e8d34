/** The widget's style; adopted by the shadow root, so that a strict content security policy has nothing to forbid. */
export const STYLE = `
:host{--bg:#fff;--fg:#1b1f24;--line:#6b7280;--fill:#1d5fd1;--on:#fff;display:block;box-sizing:border-box;width:100%;max-width:20rem;color-scheme:light}
:host([hidden]),:host([mode=invisible]){display:none}
@media(prefers-color-scheme:dark){:host(:not([theme=light])){--bg:#1b1f24;--fg:#f2f4f7;--line:#9aa4b2;--fill:#8ab4ff;--on:#0d1526;color-scheme:dark}}
:host([theme=dark]){--bg:#1b1f24;--fg:#f2f4f7;--line:#9aa4b2;--fill:#8ab4ff;--on:#0d1526;color-scheme:dark}
.box{box-sizing:border-box;padding:.75rem;border:1px solid var(--line);border-radius:.5rem;background:var(--bg);color:var(--fg);font:1rem/1.4 system-ui,sans-serif}
button{font:inherit;color:var(--on);background:var(--fill);border:1px solid transparent;cursor:pointer}
button:focus-visible{outline:3px solid var(--fg);outline-offset:2px}
.start{width:100%;min-height:2.75rem;padding:.5rem 1rem;border-radius:.375rem}
.area{position:relative;height:14rem;margin-top:.5rem;border:1px dashed var(--line);border-radius:.375rem;overflow:hidden;touch-action:none;user-select:none;-webkit-user-select:none}
.bubble{position:absolute;width:3rem;height:3rem;padding:0;border-radius:50%}
p{margin:0;overflow-wrap:anywhere}
p:focus{outline:0}
.start+p:not(:empty){margin-top:.5rem}
@media(prefers-reduced-motion:no-preference){.bubble{animation:in .15s ease-out}@keyframes in{from{transform:scale(.6)}}}
`.replace(/\n/g, '');
