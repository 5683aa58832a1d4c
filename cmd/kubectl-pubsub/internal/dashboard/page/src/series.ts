// What is recorded of the channel that is open, in columns, as the chart takes it.

import type { Values } from "./plot";
import type { Point } from "./types";
import { at } from "./words";

/** most is how many points are kept, as many as the server keeps. */
const most = 4000;

/** edge is how long (s) before a point the value before it ends: a step looks upright. */
const edge = 0.001;

export class Series {
  times: number[] = []; // s
  depth: Values = [];
  upper: Values = [];
  lower: Values = [];
  replicas: Values = [];
  ready: Values = [];
  desired: Values = [];
  private held: boolean[] = []; // what the point before says is so up to this one

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
    this.held = [];
  }

  /** add appends points; those that aren't newer than the last are left out. */
  add(points: Point[]): void {
    for (const p of points) {
      const time = at(p.t) / 1000;
      if (this.times.length > 0 && time <= this.times[this.times.length - 1]!) continue;
      this.times.push(time);
      // What is not known any more, in a gap or of the depth alone, was known until then.
      this.held.push(p.held === true || p.depth === undefined);
      const values = [p.depth, p.upper, p.lower, p.replicas, p.ready, p.desired];
      this.columns.forEach((column, i) => column.push(values[i] ?? null));
    }
    const over = this.times.length - most;
    if (over > 0) for (const column of [this.times, ...this.columns, this.held]) column.splice(0, over);
  }

  /**
   * drawn is times and columns as a chart takes them, up to now (s). A status is written only when something changes, so what
   * held has its value twice, at both ends, and the newest point holds until now. Samples that are close together are joined.
   */
  drawn(now: number | undefined, columns: Values[]): [number[], ...Values[]] {
    const { times, held } = this;
    const at: number[] = [];
    const values: Values[] = columns.map(() => []);
    const put = (time: number, i: number): void => {
      at.push(time);
      columns.forEach((column, n) => values[n]!.push(column[i] ?? null));
    };
    times.forEach((time, i) => {
      if (i > 0 && held[i]) put(Math.max(time - edge, (times[i - 1]! + time) / 2), i - 1);
      put(time, i);
    });
    const last = times.length - 1;
    if (now !== undefined && last >= 0 && now > times[last]!) put(now, last);
    return [at, ...values];
  }

  /** missed is whether nothing was heard from the i-th point on. */
  missed(i: number): boolean {
    return i >= 0 && i < this.times.length && this.replicas[i] === null;
  }

  /** gaps are the times (s) in which nothing was heard; the last one may last until now. */
  gaps(now: number | undefined): { from: number; to: number }[] {
    const { times } = this;
    return times.flatMap((from, i) => (this.missed(i) ? [{ from, to: times[i + 1] ?? now ?? from }] : []));
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
