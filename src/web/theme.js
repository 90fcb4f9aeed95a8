// Runs before the first paint (a plain script in <head>), so that no page flashes
// in the wrong colours. Resolves the choice "system | light | dark" to data-theme.
(() => {
  const KEY = 'camgate.theme';
  const light = matchMedia('(prefers-color-scheme: light)');
  const read = () => {
    try { return localStorage.getItem(KEY) || 'system'; } catch { return 'system'; }
  };
  let choice = read();
  const apply = () => {
    const shown = choice === 'system' ? (light.matches ? 'light' : 'dark') : choice;
    document.documentElement.dataset.theme = shown;
  };
  light.addEventListener('change', apply);
  apply();
  window.camgateTheme = {
    get choice() { return choice; },
    /** system → light → dark → system */
    next() {
      choice = { system: 'light', light: 'dark', dark: 'system' }[choice] || 'system';
      try { localStorage.setItem(KEY, choice); } catch { /* storage may be closed to us */ }
      apply();
      return choice;
    },
  };
})();
