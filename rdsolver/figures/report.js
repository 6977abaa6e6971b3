"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg"; // a name, never fetched

function nearest(sorted, value) {
  let best = 0;
  sorted.forEach((v, k) => { if (Math.abs(v - value) < Math.abs(sorted[best] - value)) best = k; });
  return best;
}

function plain(value) {
  return Number(value.toPrecision(4)).toString();
}

// --- fields: one slider for all runs, each at its saved time nearest to the slider's ---------------------------------

const days = [...new Set(DATA.runs.flatMap(run => run.days))].sort((a, b) => a - b);
const slider = document.getElementById("day"), chosen = document.getElementById("field"), play = document.getElementById("play");
let timer = null;

function showFields() {
  const day = days[slider.value];
  document.getElementById("shown").textContent = `day ${plain(day)}`;
  DATA.runs.forEach((run, k) => {
    const image = document.getElementById(`map-${k}`), frames = run.frames[chosen.value];
    image.hidden = !frames;
    if (frames) {
      const at = nearest(run.days, day);
      image.src = `data:image/png;base64,${frames[at]}`;
      image.alt = `${chosen.value}, day ${plain(run.days[at])}`;
    }
  });
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "play";
}

function toggle() {
  if (timer) return stop();
  play.textContent = "stop";
  timer = setInterval(() => { slider.value = (Number(slider.value) + 1) % days.length; showFields(); }, 250);
}

if (days.length && chosen.options.length) {
  slider.max = days.length - 1;
  slider.value = days.length - 1;
  slider.addEventListener("input", () => { stop(); showFields(); });
  chosen.addEventListener("change", showFields);
  play.addEventListener("click", toggle);
  showFields();
}

// --- series: one chart an observable, all runs in it, values under the pointer ---------------------------------------

const WIDTH = 520, HEIGHT = 170, LEFT = 56, RIGHT = 8, TOP = 22, FOOT = 30;

function element(name, attributes, parent, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * power).find(s => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9 * step; v += step) found.push(v);
  return found;
}

function decades(low, high) {
  for (const parts of [[1], [1, 3], [1, 2, 5]]) {
    const found = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
      found.push(...parts.map(k => k * 10 ** p).filter(v => v >= low && v <= high));
    }
    if (found.length > 1) return found;
  }
  return [low, high];
}

function chart(observable) {
  const box = document.createElement("div"), svg = document.createElementNS(SVG, "svg"), read = document.createElement("div");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  read.className = "read";
  box.append(svg, read);
  const lines = observable.lines.filter(line => line.values.length);
  const [low, high] = observable.range, [start, end] = DATA.span;
  const scale = observable.log ? Math.log10 : v => v;
  const x = t => LEFT + (WIDTH - LEFT - RIGHT) * (t - start) / (end - start || 1);
  const y = v => HEIGHT - FOOT - (HEIGHT - TOP - FOOT) * (scale(v) - scale(low)) / (scale(high) - scale(low) || 1);
  element("text", { x: 4, y: 13, class: "title" }, svg, observable.label);
  for (const v of observable.log ? decades(low, high) : ticks(low, high, 4)) {
    element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(v), y2: y(v), stroke: "#eee" }, svg);
    element("text", { x: LEFT - 5, y: y(v) + 4, "text-anchor": "end" }, svg, plain(v));
  }
  for (const t of ticks(start, end, 8)) {
    element("text", { x: x(t), y: HEIGHT - FOOT + 14, "text-anchor": "middle" }, svg, plain(t));
  }
  element("text", { x: WIDTH - RIGHT, y: HEIGHT - 3, "text-anchor": "end" }, svg, "time (d)");
  for (const line of lines) {
    const points = line.time.map((t, k) => [t, line.values[k]]).filter(p => p[1] !== null && (!observable.log || p[1] > 0));
    element("polyline", {
      points: points.map(([t, v]) => `${x(t).toFixed(1)},${y(Math.min(Math.max(v, low), high)).toFixed(1)}`).join(" "),
      fill: "none", stroke: DATA.runs[line.run].colour, "stroke-width": 1.6,
    }, svg);
  }
  const cursor = element("line", { y1: TOP, y2: HEIGHT - FOOT, stroke: "#999", visibility: "hidden" }, svg);
  svg.addEventListener("pointermove", event => {
    const inside = (event.clientX - svg.getBoundingClientRect().left) * WIDTH / svg.getBoundingClientRect().width;
    const t = Math.min(Math.max(start + (inside - LEFT) / (WIDTH - LEFT - RIGHT) * (end - start), start), end);
    cursor.setAttribute("x1", x(t));
    cursor.setAttribute("x2", x(t));
    cursor.setAttribute("visibility", "visible");
    read.replaceChildren(`day ${t.toFixed(1)}:`);
    for (const line of lines) {
      const v = line.values[nearest(line.time, t)], value = document.createElement("span");
      value.style.color = DATA.runs[line.run].colour;
      value.textContent = t > line.time.at(-1) || v === null ? "  –" : `  ${plain(v)}`;
      read.append(value);
    }
  });
  svg.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); read.replaceChildren(); });
  return box;
}

document.getElementById("charts").append(...DATA.observables.map(chart));
