// What is recorded of the channel that is open, in columns, as the chart takes it.

import type { Values } from "./plot";
import type { Point } from "./types";
import { at } from "./words";

/** most is how many points are kept, as many as the server keeps. */
const most = 4000;

export class Series {
  times: number[] = []; // s
  depth: Values = [];
  upper: Values = [];
  lower: Values = [];
  replicas: Values = [];
  ready: Values = [];
  desired: Values = [];

  private get columns(): Values[] {
    return [this.depth, this.upper, this.lower, this.replicas, this.ready, this.desired];
  }

  clear(): void {
    this.times = [];
    this.depth = [];
    this.upper = [];
    this.lower = [];
    this.replicas = [];
    this.ready = [];
    this.desired = [];
  }

  /** add appends points; those that aren't newer than the last are left out. */
  add(points: Point[]): void {
    for (const p of points) {
      const time = at(p.t) / 1000;
      if (this.times.length > 0 && time <= this.times[this.times.length - 1]!) continue;
      this.times.push(time);
      const values = [p.depth ?? null, p.upper ?? null, p.lower ?? null, p.replicas, p.ready, p.desired];
      this.columns.forEach((column, i) => column.push(values[i]!));
    }
    const over = this.times.length - most;
    if (over > 0) for (const column of [this.times, ...this.columns]) column.splice(0, over);
  }

  /**
   * until is times and columns up to now (s): a status is written only when something changes, so
   * the newest point holds until then.
   */
  until(now: number | undefined, columns: Values[]): [number[], ...Values[]] {
    const n = this.times.length;
    if (now === undefined || n === 0 || now <= this.times[n - 1]!) return [this.times, ...columns];
    return [[...this.times, now], ...columns.map((column) => [...column, column[n - 1] ?? null])];
  }

  /** before is the index of the newest point that is not after the time (s); -1: there is none. */
  before(time: number): number {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
