// The window over the page. What it shows at once comes with the click; the large picture comes from the server.
const dialog = element.querySelector('dialog');
const part = name => element.querySelector(`.${name}`);
let shown = null;

function ask(what, {gallery, content}) {
  trigger(what, {gallery, content});
}
function open(event) {
  shown = event.detail;
  const {name, path, label, picture} = shown;
  part('name').textContent = name;
  part('path').textContent = path;
  part('label').textContent = label && label !== name ? label : '';
  part('size').textContent = 'Loading the large picture ...';
  part('large').src = picture;
  part('large').alt = name;
  dialog.classList.add('waiting');
  dialog.classList.remove('whole');
  if (!dialog.open) dialog.showModal();
  ask('select', shown);
  fill();  // it may be the one that was open before: then nothing new comes
}
function fill() {
  const value = props.value || {};
  if (!dialog.open || !shown || !value.picture || value.content !== shown.content) return;
  part('large').src = value.picture;
  part('size').textContent = value.size;
  dialog.classList.remove('waiting');
}
function show() {
  if (props.value?.failed && dialog.open) dialog.close();
  fill();
}
function like(drawing) {
  if (dialog.open) dialog.close();
  ask('like', drawing);
}
document.addEventListener('sketchloss:open', open);
document.addEventListener('sketchloss:like', event => like(event.detail));
part('more').addEventListener('click', () => like(shown));
part('copy').addEventListener('click', () => window.sketchlossCopy(part('copy'), shown.path));
part('close').addEventListener('click', () => dialog.close());
part('zoom').addEventListener('click', () => dialog.classList.toggle('whole'));
dialog.addEventListener('click', event => { if (event.target === dialog) dialog.close(); });
watch('value', show);
