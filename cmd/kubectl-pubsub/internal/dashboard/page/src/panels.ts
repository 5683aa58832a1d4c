// The parts of a channel that are lists: decision, decisions, conditions, workers, events, settings.

import { el } from "./dom";
import { shape } from "./marks";
import type { Condition, Decision, KubernetesEvent, Mark, Setting, Worker } from "./types";
import { ago, at, clock, count, plural, span, unknown, verdict } from "./words";

export interface Panel {
  element: HTMLElement;
  fill(...content: (Node | string)[]): void;
}

export function panel(title: string, name: string, ...beside: Node[]): Panel {
  const body = el("div", { class: "body" });
  return {
    element: el("section", { class: `panel ${name}`, "aria-label": title }, el("header", {}, el("h2", {}, title), ...beside), body),
    fill: (...content) => body.replaceChildren(...content),
  };
}

export function nothing(words: string): HTMLElement {
  return el("p", { class: "nothing" }, words);
}

/** forbidden says what the user may not read, with the server's words of what would help. */
export function forbidden(words: string): HTMLElement {
  return el("p", { class: "nothing forbidden" }, el("span", { "aria-hidden": "true" }, "⊘ "), words);
}

function scrolled(...rows: Node[]): HTMLElement {
  return el("div", { class: "scroll" }, ...rows);
}

function facts(rows: [string, string | Node][]): HTMLElement {
  return el("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** decision is a decision with its arithmetic. Now (ms) is for the ages; none: they are left out. */
export function decision(d: Decision, now?: number): Node[] {
  const rows: [string, string][] = [
    ["Reason", d.reason],
    ["Policy", d.policy || unknown],
    ["Queue", `${d.atLeast ? "at least " : ""}${plural(d.depth, "message")}: ${count(d.waiting)} waiting, ${d.inFlight === undefined ? "in flight unknown" : `${count(d.inFlight)} in flight`}`],
    ["Band", `${count(d.lowerBound)} to ${count(d.upperBound)}`],
  ];
  if (d.busy !== undefined) rows.push(["Busy", d.slots === undefined ? count(d.busy) : `${d.busy.toFixed(1)} of ${plural(d.slots, "slot")}`]);
  rows.push(["Cooldown", cooldown(d, now)]);
  if (now !== undefined) rows.push(["Last scaling", d.lastScale ? ago(d.lastScale, now) : "never"], ["Observed", ago(d.time, now)]);
  return [
    el("p", { class: `verdict verdict-${d.action}` }, verdict(d)),
    el("p", { class: "why" }, d.words),
    d.arithmetic ? el("pre", { class: "arithmetic", tabindex: 0, "aria-label": "Arithmetic" }, d.arithmetic) : "",
    facts(rows),
  ].filter((node): node is HTMLElement => node !== "");
}

function cooldown(d: Decision, now: number | undefined): string {
  const period = span(d.cooldown);
  if (now === undefined || d.cooledDown === undefined) return period;
  const left = (at(d.cooledDown) - now) / 1000;
  return left > 0 ? `${period}, over in ${span(left)}` : `${period}, over`;
}

/** decisions are the marks, the newest first; each shows itself on the chart. */
export function decisions(marks: Mark[], choose: (mark: Mark) => void): Node {
  if (marks.length === 0) return nothing("No decision has changed since the page began to watch.");
  const item = (mark: Mark): Node =>
    el("li", {}, el("button", { type: "button", class: `decision decision-${mark.kind}`, click: () => choose(mark) }, el("time", {}, clock(at(mark.t))), el("span", { class: `shape ${mark.to > mark.from ? "up" : mark.to < mark.from ? "down" : ""}`, "aria-hidden": "true" }, shape(mark)), el("b", { class: "number" }, mark.kind === "scaling" ? `${mark.from} → ${mark.to}` : ""), el("span", {}, mark.words)));
  return el("ol", { class: "list scroll" }, ...marks.slice(-100).reverse().map(item));
}

export function conditions(all: Condition[], now: number): Node {
  if (all.length === 0) return nothing("The channel has no conditions yet.");
  return el(
    "ul",
    { class: "list" },
    ...[...all]
      .sort((a, b) => Number(a.good) - Number(b.good))
      .map((c) => el("li", { class: c.good ? "good" : "bad" }, el("p", {}, el("span", { class: "shape", role: "img", "aria-label": c.good ? "as it should be" : "not as it should be" }, c.good ? "✓" : "▲"), el("b", {}, c.type), ` ${c.status} · ${c.reason} `, c.since ? el("span", { class: "age" }, `for ${span((now - at(c.since)) / 1000)}`) : null), c.message ? el("p", { class: "message" }, c.message) : null)),
  );
}

export function workers(all: Worker[], now: number): Node {
  if (all.length === 0) return nothing("There is no worker.");
  const rank = (w: Worker): number => (w.state === "Ready" ? 2 : w.state === "Starting" || w.state === "Terminating" ? 1 : 0);
  const looks = [["bad", "▲"], ["passing", "◌"], ["good", "●"]] as const;
  const item = (w: Worker): Node => {
    const [look, shape] = looks[rank(w)]!;
    const more = [w.restarts > 0 ? plural(w.restarts, "restart") : "", span((now - at(w.since)) / 1000), w.node ? `on ${w.node}` : ""].filter(Boolean).join(" · ");
    return el("li", { class: look }, el("p", {}, el("span", { class: "shape", "aria-hidden": "true" }, shape), el("b", {}, w.state), ` ${w.name}`), el("p", { class: "message" }, more), w.message ? el("p", { class: "message" }, w.message) : null);
  };
  return el("ul", { class: "list scroll" }, ...[...all].sort((a, b) => rank(a) - rank(b)).map(item));
}

export function events(all: KubernetesEvent[], now: number): Node {
  if (all.length === 0) return nothing("There is no event; Kubernetes keeps them for an hour.");
  return el("ul", { class: "list scroll" }, ...all.map((e) => el("li", { class: e.type === "Warning" ? "bad" : "" }, el("p", {}, el("span", { class: "shape", role: "img", "aria-label": e.type }, e.type === "Warning" ? "▲" : "·"), el("b", {}, e.reason), e.count > 1 ? ` ×${e.count} ` : " ", el("span", { class: "age" }, ago(e.t, now))), el("p", { class: "message" }, e.message))));
}

export function settings(all: Setting[]): Node {
  if (all.length === 0) return nothing("The channel isn't autoscaled.");
  return scrolled(el("table", {}, el("thead", {}, el("tr", {}, ...["Setting", "Value", "From"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...all.map((s) => el("tr", {}, el("th", { scope: "row" }, s.name), el("td", { class: "number" }, s.value), el("td", { class: s.from === "spec" ? "" : "age" }, s.from))))));
}
