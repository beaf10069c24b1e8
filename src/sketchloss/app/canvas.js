// Strokes are kept as points, so that undo draws all but the last again. A picture is sent a moment after a stroke.
const canvas = element.querySelector('canvas');
const paper = canvas.getContext('2d');
const width = element.querySelector('input');
let strokes = [], stroke = null, tool = 'pen', waiting = null;

function dot(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
}
function draw({points, size, erases}) {
  paper.strokeStyle = erases ? '#fff' : '#000';
  paper.lineWidth = erases ? 3 * size : size;
  paper.lineCap = paper.lineJoin = 'round';
  paper.beginPath();
  paper.moveTo(...points[0]);
  for (let i = 1; i < points.length - 1; i++) {
    const [[x, y], [x2, y2]] = [points[i], points[i + 1]];
    paper.quadraticCurveTo(x, y, (x + x2) / 2, (y + y2) / 2);
  }
  paper.lineTo(...points.at(-1));
  paper.stroke();
}
function redraw() {
  paper.fillStyle = '#fff';
  paper.fillRect(0, 0, canvas.width, canvas.height);
  strokes.forEach(draw);
  if (stroke) draw(stroke);
}
function send() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    props.value = strokes.some(one => !one.erases) ? canvas.toDataURL('image/png') : '';
    trigger('input');
  }, 200);
}
canvas.addEventListener('pointerdown', event => {
  if (event.button) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  stroke = {points: [dot(event)], size: Number(width.value), erases: tool === 'eraser'};
  redraw();
});
canvas.addEventListener('pointermove', event => {
  if (!stroke) return;
  const between = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  (between.length ? between : [event]).forEach(one => stroke.points.push(dot(one)));
  redraw();
});
function lift() {
  if (!stroke) return;
  strokes.push(stroke);
  stroke = null;
  send();
}
canvas.addEventListener('pointerup', lift);
canvas.addEventListener('pointercancel', lift);
element.querySelectorAll('[data-tool]').forEach(button => button.addEventListener('click', () => {
  tool = button.dataset.tool;
  element.querySelectorAll('[data-tool]').forEach(one => one.setAttribute('aria-pressed', one === button));
}));
element.querySelector('[data-act=undo]').addEventListener('click', () => { strokes.pop(); redraw(); send(); });
element.querySelector('[data-act=clear]').addEventListener('click', () => { strokes = []; redraw(); send(); });
redraw();
