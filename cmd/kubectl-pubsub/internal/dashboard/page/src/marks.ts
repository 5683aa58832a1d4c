// Scalings, changed decisions and cooldowns, drawn on a chart.

import type { Plot } from "./plot";
import { palette } from "./theme";
import type { Mark } from "./types";
import { at } from "./words";

export function shape(mark: Mark): string {
  return mark.kind !== "scaling" ? "●" : mark.to > mark.from ? "▲" : "▼";
}

/** Span is a time in a chart, in s. */
export interface Span {
  from: number;
  to: number;
}

/** drawCooldowns shades the time after each scaling in which there is no other. */
export function drawCooldowns(chart: Plot, marks: Mark[]): void {
  const spans = marks.flatMap((mark) => (mark.until === undefined ? [] : [{ from: at(mark.t) / 1000, to: at(mark.until) / 1000 }]));
  shade(chart, spans, palette().cooldown, "cooldown", 64, 3);
}

/** drawGaps shades the times in which nothing was heard of the channel. */
export function drawGaps(chart: Plot, gaps: Span[]): void {
  shade(chart, gaps, palette().gap, "nothing heard", 84, 16);
}

/** shade fills spans with a colour, and writes the words, so many px below the top, into those that have room (px) for them. */
function shade(chart: Plot, spans: Span[], colour: string, words: string, room: number, below: number): void {
  const { ctx: context, bbox } = chart;
  const ratio = devicePixelRatio || 1;
  context.save();
  context.beginPath();
  context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  context.clip();
  for (const { from, to } of spans) {
    const left = chart.valToPos(from, "x", true);
    const right = chart.valToPos(to, "x", true);
    if (right < bbox.left || left > bbox.left + bbox.width) continue;
    context.fillStyle = colour;
    context.fillRect(left, bbox.top, right - left, bbox.height);
    const start = Math.max(left, bbox.left);
    if (right - start < room * ratio) continue;
    context.fillStyle = palette().muted;
    context.font = `${10 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "top";
    context.textAlign = "left"; // the axes leave theirs
    context.fillText(words, start + 5 * ratio, bbox.top + below * ratio, right - start - 8 * ratio);
  }
  context.restore();
}

/** drawMarks draws the marks; y says at which value of the axis, or the top if it isn't known. */
export function drawMarks(chart: Plot, marks: Mark[], chosen: Mark | undefined, y: (mark: Mark) => number | undefined): void {
  const { ctx: context, bbox } = chart;
  const ratio = devicePixelRatio || 1;
  const colours = palette();
  context.save();
  for (const mark of marks) {
    const x = chart.valToPos(at(mark.t) / 1000, "x", true);
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
    const value = y(mark);
    const top = value === undefined ? bbox.top + 7 * ratio : chart.valToPos(value, "y", true);
    if (mark === chosen) {
      context.fillStyle = colours.ink;
      context.fillRect(x - ratio, bbox.top, 2 * ratio, bbox.height);
    }
    const size = (mark === chosen ? 7 : mark.kind === "scaling" ? 5.5 : 3) * ratio;
    context.beginPath();
    if (mark.kind === "scaling") {
      const up = mark.to > mark.from ? 1 : -1;
      context.moveTo(x, top - up * size);
      context.lineTo(x + size, top + up * size * 0.8);
      context.lineTo(x - size, top + up * size * 0.8);
      context.closePath();
      context.fillStyle = up > 0 ? colours.above : colours.below;
    } else {
      context.arc(x, top, size, 0, 2 * Math.PI);
      context.fillStyle = colours.muted;
    }
    context.fill();
    // An outline in the colour of the surface keeps marks apart that are close to one another.
    context.lineWidth = ratio;
    context.strokeStyle = colours.surface;
    context.stroke();
  }
  context.restore();
}
