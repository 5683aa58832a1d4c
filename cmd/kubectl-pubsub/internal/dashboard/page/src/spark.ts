// Sparklines: the last points of a depth on a canvas. As in the channel's chart, a depth holds until another one is told, and
// nothing is drawn where nothing is known.

import type { History } from "./history";
import { palette } from "./theme";
import { short, span } from "./words";

/** drawSpark draws the history up to now (ms), in a canvas of that size in CSS pixels. */
export function drawSpark(canvas: HTMLCanvasElement, history: History, now: number, width: number, height: number): void {
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  if (history.length < 2) return;
  let most = 1;
  for (let i = 0; i < history.length; i++) most = Math.max(most, history.depth(i) || 0);
  const start = history.time(0);
  const length = Math.max(1000, now - start);
  const inner = height - 5;
  const x = (i: number): number => Math.min(1, (history.time(i) - start) / length) * (width - 3);
  const y = (depth: number): number => 2.5 + inner * (1 - depth / most);
  const colours = palette();
  context.beginPath();
  let before = NaN; // the pen is lifted where the depth isn't known
  for (let i = 0; i < history.length; i++) {
    const depth = history.depth(i);
    if (!Number.isNaN(before) && history.held(i)) context.lineTo(x(i), y(before));
    if (!Number.isNaN(depth)) {
      if (Number.isNaN(before)) context.moveTo(x(i), y(depth));
      else context.lineTo(x(i), y(depth));
    }
    before = depth;
  }
  context.strokeStyle = colours.depth;
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.stroke();
  const last = history.depth(history.length - 1);
  if (Number.isNaN(last)) return;
  context.beginPath();
  context.arc(x(history.length - 1), y(last), 1.9, 0, 2 * Math.PI);
  context.fillStyle = colours.depth;
  context.fill();
}

/** spokenSpark is the sparkline for those who can't see it. */
export function spokenSpark(history: History, now: number): string {
  if (history.length < 2) return "no history yet";
  let least = Infinity;
  let most = -Infinity;
  for (let i = 0; i < history.length; i++) {
    const depth = history.depth(i);
    if (Number.isNaN(depth)) continue;
    least = Math.min(least, depth);
    most = Math.max(most, depth);
  }
  const time = span((now - history.time(0)) / 1000);
  return most < least ? `depth unknown for ${time}` : `depth between ${short(least)} and ${short(most)} in ${time}`;
}
