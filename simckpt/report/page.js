"use strict";
// Draws the figures of the page from the data in it. All text from bundles goes through
// textContent or attributes of SVG, never through markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 84, RIGHT = 16;
  // Drawn as wide as they are shown, so that their text keeps its size on a narrow screen.
  let W = 1100;
  const wide = (svg, otherwise) => Math.max(240, Math.round(svg.getBoundingClientRect().width) || otherwise);

  const make = (parent, name, attributes = {}, text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.appendChild(element);
    return element;
  };
  const byId = (id) => document.getElementById(id);
  const format = (v) => (v === null || v === undefined ? "not finite"
    : v === 0 ? "0" : Number(v).toPrecision(8).replace(/\.?0+(?=$|e)/, ""));

  const steps = (low, high, count) => {
    const raw = (high - low) / count || 1;
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * size).find((s) => s >= raw);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
    return ticks;
  };
  const label = (v, span) => {
    if (v === 0) return "0";
    const digits = Math.max(3, Math.ceil(Math.log10(Math.abs(v) / (span || 1))) + 2);
    const text = Number(v).toPrecision(Math.min(digits, 15));
    const exponent = Math.floor(Math.log10(Math.abs(v)));
    if (exponent >= 6 || exponent < -4) return Number(text).toExponential().replace(/(\.\d*?)0+e/, "$1e");
    return String(Number(text));
  };

  let against = "step";
  const xs = (line) => (against === "t" && line.t.length ? line.t : line.step);
  const onsetX = () => (against === "t" && data.t !== null ? data.t : data.step);

  // A difference without a positive value: where it is no number, NaN stands in one run or in both.
  const unseen = (values) => {
    const missing = values.filter((v) => !Number.isFinite(v)).length;
    if (!values.length) return "No sample in common.";
    if (!missing) return "The same, bit for bit, wherever both have a sample.";
    return `Not a finite number in A or B at ${missing} of ${values.length} points; no difference can be drawn.`;
  };

  class Chart {
    constructor(id, height, title, log) {
      this.svg = byId(id); this.height = height; this.title = title; this.log = log;
    }
    draw(lines, range, note) {
      const top = 26, bottom = this.height - 26;
      this.svg.replaceChildren();
      this.svg.setAttribute("viewBox", `0 0 ${W} ${this.height}`);
      make(this.svg, "text", { x: LEFT, y: 15, class: "title" }, this.title + (note ? `  (${note})` : ""));
      const plain = (v) => v !== null && Number.isFinite(v) && (!this.log || v > 0);
      const values = lines.flatMap((l) => l.y.filter(plain)).map((v) => (this.log ? Math.log10(v) : v));
      const [x0, x1] = range;
      this.x = (v) => LEFT + ((v - x0) / (x1 - x0 || 1)) * (W - LEFT - RIGHT);
      this.back = (px) => x0 + ((px - LEFT) / (W - LEFT - RIGHT)) * (x1 - x0);
      if (!values.length) {
        make(this.svg, "text", { x: LEFT, y: this.height / 2 },
          this.log ? unseen(lines.flatMap((l) => l.y)) : "No finite value.");
        this.hair = null;
        return;
      }
      let low = values.reduce((p, v) => Math.min(p, v)), high = values.reduce((p, v) => Math.max(p, v));
      if (this.log) { low = Math.floor(low - 0.01); high = Math.ceil(high + 0.01); }
      else if (low === high) { const pad = Math.abs(low) * 0.1 || 1; low -= pad; high += pad; }
      else { const pad = (high - low) * 0.06; low -= pad; high += pad; }
      const y = (v) => bottom - (((this.log ? Math.log10(v) : v) - low) / (high - low)) * (bottom - top);
      const ticks = this.log
        ? steps(low, high, 5).filter((v) => Number.isInteger(v)) : steps(low, high, 6);
      // A quantity that hardly changes: its labels would not fit, so they count from the first.
      const base = !this.log && ticks.length && Math.abs(ticks[0]) > 1e4 * (high - low) ? ticks[0] : null;
      if (base !== null) {
        make(this.svg, "text", { x: W - RIGHT, y: 15, "text-anchor": "end" },
          `counted from ${Number(base.toPrecision(15))}`);
      }
      const tickLabel = (v) => (base === null ? label(v, high - low)
        : v === base ? "0" : `+${label(v - base, high - low)}`);
      for (const tick of ticks) {
        const at = bottom - ((tick - low) / (high - low)) * (bottom - top);
        make(this.svg, "line", { x1: LEFT, x2: W - RIGHT, y1: at, y2: at, class: "grid" });
        make(this.svg, "text", { x: LEFT - 7, y: at + 4, "text-anchor": "end" },
          this.log ? `1e${tick}` : tickLabel(tick));
      }
      make(this.svg, "text", { x: LEFT - 60, y: this.height - 7 }, against === "t" ? "time" : "step");
      for (const tick of steps(x0, x1, W > 700 ? 8 : 4)) {
        make(this.svg, "text", { x: this.x(tick), y: this.height - 7, "text-anchor": "middle" },
          label(tick, x1 - x0));
      }
      for (const line of lines) {
        const at = xs(line);
        let path = "", pen = false;
        const lone = [];
        line.y.forEach((v, i) => {
          if (!plain(v)) { pen = false; return; }
          const next = i + 1 < line.y.length && plain(line.y[i + 1]);
          if (!pen && !next) lone.push([this.x(at[i]), y(v)]);
          path += `${pen ? "L" : "M"}${this.x(at[i]).toFixed(1)} ${y(v).toFixed(1)}`;
          pen = true;
        });
        make(this.svg, "path", { d: path, class: line.class });
        for (const [cx, cy] of lone) make(this.svg, "circle", { cx, cy, r: 2.5, class: "dot" });
      }
      const onset = onsetX();
      if (onset !== null && onset !== undefined) {
        const at = this.x(onset), late = at > W - 220;
        make(this.svg, "line", { x1: at, x2: at, y1: top - 4, y2: bottom, class: "onset" });
        make(this.svg, "text", { x: at + (late ? -6 : 6), y: top + 8, class: "onset-text",
          "text-anchor": late ? "end" : "start" }, `first seen to differ, step ${data.step}`);
      }
      this.hair = make(this.svg, "line",
        { x1: -9, x2: -9, y1: top, y2: bottom, class: "hair", visibility: "hidden" });
    }
  }

  const nearest = (sorted, value) => {
    let low = 0, high = sorted.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle; else high = middle;
    }
    return value - sorted[low] > sorted[high] - value ? high : low;
  };

  if (data.quantities.length) {
    const values = new Chart("values", 250, "Values", false);
    const difference = new Chart("difference", 220, "Difference, relative to the quantity's scale", true);
    const select = byId("quantity"), readout = byId("readout");
    data.quantities.forEach((q, i) => {
      const option = document.createElement("option");
      option.value = i;
      option.textContent = q.name + (q.first === null ? "  (equal)" : "");
      select.appendChild(option);
    });
    let current;
    const draw = () => {
      current = data.quantities[select.value || 0];
      W = wide(values.svg, 1100);
      const lines = [{ ...current.a, class: "a" }, { ...current.b, class: "b" }];
      const all = lines.flatMap((l) => xs(l));
      const range = [all.reduce((p, v) => Math.min(p, v), Infinity), all.reduce((p, v) => Math.max(p, v), -Infinity)];
      values.title = current.name;
      values.draw(lines, range, current.kind);
      difference.draw([{ ...current.difference, class: "d" }], range, "");
      readout.textContent = "";
    };
    for (const chart of [values, difference]) {
      chart.svg.addEventListener("pointermove", (event) => {
        const box = chart.svg.getBoundingClientRect();
        const target = chart.back(((event.clientX - box.left) / box.width) * W);
        const line = current.a, i = nearest(xs(line), target);
        const j = nearest(xs(current.b), xs(line)[i]), k = nearest(xs(current.difference), xs(line)[i]);
        for (const c of [values, difference]) {
          if (!c.hair) continue;
          const at = c.x(xs(line)[i]);
          c.hair.setAttribute("x1", at); c.hair.setAttribute("x2", at);
          c.hair.setAttribute("visibility", "visible");
        }
        const t = line.t.length ? ` (t = ${format(line.t[i])})` : "";
        readout.textContent = `step ${line.step[i]}${t}:  A ${format(line.y[i])}   B ${format(current.b.y[j])}`
          + (current.difference.y.length ? `   difference ${format(current.difference.y[k])}` : "");
      });
    }
    select.addEventListener("change", draw);
    window.addEventListener("resize", draw);
    const switcher = byId("against");
    if (!data.quantities.some((q) => q.a.t.length && q.b.t.length)) switcher.hidden = true;
    switcher.addEventListener("click", () => {
      against = against === "step" ? "t" : "step";
      switcher.textContent = against === "step" ? "against time" : "against step";
      draw();
    });
    draw();
  }

  if (data.maps.length) {
    const select = byId("field"), slider = byId("sample"), play = byId("play");
    const svg = byId("tiles"), caption = byId("tiles-text"), hover = byId("tile-text"), counts = byId("counts");
    data.maps.forEach((m, i) => {
      const option = document.createElement("option");
      option.value = i;
      option.textContent = m.field + (m.frames.some((f) => f.differing) ? "" : "  (equal)");
      select.appendChild(option);
    });
    let map, timer = null, dot = null;
    const size = (m) => [m.columns.length - 1, m.rows.length - 1];
    const frame = () => {
      const f = map.frames[slider.value], [across, down] = size(map);
      if (!f) return;
      let path = "";
      for (let i = 0; i < f.cells.length; i++) {
        if (f.cells[i] === "1") {
          path += `M${(i % across) * 10 + 0.5} ${Math.floor(i / across) * 10 + 0.5}h9v9h-9z`;
        }
      }
      svg.querySelector(".differs").setAttribute("d", path);
      const t = f.t === null ? "" : ` (t = ${format(f.t)})`;
      caption.textContent = `Step ${f.step}${t}: ${f.differing} of ${map.of} tiles differ.`;
      slider.setAttribute("aria-valuetext", caption.textContent);
      if (dot) dot.setAttribute("cx", dot.dataset.left * 1 + slider.value * dot.dataset.wide);
      if (dot) dot.setAttribute("cy", 92 - (f.differing / map.of) * 78);
    };
    const draw = () => {
      map = data.maps[select.value || 0];
      const [across, down] = size(map);
      svg.setAttribute("viewBox", `0 0 ${across * 10} ${down * 10}`);
      svg.style.maxHeight = down === 1 ? "60px" : "440px";
      svg.setAttribute("preserveAspectRatio", down === 1 ? "none" : "xMinYMin meet");
      svg.replaceChildren();
      let path = "";
      for (let r = 0; r < down; r++) for (let c = 0; c < across; c++) path += `M${c * 10 + 0.5} ${r * 10 + 0.5}h9v9h-9z`;
      make(svg, "path", { d: path, class: "cells" });
      make(svg, "path", { d: "", class: "differs" });
      byId("map-note").textContent = map.note;
      slider.max = Math.max(0, map.frames.length - 1);
      const first = map.frames.findIndex((f) => f.differing > 0);
      slider.value = first < 0 ? 0 : first;
      counts.replaceChildren();
      const width = wide(counts, 520), between = (width - 20) / Math.max(1, map.frames.length - 1);
      counts.setAttribute("viewBox", `0 0 ${width} 112`);
      make(counts, "line", { x1: 10, x2: width - 10, y1: 92, y2: 92, class: "grid" });
      make(counts, "path", { class: "d", d: map.frames.map((f, i) =>
        `${i ? "L" : "M"}${(10 + i * between).toFixed(1)} ${(92 - (f.differing / map.of) * 78).toFixed(1)}`).join("") });
      dot = make(counts, "circle", { r: 4.5, class: "dot", "data-left": 10, "data-wide": between });
      make(counts, "text", { x: 10, y: 108 }, `step ${map.frames.length ? map.frames[0].step : ""}`);
      make(counts, "text", { x: width - 10, y: 108, "text-anchor": "end" },
        `step ${map.frames.length ? map.frames[map.frames.length - 1].step : ""}`);
      frame();
    };
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "play"; };
    const go = (by) => { slider.value = Number(slider.value) + by; frame(); };
    select.addEventListener("change", () => { stop(); draw(); });
    slider.addEventListener("input", () => { stop(); frame(); });
    byId("back").addEventListener("click", () => { stop(); go(-1); });
    byId("on").addEventListener("click", () => { stop(); go(1); });
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (slider.value === slider.max) slider.value = 0;
      play.textContent = "stop";
      timer = setInterval(() => { go(1); if (slider.value === slider.max) stop(); }, 220);
    });
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect(), [across, down] = size(map);
      const scale = down === 1 ? box.width / across : Math.min(box.width / across, box.height / down);
      const c = Math.floor((event.clientX - box.left) / scale);
      const r = down === 1 ? 0 : Math.floor((event.clientY - box.top) / scale);
      if (c < 0 || r < 0 || c >= across || r >= down) { hover.textContent = ""; return; }
      const columns = `${map.columns[c]}:${map.columns[c + 1]}`;
      hover.textContent = down === 1 ? `tile [${columns}]` : `tile [${map.rows[r]}:${map.rows[r + 1]}, ${columns}]`;
    });
    draw();
  }
})();
