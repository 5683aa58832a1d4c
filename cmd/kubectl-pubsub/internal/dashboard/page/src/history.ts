// The last points of a channel, for its sparkline, in typed arrays: a thousand channels must
// not cost a thousand arrays of objects.

import type { Point } from "./types";
import { at } from "./words";

/** kept is how many points a sparkline has, as many as the server sends at first. */
export const kept = 120;

export class History {
  readonly times = new Float64Array(kept); // ms
  readonly depths = new Float32Array(kept); // NaN: unknown
  private readonly steps = new Uint8Array(kept); // 1: up to the point it was as the one before says
  length = 0;
  private start = 0;

  /** add appends points; one that is not newer than the last is left out. */
  add(points: Point[]): void {
    for (const point of points) {
      const time = at(point.t);
      if (this.length > 0 && time <= this.time(this.length - 1)) continue;
      const i = (this.start + this.length) % kept;
      this.times[i] = time;
      this.depths[i] = point.depth ?? NaN;
      this.steps[i] = point.held === true || point.depth === undefined ? 1 : 0; // what is not known any more was known until then
      if (this.length < kept) this.length++;
      else this.start = (this.start + 1) % kept;
    }
  }

  /** time and depth of the i-th point, the oldest first. */
  time(i: number): number {
    return this.times[(this.start + i) % kept] ?? NaN;
  }

  depth(i: number): number {
    return this.depths[(this.start + i) % kept] ?? NaN;
  }

  /** held is whether up to the i-th point it was as the one before says. */
  held(i: number): boolean {
    return this.steps[(this.start + i) % kept] === 1;
  }
}
