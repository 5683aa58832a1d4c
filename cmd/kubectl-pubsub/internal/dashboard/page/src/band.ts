// The depth in its band, as a bar with both bounds marked. The scale belongs to the band, not to
// the depth: the band stays where it is while the depth moves. A shape says where the depth is,
// so that nobody needs to tell the colours apart.

import { attribute, el, text } from "./dom";
import { band, place } from "./words";

const shapes = { within: "●", above: "▲", below: "▼", unknown: "" } as const;

/** room is how much of the bar is above the upper bound, as a part of that bound. */
const room = 0.6;

export class Band {
  readonly element: HTMLElement;
  private readonly marker = el("span", { class: "band-marker" });
  private drawn = "";

  constructor() {
    this.element = el("span", { class: "band", role: "img" }, el("span", { class: "band-range" }), el("span", { class: "band-fill" }), this.marker);
  }

  show(of: { depth?: number; atLeast?: boolean; lowerBound?: number; upperBound?: number }): void {
    const state = `${of.depth} ${of.atLeast} ${of.lowerBound} ${of.upperBound}`;
    if (state === this.drawn) return;
    this.drawn = state;
    const top = of.upperBound ? of.upperBound * (1 + room) : Math.max(1, of.depth ?? 1) * 2;
    const part = (n: number | undefined): string => Math.min(1, (n ?? 0) / top).toFixed(4);
    const where = place(of);
    const { style, classList } = this.element;
    style.setProperty("--lower", part(of.lowerBound));
    style.setProperty("--upper", part(of.upperBound));
    style.setProperty("--depth", part(of.depth));
    attribute(this.element, "data-place", where);
    attribute(this.element, "aria-label", band(of));
    classList.toggle("unbounded", of.upperBound === undefined || of.lowerBound === undefined);
    text(this.marker, of.depth !== undefined && of.depth > top ? "▶" : shapes[where]);
  }
}
