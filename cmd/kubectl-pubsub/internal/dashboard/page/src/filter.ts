// Which channels are shown, and in which order. Pure.

import type { Known } from "./state";
import type { Row } from "./types";
import { at } from "./words";

export interface Filter {
  namespace: string; // empty: all
  phase: string; // empty: all
  severity: number; // at least this one
  text: string; // words, all of which must occur
}

export const everything: Filter = { namespace: "", phase: "", severity: 0, text: "" };

export type Column = "severity" | "name" | "phase" | "depth" | "replicas" | "inFlight" | "rate" | "oldest" | "reason";

export interface Order {
  column: Column;
  descending: boolean;
}

export const problemsFirst: Order = { column: "severity", descending: true };

/** naturally is whether a column's first order is from high to low: what is much is looked for. */
export function naturally(column: Column): boolean {
  return column !== "name" && column !== "phase" && column !== "reason";
}

/** selected are the channels that the filter lets through, in order. */
export function selected(all: Iterable<Known>, filter: Filter, order: Order): Known[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found: Known[] = [];
  for (const known of all) if (matches(known.row, filter, words)) found.push(known);
  const sign = order.descending ? -1 : 1;
  return found.sort((a, b) => compare(a.row, b.row, order.column, sign) || byName(a.row, b.row));
}

function matches(row: Row, filter: Filter, words: string[]): boolean {
  if (filter.namespace && row.namespace !== filter.namespace) return false;
  if (filter.phase && row.phase !== filter.phase) return false;
  if (row.severity < filter.severity) return false;
  if (words.length === 0) return true;
  const text = `${row.key} ${row.phase} ${row.trouble ?? ""} ${row.reason ?? ""} ${row.words}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

// What is unknown comes last in either order: it is neither little nor much.
function compare(a: Row, b: Row, column: Column, sign: number): number {
  const x = value(a, column);
  const y = value(b, column);
  if (x === undefined || y === undefined) return (x === undefined ? 1 : 0) - (y === undefined ? 1 : 0);
  if (typeof x === "string" || typeof y === "string") return sign * (x < y ? -1 : x > y ? 1 : 0);
  return sign * (x - y);
}

function value(row: Row, column: Column): number | string | undefined {
  switch (column) {
    case "severity":
      return row.severity;
    case "name":
      return row.name;
    case "phase":
      return row.phase;
    case "depth":
      return row.depth;
    case "replicas":
      return row.replicas;
    case "inFlight":
      return row.inFlight;
    case "rate":
      return row.rate;
    case "oldest":
      return row.oldest === undefined ? undefined : -at(row.oldest); // its age
    case "reason":
      return row.trouble ?? row.reason;
  }
}

function byName(a: Row, b: Row): number {
  return a.namespace < b.namespace ? -1 : a.namespace > b.namespace ? 1 : a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
