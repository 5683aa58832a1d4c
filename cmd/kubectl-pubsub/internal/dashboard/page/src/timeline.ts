// What happened over time: the depth in its band, the replicas, the decisions.

import { attribute, el, text } from "./dom";
import { drawCooldowns, drawGaps, drawMarks, shape } from "./marks";
import { plot, type Line, type Plot } from "./plot";
import { Series } from "./series";
import type { Mark, Point } from "./types";
import { at, clock, count, plural, short, unknown } from "./words";

const depthLines: Line[] = [
  { label: "Depth", colour: "depth", width: 2 },
  { label: "Upper bound", colour: "bound", width: 1, dash: [6, 3], stepped: true },
  { label: "Lower bound", colour: "bound", width: 1, dash: [2, 3], stepped: true },
];
const replicaLines: Line[] = [
  { label: "Desired", colour: "desired", width: 1.5, dash: [5, 3], stepped: true },
  { label: "Replicas", colour: "now", width: 2, stepped: true },
  { label: "Ready", colour: "ready", width: 1.5, dash: [2, 2], stepped: true },
];
const windows: [string, number][] = [
  ["5 min", 300],
  ["15 min", 900],
  ["1 h", 3600],
  ["All", 0],
];
const howItIsDrawn = "A value holds until another one is told. Depths that were told close together are joined by a line.";
const near = 9; // px within which the pointer means a mark
const shortest = 2; // s that a zoom has at least

/** Range is the times (s) that are shown. */
interface Range {
  min: number;
  max: number;
}

export class Timeline {
  readonly element: HTMLElement;
  readonly series = new Series();
  marks: Mark[] = [];
  private readonly depthBox = el("div", { class: "plot" });
  private readonly replicaBox = el("div", { class: "plot" });
  private readonly tip = el("div", { class: "tip", hidden: true });
  private readonly spoken = el("p", { class: "unseen", "aria-live": "polite" });
  private readonly figure: HTMLElement;
  private readonly waiting = el("span", { class: "nothing waiting", role: "status" });
  private readonly legend: HTMLElement[] = [];
  private readonly spans: HTMLButtonElement[];
  private readonly again = el("button", { type: "button", class: "again", title: "Live again (l, or a double click in the chart)", hidden: true, click: () => this.live() }, "▸ Live");
  private readonly table = el("tbody");
  private readonly numbers = el("details", { class: "numbers", toggle: () => this.tabulate() }, el("summary", {}, "As numbers"), el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...["Time", "Depth", "Lower", "Upper", "Replicas", "Ready", "Desired"].map((name) => el("th", { scope: "col" }, name)))), this.table)));
  private plots: { depth: Plot; replicas: Plot; destroy(): void } | undefined;
  private chosen: Mark | undefined;
  private window = 0;
  private zoom: Range | undefined; // what was zoomed to; else the newest is shown, and moves on
  private now: number | undefined;

  constructor() {
    const entry = (line: Line): HTMLElement => {
      const value = el("b", { class: "number" }, unknown);
      this.legend.push(value);
      return el("span", { class: `key key-${line.colour}${line.dash ? " dashed" : ""}` }, el("i"), `${line.label} `, value);
    };
    this.spans = windows.map(([label, seconds]) => el("button", { type: "button", "aria-pressed": String(seconds === 0), click: () => this.showLast(seconds) }, label));
    this.figure = el("div", { class: "plots", tabindex: 0, role: "group", keydown: (event: KeyboardEvent) => this.key(event) }, el("div", { class: "legend" }, ...depthLines.map(entry), el("span", { class: "key key-cooldown" }, el("i"), "Cooldown"), el("span", { class: "key key-scaling" }, el("i"), "Scaling"), el("span", { class: "key key-decision" }, el("i"), "Another decision"), el("span", { class: "key key-gap" }, el("i"), "Nothing heard")), this.depthBox, el("div", { class: "legend" }, ...replicaLines.map(entry)), this.replicaBox, this.tip);
    this.element = el("section", { class: "panel timeline", "aria-label": "Over time" }, el("header", {}, el("h2", {}, "Over time"), this.waiting, el("span", { class: "spans", role: "group", "aria-label": "How far back" }, this.again, ...this.spans)), this.figure, el("p", { class: "how" }, howItIsDrawn), this.spoken, this.numbers);
  }

  add(points: Point[], marks: Mark[]): void {
    this.series.add(points);
    if (marks.length > 0) this.marks = [...this.marks, ...marks].sort((a, b) => at(a.t) - at(b.t)).slice(-500);
  }

  /** note says what is to come; empty: nothing is. */
  note(words: string): void {
    text(this.waiting, words);
  }

  clear(): void {
    this.series.clear();
    this.marks = [];
    this.choose(undefined);
  }

  /** show draws up to now (ms), or to the newest point if it isn't known what was since. */
  show(now: number | undefined): void {
    const plots = (this.plots ??= this.start());
    const { series } = this;
    this.now = now === undefined ? undefined : now / 1000;
    if (this.zoom && this.zoom.max <= (series.times[0] ?? 0)) this.zoom = undefined; // what it showed is not kept any more
    // A selection is measured in pixels: while one is made, the axis must stay.
    const charts = [plots.depth, plots.replicas];
    if (charts.every((chart) => chart.select.width === 0)) {
      plots.depth.setData(series.drawn(this.now, [series.depth, series.upper, series.lower]), false);
      plots.replicas.setData(series.drawn(this.now, [series.desired, series.replicas, series.ready]), false);
      for (const chart of charts) chart.setScale("x", this.range());
    }
    this.buttons();
    this.describe();
    this.values(plots.depth);
    this.point();
  }

  /** live ends a zoom: the newest is shown again. */
  live(): void {
    if (!this.zoom) return;
    const focused = document.activeElement === this.again;
    this.zoomTo(undefined);
    if (focused) this.focus(); // the button is gone
  }

  /** choose marks one of the marks, and says its words. */
  choose(mark: Mark | undefined): void {
    this.chosen = mark;
    this.plots?.depth.redraw(false);
    this.plots?.replicas.redraw(false);
    if (!mark || !this.plots) {
      this.tip.hidden = true;
      return;
    }
    this.reveal(at(mark.t) / 1000);
    text(this.spoken, `${clock(at(mark.t))}: ${mark.words}`);
    this.point();
  }

  focus(): void {
    this.figure.focus();
  }

  close(): void {
    this.plots?.destroy();
    this.plots = undefined;
  }

  private start(): { depth: Plot; replicas: Plot; destroy(): void } {
    const hooks = (y: (mark: Mark) => number | undefined): Parameters<typeof plot>[1]["hooks"] => ({
      drawClear: [(chart) => drawGaps(chart, this.series.gaps(this.now)), (chart) => drawCooldowns(chart, this.marks)],
      draw: [(chart) => drawMarks(chart, this.marks, this.chosen, y)],
      setCursor: [(chart) => this.pointed(chart)],
    });
    const zoom = { to: (min: number, max: number) => this.zoomTo({ min, max }), out: () => this.live() };
    const depth = plot(this.depthBox, { zoom, height: 210, lines: depthLines, band: [2, 3], sync: "channel", hooks: hooks((mark) => this.depthAt(mark)) });
    const replicas = plot(this.replicaBox, { zoom, height: 130, lines: replicaLines, integers: true, sync: "channel", hooks: hooks((mark) => mark.to) });
    this.figure.addEventListener("mouseleave", () => {
      if (!this.chosen) this.tip.hidden = true;
    });
    return {
      depth: depth.chart,
      replicas: replicas.chart,
      destroy() {
        depth.destroy();
        replicas.destroy();
      },
    };
  }

  /** point puts the words of the chosen decision beside it, once the chart has its new scale. */
  private point(): void {
    queueMicrotask(() => {
      if (this.chosen && this.plots) this.tell(at(this.chosen.t) / 1000, this.chosen);
    });
  }

  private depthAt(mark: Mark): number | undefined {
    return this.series.depth[this.series.before(at(mark.t) / 1000)] ?? undefined;
  }

  private range(): Range {
    if (this.zoom) return this.zoom;
    const end = this.now ?? this.series.times.at(-1) ?? 0;
    const first = this.series.times[0] ?? end - 60;
    return { min: this.window ? Math.max(end - this.window, Math.min(first, end - 60)) : Math.min(first, end - 10), max: end };
  }

  private showLast(seconds: number): void {
    this.window = seconds;
    this.zoomTo(undefined);
  }

  private zoomTo(range: Range | undefined): void {
    this.zoom = range && range.max - range.min < shortest ? { min: range.max - shortest, max: range.max } : range;
    this.show(this.now === undefined ? undefined : this.now * 1000);
  }

  /** zoomBy shows the part of what is shown now: around the chosen decision, else up to the right edge. More than all is live. */
  private zoomBy(part: number): void {
    const { min, max } = this.range();
    const width = (max - min) * part;
    const middle = this.chosen ? at(this.chosen.t) / 1000 : undefined;
    const right = middle === undefined ? max : middle + width / 2;
    const newest = this.now ?? this.series.times.at(-1) ?? right;
    if (part > 1 && right - width <= (this.series.times[0] ?? right)) this.zoomTo(undefined);
    else this.zoomTo({ min: Math.min(right, newest) - width, max: Math.min(right, newest) });
  }

  /** reveal moves a zoom so that it has the time (s) in its middle, if it does not show it. */
  private reveal(time: number): void {
    if (!this.zoom || (time >= this.zoom.min && time <= this.zoom.max)) return;
    const half = (this.zoom.max - this.zoom.min) / 2;
    this.zoomTo({ min: time - half, max: time + half });
  }

  private buttons(): void {
    this.again.hidden = !this.zoom;
    this.spans.forEach((button, i) => attribute(button, "aria-pressed", String(!this.zoom && windows[i]![1] === this.window)));
  }

  private pointed(chart: Plot): void {
    const { left, idx } = chart.cursor;
    this.values(chart);
    if (left === undefined || left < 0 || idx === undefined || idx === null) {
      if (!this.chosen) this.tip.hidden = true;
      return;
    }
    if (!chart.over.matches(":hover")) return; // the other chart's, moved along
    const time = chart.posToVal(left, "x");
    const close = this.marks.filter((mark) => Math.abs(chart.valToPos(at(mark.t) / 1000, "x") - left) <= near);
    this.tell(time, close.find((mark) => mark.kind === "scaling") ?? close.at(-1));
  }

  private tell(time: number, mark: Mark | undefined): void {
    const chart = this.plots!.depth;
    const { series } = this;
    const i = series.before(time);
    const has = (values: (number | null)[]): string => count(values[i] ?? undefined);
    this.tip.replaceChildren(
      el("b", {}, clock(time * 1000)),
      el("div", {}, i < 0 ? "nothing recorded" : series.missed(i) ? "nothing was heard" : `depth ${has(series.depth)}, band ${has(series.lower)} to ${has(series.upper)}`),
      i < 0 || series.missed(i) ? "" : el("div", {}, `${has(series.replicas)} replicas, ${has(series.ready)} ready, ${has(series.desired)} desired`),
      mark ? el("p", { class: `mark-words mark-${mark.kind}` }, el("span", { "aria-hidden": "true" }, `${shape(mark)} `), mark.words) : "",
    );
    this.tip.hidden = false;
    const x = chart.valToPos(time, "x") + chart.over.offsetLeft;
    const width = this.figure.clientWidth;
    const room = Math.min(280, width - 16);
    this.tip.style.maxWidth = `${room}px`;
    this.tip.style.left = `${Math.max(4, x + 14 + room > width ? x - 14 - Math.min(room, this.tip.offsetWidth) : x + 14)}px`;
  }

  /** values puts those under the pointer into the legend, else the newest. */
  private values(chart: Plot): void {
    const { series } = this;
    const { idx } = chart.cursor;
    const time = idx === undefined || idx === null ? undefined : chart.data[0][idx]; // a chart has more points than were told
    const i = time === undefined ? series.times.length - 1 : series.before(time);
    [series.depth, series.upper, series.lower, series.desired, series.replicas, series.ready].forEach((values, n) => text(this.legend[n]!, i < 0 ? unknown : short(values[i] ?? undefined)));
  }

  private key(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step !== undefined && this.marks.length > 0) {
      const index = this.chosen ? this.marks.indexOf(this.chosen) + step : step < 0 ? this.marks.length - 1 : 0;
      this.choose(this.marks[Math.min(this.marks.length - 1, Math.max(0, index))]);
    } else if (event.key === "+" || event.key === "=") {
      this.zoomBy(0.5);
    } else if (event.key === "-") {
      this.zoomBy(2);
    } else if (event.key === "Escape" && this.chosen) {
      this.choose(undefined);
    } else if (event.key === "Escape" && this.zoom) {
      this.live();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private describe(): void {
    const { series, marks } = this;
    const last = series.times.length - 1;
    const scalings = marks.filter((mark) => mark.kind === "scaling").length;
    const newest = last < 0 ? "nothing recorded yet" : series.missed(last) ? `nothing heard since ${clock(series.times[last]! * 1000)}` : `depth ${count(series.depth[last] ?? undefined)}, band ${count(series.lower[last] ?? undefined)} to ${count(series.upper[last] ?? undefined)}, ${plural(series.replicas[last] ?? 0, "replica")}, since ${clock(series.times[0]! * 1000)}`;
    const zoomed = this.zoom ? ` Zoomed in, from ${clock(this.zoom.min * 1000)} to ${clock(this.zoom.max * 1000)}.` : "";
    attribute(this.figure, "aria-label", `Chart of depth and replicas: ${newest}; ${plural(scalings, "scaling")}.${zoomed} Left and right go from decision to decision, plus and minus zoom.`);
    this.tabulate();
  }

  private tabulate(): void {
    if (!this.numbers.open) return;
    const { series } = this;
    const from = Math.max(0, series.times.length - 30);
    const rows = series.times.slice(from).map((time, n) => {
      const i = from + n;
      return el("tr", {}, ...[clock(time * 1000), ...[series.depth, series.lower, series.upper, series.replicas, series.ready, series.desired].map((values) => count(values[i] ?? undefined))].map((value) => el("td", {}, value)));
    });
    this.table.replaceChildren(...rows.reverse());
  }
}
