// The cards of found drawings. All text is set as text, so that no name can be markup.
const list = element.querySelector('.results');

function make(tag, attributes = {}, text = '') {
  const made = document.createElement(tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.textContent = text;
  return made;
}
function tell(what, drawing) {
  document.dispatchEvent(new CustomEvent(`sketchloss:${what}`, {detail: drawing}));
}
function card(drawing) {
  const {name, path, label, similarity, picture} = drawing;
  const made = make('li');
  const open = make('button', {type: 'button', class: 'open', 'aria-label': `Open ${name}`});
  open.append(make('img', {src: picture, alt: ''}));
  open.addEventListener('click', () => tell('open', drawing));
  const words = make('div', {class: 'words'});
  words.append(
    make('span', {class: 'name'}, name),
    make('span', {class: 'caption'}, `${label} ${similarity.toFixed(2)}`.trim()),
    make('span', {class: 'path', title: path}, path),
  );
  const acts = make('div', {class: 'acts'});
  const more = make('button', {type: 'button', 'aria-label': `More like ${name}`}, 'More like this');
  more.addEventListener('click', () => tell('like', drawing));
  const copy = make('button', {type: 'button', 'aria-label': `Copy path of ${name}`}, 'Copy path');
  copy.addEventListener('click', () => window.sketchlossCopy(copy, path));
  acts.append(more, copy);
  made.append(open, words, acts);
  return made;
}
function show() {
  list.replaceChildren(...(Array.isArray(props.value) ? props.value : []).map(card));
}
watch('value', show);
show();
