// A message goes away when the visitor does the next thing.
() => {
  const others = event => {
    if (event.target instanceof Element && event.target.closest('[class*="toast"]')) return;
    for (const button of document.querySelectorAll('.toast-close')) button.click();
  };
  for (const name of ['pointerdown', 'change', 'drop', 'paste']) document.addEventListener(name, others, true);
}
