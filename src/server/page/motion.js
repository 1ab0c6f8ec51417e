// The dots that wander along the edges of the graph: quicker where more flows, none where nothing
// does. They have a canvas of their own beneath the picture, so that a frame costs little, and rest
// where less motion is wanted or nobody can see them.

import { html } from "./dom.js";

const FRAME_MS = 60;
const APART = 18;
const STEP = 2;
const RADIUS = 2.2;

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Motion {
  #edges = [];
  #drawnAt = 0;
  #isSeen = true;
  #hasDrawn = false;

  constructor() {
    this.canvas = html("canvas", { class: "motion", "aria-hidden": "true" });
    new IntersectionObserver(([one]) => (this.#isSeen = one.isIntersecting)).observe(this.canvas);
    requestAnimationFrame((now) => this.#frame(now));
  }

  /** Takes over edges, `{ path, rate }`, of which the rate may change; `view` is the picture's box. */
  lay(edges, [left, top, width, height]) {
    this.view = { left, top, width, height };
    this.#edges = edges.map((edge) => {
      const length = edge.path.getTotalLength();
      const places = Array.from({ length: Math.floor(length / STEP) + 1 }, (_, i) => edge.path.getPointAtLength(i * STEP));
      return { edge, length, places, at: 0 };
    });
  }

  /** The picture's size on the screen, in pixels. */
  resize(width, height) {
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
  }

  #frame(now) {
    // Asked for now and then: a frame of the screen's own rate would cost three times as much.
    setTimeout(() => requestAnimationFrame((next) => this.#frame(next)), FRAME_MS);
    const passed = Math.min(100, now - this.#drawnAt);
    this.#drawnAt = now;
    const isMoving = this.#isSeen && !still.matches && this.#edges.some((one) => one.edge.rate > 0);
    if (!isMoving && !this.#hasDrawn) return;
    const { canvas, view } = this;
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    this.#hasDrawn = isMoving;
    if (!isMoving) return;
    const scale = canvas.width / view.width;
    pen.setTransform(scale, 0, 0, scale, -view.left * scale, -view.top * scale);
    pen.fillStyle = this.colour;
    pen.beginPath();
    for (const one of this.#edges) {
      if (!(one.edge.rate > 0)) continue;
      const speed = 8 + 16 * Math.log10(1 + one.edge.rate);
      one.at = (one.at + (speed * passed) / 1000) % APART;
      for (let way = one.at; way < one.length; way += APART) {
        const { x, y } = one.places[Math.floor(way / STEP)];
        pen.moveTo(x + RADIUS, y);
        pen.arc(x, y, RADIUS, 0, 2 * Math.PI);
      }
    }
    pen.fill();
  }
}
