// How numbers, times and decisions read. Pure.

import type { Decision, Row } from "./types";

/** unknown is shown in place of a value that isn't known; a zero would be a claim. */
export const unknown = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** count is a whole number with groups of three: 12,345. */
export function count(n: number | undefined): string {
  return n === undefined ? unknown : whole.format(n);
}

/** short is a number in at most five characters: 950, 1.2k, 34k, 5.6M. */
export function short(n: number | undefined): string {
  if (n === undefined) return unknown;
  for (const [unit, of] of [["G", 1e9], ["M", 1e6], ["k", 1e3]] as const) {
    if (Math.abs(n) >= of * 0.9995) {
      const value = n / of;
      return (Math.abs(value) < 9.95 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(0)) + unit;
    }
  }
  return Number.isInteger(n) ? String(n) : n.toFixed(1);
}

/** depth is the depth of a queue; of a lower bound it says so: ≥ 120. */
export function depth(of: { depth?: number; atLeast?: boolean }): string {
  return of.depth === undefined ? unknown : (of.atLeast ? "≥ " : "") + count(of.depth);
}

/** span is a time span as kubectl has it: 45s, 3m20s, 5h12m, 3d4h. Seconds. */
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s}s`;
  const m = Math.floor(s / 60);
  if (m < 10) return s % 60 ? `${m}m${s % 60}s` : `${m}m`;
  if (m < 180) return `${m}m`;
  const h = Math.floor(m / 60);
  if (h < 48) return h < 10 && m % 60 ? `${h}h${m % 60}m` : `${h}h`;
  const d = Math.floor(h / 24);
  return d < 10 && h % 24 ? `${d}d${h % 24}h` : `${d}d`;
}

/** milliseconds of a time of the protocol; NaN if there is none. */
export function at(time: string | undefined): number {
  return time === undefined ? NaN : Date.parse(time);
}

/** ago is how long before now a time was: 45s ago. */
export function ago(time: string | undefined, now: number): string {
  const ms = at(time);
  return Number.isNaN(ms) ? unknown : `${span((now - ms) / 1000)} ago`;
}

/** clock is the time of day here. */
export function clock(ms: number): string {
  const d = new Date(ms);
  return [d.getHours(), d.getMinutes(), d.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

export function plural(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** verdict is a decision in a few words: Scale up, 3 → 5 replicas. */
export function verdict(d: Pick<Decision, "action" | "replicas" | "desired">): string {
  switch (d.action) {
    case "ScaleUp":
      return `Scale up, ${d.replicas} → ${plural(d.desired, "replica")}`;
    case "ScaleDown":
      return `Scale down, ${d.replicas} → ${plural(d.desired, "replica")}`;
    case "Hold":
      return `Hold at ${plural(d.replicas, "replica")}`;
    default:
      return d.action || "No decision";
  }
}

/** place is where a depth is in its band. */
export type Place = "within" | "above" | "below" | "unknown";

export function place(of: { depth?: number; lowerBound?: number; upperBound?: number }): Place {
  if (of.depth === undefined || of.lowerBound === undefined || of.upperBound === undefined) return "unknown";
  if (of.depth > of.upperBound) return "above";
  return of.depth < of.lowerBound ? "below" : "within";
}

/** band is the depth in its band as a sentence, for those who can't see the bar. */
export function band(of: { depth?: number; atLeast?: boolean; lowerBound?: number; upperBound?: number }): string {
  if (of.depth === undefined) return "depth unknown";
  const depth = `${of.atLeast ? "at least " : ""}${plural(of.depth, "message")}`;
  if (of.lowerBound === undefined || of.upperBound === undefined) return `${depth}; bounds unknown`;
  const where = { within: "within the band", above: "above the band", below: "below the band", unknown: "" }[place(of)];
  return `${depth}, ${where} from ${count(of.lowerBound)} to ${count(of.upperBound)}`;
}

/** marks of the severities: a shape beside the colour, and a word. */
export const severities = [
  { shape: "●", word: "well", plural: "well" },
  { shape: "◆", word: "to be watched", plural: "to be watched" },
  { shape: "▲", word: "wrong", plural: "wrong" },
] as const;

export function severity(row: Pick<Row, "severity">): (typeof severities)[number] {
  return severities[row.severity] ?? severities[2];
}

/** phase is the phase with what else is to be said beside it. */
export function phase(row: Pick<Row, "phase" | "paused" | "autoscaled">): string {
  const name = row.phase || "unknown";
  if (row.paused) return "Paused";
  return row.autoscaled ? name : `${name}, fixed`;
}

/** replicas are the ready ones, those wanted, and the most: 3 → 5 / 20. */
export function replicas(row: Pick<Row, "replicas" | "desired" | "max" | "autoscaled">): string {
  const change = row.desired !== row.replicas ? `${row.replicas} → ${row.desired}` : String(row.replicas);
  return row.autoscaled && row.max ? `${change} / ${row.max}` : change;
}

/** spoken are the replicas as a sentence. */
export function spokenReplicas(row: Pick<Row, "replicas" | "ready" | "desired" | "max" | "autoscaled">): string {
  const most = row.autoscaled && row.max ? `, at most ${row.max}` : "";
  return `${plural(row.replicas, "replica")}, ${row.ready} ready, ${row.desired} desired${most}`;
}
