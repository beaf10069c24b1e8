// A map of drawings, as SVG: small pictures where there is room, dots elsewhere, more pictures the nearer one comes.
// All text is set as text, so that no label can be markup.
const SIDE = 600, MOST_ZOOM = 24, STEP = 1.5, NS = 'http://www.w3.org/2000/svg';
const SVG_TAGS = ['svg', 'circle', 'g', 'rect', 'image'];
const map = element.querySelector('.map');
let watched = null;

function make(tag, attributes = {}, text = '') {
  const made = SVG_TAGS.includes(tag) ? document.createElementNS(NS, tag) : document.createElement(tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  if (text) made.textContent = text;
  return made;
}
function words({name, label, group}) {
  return [label || name, group].filter(Boolean).join(', ');
}
// The first of every class before the second of any, so that the small pictures show all kinds.
function byRank(points) {
  const seen = new Map();
  const ranks = points.map(({colour, label}) => {
    const kind = `${colour} ${label}`;
    seen.set(kind, (seen.get(kind) ?? -1) + 1);
    return seen.get(kind);
  });
  return points.map((_, number) => number).sort((a, b) => ranks[a] - ranks[b] || a - b);
}
function show() {
  const {gallery = '', points = [], legend = {}} = props.value || {};
  watched?.disconnect();
  map.replaceChildren();
  if (!points.length) {
    map.append(make('div', {class: 'empty'}, 'The map of a gallery is drawn here.'));
    return;
  }
  const svg = make('svg', {viewBox: `0 0 ${SIDE} ${SIDE}`, tabindex: 0, role: 'application',
    'aria-label': `Map of ${points.length} drawings; arrow keys go from one to the next, Enter opens one, plus and minus zoom`});
  const tip = make('div', {class: 'tip', role: 'status', hidden: ''});
  const ranked = byRank(points);
  const order = points.map((_, number) => number).sort((a, b) => words(points[a]).localeCompare(words(points[b])) || points[a].x - points[b].x);
  const dots = points.map(({colour}) => {
    const dot = make('circle', {r: colour ? 7 : 5});
    if (colour) dot.style.fill = colour;
    svg.append(dot);
    return dot;
  });
  const tiles = points.map(() => null);
  let zoom = 1, centre = [0.5, 0.5], here = -1, places = [], tile = 40, inner = SIDE;

  function tileOf(number) {
    if (tiles[number]) return tiles[number];
    const {picture, colour} = points[number];
    const made = make('g', {class: 'tile'});
    const frame = make('rect', {class: 'frame'});
    if (colour) frame.style.stroke = colour;
    made.append(make('rect', {class: 'paper'}), make('image', {href: picture}), frame);
    svg.append(made);
    return tiles[number] = made;
  }
  // Which drawings have room for a picture depends on the zoom alone, so that none comes or goes while the map moves.
  function withRoom() {
    const taken = new Map(), chosen = new Set(), gap = tile + 3, scale = inner * zoom;
    for (const number of ranked) {
      const [x, y] = [points[number].x * scale, points[number].y * scale];
      const [column, row] = [Math.floor(x / gap), Math.floor(y / gap)];
      let free = true;
      for (let i = -1; i <= 1 && free; i++) {
        for (let j = -1; j <= 1 && free; j++) {
          const other = taken.get(`${column + i} ${row + j}`);
          free = !other || Math.abs(other[0] - x) >= gap || Math.abs(other[1] - y) >= gap;
        }
      }
      if (!free) continue;
      taken.set(`${column} ${row}`, [x, y]);
      chosen.add(number);
    }
    return chosen;
  }
  function draw() {
    const wide = svg.clientWidth || SIDE;
    tile = (wide < 500 ? 38 : 46) * SIDE / wide;
    inner = SIDE - tile - 8;
    const half = 0.5 / zoom;
    centre = centre.map(value => Math.min(1 - half, Math.max(half, value)));
    const scale = inner * zoom, chosen = withRoom();
    svg.classList.toggle('near', zoom > 1);
    places = points.map(({x, y}) => [SIDE / 2 + (x - centre[0]) * scale, SIDE / 2 + (y - centre[1]) * scale]);
    places.forEach(([x, y], number) => {
      const outside = x < -tile || y < -tile || x > SIDE + tile || y > SIDE + tile;
      const pictured = !outside && chosen.has(number);
      dots[number].style.display = outside || pictured ? 'none' : '';
      dots[number].setAttribute('cx', x);
      dots[number].setAttribute('cy', y);
      if (tiles[number] || pictured) tileOf(number).style.display = pictured ? '' : 'none';
      if (!pictured) return;
      for (const part of tiles[number].children) {
        part.setAttribute('x', x - tile / 2);
        part.setAttribute('y', y - tile / 2);
        part.setAttribute('width', tile);
        part.setAttribute('height', tile);
      }
    });
    if (here >= 0) go(here);
    out.disabled = whole.disabled = zoom === 1;
    into.disabled = zoom === MOST_ZOOM;
  }
  // What lies at a place of the window stays there.
  function zoomBy(factor, [x, y] = [SIDE / 2, SIDE / 2]) {
    const before = zoom;
    zoom = Math.min(MOST_ZOOM, Math.max(1, zoom * factor));
    const shift = 1 / before - 1 / zoom;
    centre = [centre[0] + (x - SIDE / 2) / inner * shift, centre[1] + (y - SIDE / 2) / inner * shift];
    draw();
  }
  function moveBy(dx, dy) {
    const scale = inner * zoom;
    centre = [centre[0] - dx / scale, centre[1] - dy / scale];
    draw();
  }
  function go(number) {
    if (here >= 0) [dots[here], tiles[here]].forEach(one => one?.classList.remove('here'));
    here = number;
    tip.hidden = here < 0;
    if (here < 0) return;
    const [x, y] = places[here];
    [dots[here], tiles[here]].forEach(one => one?.classList.add('here'));
    svg.append(dots[here], ...(tiles[here] ? [tiles[here]] : []));
    if (tip.dataset.number !== String(here)) {
      tip.dataset.number = here;
      tip.replaceChildren(make('img', {src: points[here].picture, alt: ''}), make('span', {}, words(points[here])));
    }
    const box = svg.getBoundingClientRect(), around = map.getBoundingClientRect(), scale = box.width / SIDE;
    tip.hidden = x < 0 || y < 0 || x > SIDE || y > SIDE;
    tip.classList.toggle('below', y < 200);
    tip.style.left = `${Math.min(Math.max(x * scale, 60), box.width - 60)}px`;
    tip.style.top = `${box.top - around.top + (y + (y < 200 ? tile / 2 : -tile / 2)) * scale}px`;
  }
  function open(number) {
    document.dispatchEvent(new CustomEvent('sketchloss:open', {detail: {gallery, ...points[number]}}));
  }
  function at(event) {
    const box = svg.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
  }
  function nearest([x, y]) {
    let best = -1, least = Math.max(20, tile * 0.6) ** 2;
    places.forEach(([left, top], number) => {
      const gap = (left - x) ** 2 + (top - y) ** 2;
      if (gap < least) [best, least] = [number, gap];
    });
    return best;
  }

  // Mouse, pen and fingers: one moves the map, two zoom.
  const fingers = new Map();
  let moved = false;
  function spread() {
    const [a, b] = [...fingers.values()];
    return {wide: Math.hypot(a[0] - b[0], a[1] - b[1]), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]};
  }
  svg.addEventListener('pointerdown', event => {
    if (event.button) return;
    if (!fingers.size) moved = false;
    fingers.set(event.pointerId, at(event));
  });
  svg.addEventListener('pointermove', event => {
    const now = at(event), before = fingers.get(event.pointerId);
    if (!before) {
      const number = nearest(now);
      if (number !== here) go(number);
      return;
    }
    if (fingers.size === 2) {
      const {wide} = spread();
      fingers.set(event.pointerId, now);
      const after = spread();
      moved = true;
      if (wide > 0) zoomBy(after.wide / wide, after.middle);
    } else if (moved || Math.hypot(now[0] - before[0], now[1] - before[1]) > 8) {
      if (!moved) svg.setPointerCapture(event.pointerId);
      moved = true;
      fingers.set(event.pointerId, now);
      go(-1);
      moveBy(now[0] - before[0], now[1] - before[1]);
    }
  });
  const lift = event => fingers.delete(event.pointerId);
  svg.addEventListener('pointerup', lift);
  svg.addEventListener('pointercancel', lift);
  svg.addEventListener('pointerleave', event => { lift(event); go(-1); });
  svg.addEventListener('click', event => {
    const number = nearest(at(event));
    if (!moved && number >= 0) open(number);
  });
  svg.addEventListener('wheel', event => {
    if (!event.ctrlKey) return;  // the page scrolls
    event.preventDefault();
    zoomBy(2 ** (-event.deltaY / 200), at(event));
  }, {passive: false});
  svg.addEventListener('blur', () => { tip.hidden = true; });
  svg.addEventListener('keydown', event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === 'Escape') go(-1);
    if (event.key === 'Enter' && here >= 0) {
      event.preventDefault();  // or the key would press the button that has the focus then: the one that closes
      open(here);
    }
    if ((event.key === '+' || event.key === '=') && !event.ctrlKey) zoomBy(STEP, here >= 0 ? places[here] : undefined);
    if (event.key === '-' && !event.ctrlKey) zoomBy(1 / STEP);
    if (event.key === '0' && !event.ctrlKey) zoomBy(1 / MOST_ZOOM);
    if (!step) return;
    event.preventDefault();
    const start = here < 0 ? (step > 0 ? -1 : 0) : order.indexOf(here);
    const next = order[(start + step + order.length) % order.length];
    const [x, y] = places[next];
    if (zoom > 1 && (x < 0 || y < 0 || x > SIDE || y > SIDE)) {
      centre = [points[next].x, points[next].y];
      draw();
    }
    go(next);
  });

  const tools = make('div', {class: 'tools', role: 'toolbar', 'aria-label': 'Zoom of the map'});
  const into = make('button', {type: 'button', 'aria-label': 'Zoom in'}, '+');
  const out = make('button', {type: 'button', 'aria-label': 'Zoom out'}, '\u2212');
  const whole = make('button', {type: 'button'}, 'Whole map');
  into.addEventListener('click', () => zoomBy(STEP));
  out.addEventListener('click', () => zoomBy(1 / STEP));
  whole.addEventListener('click', () => zoomBy(1 / MOST_ZOOM));
  tools.append(into, out, whole, make('span', {}, 'Zoom: Ctrl and wheel, or two fingers. Move: drag.'));
  const names = make('div', {class: 'legend'});
  for (const name in legend) {
    const item = make('span', {}, name);
    const spot = make('i');
    spot.style.background = legend[name];
    item.prepend(spot);
    names.append(item);
  }
  map.append(tools, svg, tip, names);
  watched = new ResizeObserver(draw);
  watched.observe(svg);
  draw();
}
watch('value', show);
show();
