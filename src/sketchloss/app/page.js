// What the whole page shares.
() => {
  // A message goes away when the visitor does the next thing, and when something succeeds.
  const others = event => {
    if (event.target instanceof Element && event.target.closest('[class*="toast"]')) return;
    for (const button of document.querySelectorAll('.toast-close')) button.click();
  };
  for (const name of ['pointerdown', 'change', 'drop', 'paste', 'sketchloss:success']) document.addEventListener(name, others, true);

  // Copy a text, and say so on the button. Without HTTPS, browsers of other computers have no clipboard for pages.
  window.sketchlossCopy = async (button, text) => {
    const words = button.dataset.words || button.textContent;
    button.dataset.words = words;
    let copied = false;
    try {
      await navigator.clipboard.writeText(text);
      copied = true;
    } catch {
      const field = document.createElement('textarea');
      field.value = text;
      button.after(field);
      field.select();
      copied = document.execCommand('copy');
      field.remove();
      button.focus();
    }
    button.textContent = copied ? 'Copied' : 'Not copied';
    setTimeout(() => { button.textContent = words; }, 1500);
  };
}
