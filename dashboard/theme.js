// Before anything is drawn: the theme that was chosen here, else the system's.
'use strict';
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem('theme'); } catch { /* storage is switched off */ }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
