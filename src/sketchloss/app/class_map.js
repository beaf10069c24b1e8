// The points of a map, as SVG; all text is set as text, so that no label can be markup.
const SIDE = 600, EDGE = 14, NS = 'http://www.w3.org/2000/svg';
const map = element.querySelector('.map');

function make(tag, attributes = {}, text = '') {
  const made = tag === 'svg' || tag === 'circle' ? document.createElementNS(NS, tag) : document.createElement(tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  if (text) made.textContent = text;
  return made;
}
function show() {
  const {points = [], legend = {}} = props.value || {};
  map.replaceChildren();
  if (!points.length) {
    map.append(make('div', {class: 'empty'}, 'The map is drawn when this tab is opened.'));
    return;
  }
  const svg = make('svg', {viewBox: `0 0 ${SIDE} ${SIDE}`, tabindex: 0, role: 'application',
    'aria-label': `Map of ${points.length} drawings; left and right arrow keys go from one to the next`});
  const tip = make('div', {class: 'tip', role: 'status', hidden: ''});
  const dots = points.map(({x, y, colour}) => {
    const dot = make('circle', {cx: EDGE + x * (SIDE - 2 * EDGE), cy: EDGE + y * (SIDE - 2 * EDGE), r: colour ? 7 : 5});
    if (colour) dot.style.fill = colour;
    svg.append(dot);
    return dot;
  });
  let here = -1;
  function go(number) {
    if (here >= 0) dots[here].classList.remove('here');
    here = number;
    tip.hidden = here < 0;
    if (here < 0) return;
    const {x, y, label, picture} = points[here];
    dots[here].classList.add('here');
    svg.append(dots[here]);
    tip.replaceChildren(make('img', {src: picture, alt: ''}), make('span', {}, label));
    const scale = svg.clientWidth / SIDE;
    tip.classList.toggle('below', y < 0.3);
    tip.style.left = `${Math.min(Math.max(dots[here].cx.baseVal.value * scale, 55), svg.clientWidth - 55)}px`;
    tip.style.top = `${dots[here].cy.baseVal.value * scale}px`;
  }
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
    let best = -1, least = 20 ** 2;
    dots.forEach((dot, number) => {
      const gap = (dot.cx.baseVal.value - x) ** 2 + (dot.cy.baseVal.value - y) ** 2;
      if (gap < least) [best, least] = [number, gap];
    });
    if (best !== here) go(best);
  });
  svg.addEventListener('pointerleave', () => go(-1));
  svg.addEventListener('blur', () => go(-1));
  const order = points.map((_, number) => number).sort((a, b) => points[a].label.localeCompare(points[b].label) || points[a].x - points[b].x);
  svg.addEventListener('keydown', event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === 'Escape') go(-1);
    if (!step) return;
    event.preventDefault();
    const at = here < 0 ? (step > 0 ? -1 : 0) : order.indexOf(here);
    go(order[(at + step + order.length) % order.length]);
  });
  const names = make('div', {class: 'legend'});
  for (const name in legend) {
    const item = make('span', {}, name);
    const spot = make('i');
    spot.style.background = legend[name];
    item.prepend(spot);
    names.append(item);
  }
  map.append(svg, tip, names);
}
watch('value', show);
show();
