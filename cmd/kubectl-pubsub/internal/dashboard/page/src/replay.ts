// What the recorded window would have been with changed settings, beside what happened.

import { el, text } from "./dom";
import { plot, type Line, type Values } from "./plot";
import type { Changes, Curve, Replay } from "./types";
import { at, count, plural, span, unknown } from "./words";

const windows: [string, number][] = [
  ["all that is recorded", 0],
  ["the last 5 minutes", 300],
  ["the last 15 minutes", 900],
  ["the last hour", 3600],
];

const names: Record<string, { label: string; line: Omit<Line, "label"> }> = {
  recorded: { label: "What happened", line: { colour: "recorded", width: 2 } },
  now: { label: "Simulated, as set now", line: { colour: "now", width: 1.5, dash: [6, 3] } },
  changed: { label: "Simulated, with the changes", line: { colour: "changed", width: 2, dash: [2, 2] } },
};

export class ReplayView {
  readonly element: HTMLElement;
  private readonly window = el("select", { id: "replay-window" }, ...windows.map(([label, seconds]) => el("option", { value: seconds }, label)));
  private readonly button = el("button", { type: "button", class: "primary", click: () => void this.run() }, "Replay");
  private readonly hint = el("p", { class: "nothing" });
  private readonly result = el("div", { class: "replayed", "aria-live": "polite" });
  private readonly stale = el("p", { class: "stale", role: "status", hidden: true });
  private plots: { destroy(): void }[] = [];
  private changes = "{}"; // that are tried now
  private shown = ""; // that the curves are of; empty: there are none
  private closed = false;

  constructor(private readonly ask: (seconds: number) => Promise<Replay>) {
    this.element = el("div", { class: "replay" }, el("h3", {}, "What would this have done?"), el("div", { class: "form" }, el("label", { for: "replay-window" }, "Replay "), this.window, this.button), this.hint, this.stale, this.result);
    this.changed({});
  }

  /** changed tells which settings are tried. Curves of others say that they are. */
  changed(changes: Changes): void {
    this.changes = JSON.stringify(changes);
    const settings = Object.keys(changes);
    this.age();
    text(this.hint, settings.length === 0 ? "Without a changed setting it shows how well the simulation tells what happened." : `With another ${settings.join(", ")}.`);
  }

  /** close ends it: an answer that comes later draws nothing, as nobody would end its charts. */
  close(): void {
    this.closed = true;
    this.clear();
  }

  private clear(): void {
    this.shown = "";
    this.age();
    for (const { destroy } of this.plots) destroy();
    this.plots = [];
    this.result.replaceChildren();
  }

  private age(): void {
    const stale = this.shown !== "" && this.shown !== this.changes;
    text(this.stale, stale ? "These curves are of other settings than the ones above: replay again." : "");
    this.stale.hidden = !stale;
  }

  private async run(): Promise<void> {
    const asked = this.changes;
    this.button.disabled = true;
    text(this.button, "Replaying…");
    try {
      const replay = await this.ask(Number(this.window.value));
      if (this.closed) return;
      this.clear();
      this.show(replay);
      this.shown = asked;
      this.age();
    } catch (problem) {
      this.clear();
      this.result.replaceChildren(el("p", { class: "problem" }, (problem as Error).message));
    } finally {
      this.button.disabled = false;
      text(this.button, "Replay");
    }
  }

  private show(replay: Replay): void {
    const curves = replay.curves ?? [];
    const depth = el("div", { class: "plot" });
    const replicas = el("div", { class: "plot" });
    const lines = curves.map((curve): Line => ({ label: named(curve), ...(names[curve.name]?.line ?? { colour: "muted" }), ...(fastest(curve, curves) ? { width: 1, dash: [1, 3] } : {}) }));
    const legend = el("div", { class: "legend" }, ...lines.map((line) => el("span", { class: `key key-${line.colour}${line.dash ? " dashed" : ""}` }, el("i"), line.label)));
    this.result.replaceChildren(figures(curves), legend, el("h4", {}, "Depth"), depth, el("h4", {}, "Replicas"), replicas, assumptions(replay.assumed ?? []));
    this.draw(depth, replay, lines, 150, (curve) => curve.depth ?? [], false);
    this.draw(replicas, replay, lines.map((line) => ({ ...line, stepped: true })), 110, (curve) => curve.replicas ?? [], true);
  }

  private draw(into: HTMLElement, replay: Replay, lines: Line[], height: number, values: (curve: Curve) => number[], integers: boolean): void {
    const curves = replay.curves ?? [];
    const length = Math.max(0, ...curves.map((curve) => values(curve).length));
    const start = at(replay.start) / 1000;
    const times = Array.from({ length }, (_, i) => start + i * replay.step);
    const drawn = plot(into, { height, lines, integers, sync: "replay" });
    drawn.chart.setData([times, ...curves.map((curve): Values => times.map((_, i) => values(curve)[i] ?? null))]);
    this.plots.push(drawn);
  }
}

function named(curve: Curve): string {
  const label = names[curve.name]?.label ?? curve.name;
  return curve.speed === undefined ? label : `${label}, at ${Number(curve.speed.toPrecision(2))}/s per worker`;
}

/** fastest is whether a curve is the second one of its name: how fast a worker is, the record does not tell. */
function fastest(curve: Curve, curves: Curve[]): boolean {
  return curves.find(({ name }) => name === curve.name) !== curve;
}

function figures(curves: Curve[]): HTMLElement {
  const head = el("tr", {}, el("td"), ...["Wait, p99", "Replica-hours", "Scalings", "Most replicas"].map((name) => el("th", { scope: "col" }, name)));
  const rows = curves.map((curve) => el("tr", { class: `curve-${curve.name}` }, el("th", { scope: "row" }, named(curve)), el("td", { class: "number" }, curve.p99Wait === undefined ? unknown : curve.p99Wait < 10 ? `${curve.p99Wait.toFixed(1)}s` : span(curve.p99Wait)), el("td", { class: "number" }, curve.replicaHours.toFixed(curve.replicaHours < 10 ? 2 : 1)), el("td", { class: "number" }, count(curve.scalings)), el("td", { class: "number" }, count(curve.maxReplicas))));
  return el("div", { class: "scroll" }, el("table", { class: "figures" }, el("thead", {}, head), el("tbody", {}, ...rows)));
}

function assumptions(assumed: string[]): Node {
  if (assumed.length === 0) return el("p", { class: "nothing" }, "Nothing had to be assumed.");
  return el("details", { class: "assumed", open: true }, el("summary", {}, `${plural(assumed.length, "assumption")}`), el("ul", {}, ...assumed.map((words) => el("li", {}, words))));
}
