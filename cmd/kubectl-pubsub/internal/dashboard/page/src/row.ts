// One row of the fleet's table. Rows are made once and shown again for other channels as the
// table is scrolled; only what differs is written into the document.

import { Band } from "./band";
import { attribute, el, text } from "./dom";
import { channelHash } from "./route";
import { drawSpark, spokenSpark } from "./spark";
import type { Known } from "./state";
import type { Row } from "./types";
import { at, count, depth, phase, replicas, severity, short, span, spokenReplicas, unknown } from "./words";

const sparkWidth = 96;
const sparkHeight = 22;

export class RowView {
  readonly element: HTMLElement;
  private readonly mark = el("span", { class: "mark", role: "img" });
  private readonly namespace = el("span", { class: "namespace" });
  private readonly name = el("b");
  private readonly link = el("a", { tabindex: -1 }, this.namespace, this.name);
  private readonly phase = el("span", { class: "phase" });
  private readonly band = new Band();
  private readonly depth = el("span", { class: "number" });
  private readonly replicas = el("span", { class: "number" });
  private readonly inFlight = el("span", { class: "number" });
  private readonly rate = el("span", { class: "number" });
  private readonly oldest = el("span", { class: "number" });
  private readonly spark = el("canvas", { class: "spark", role: "img" });
  private readonly reason = el("b", { class: "reason" });
  private readonly words = el("span", { class: "words" });
  private known: Known | undefined;
  private version = -1;
  private index = -1;

  constructor(id: string) {
    const cell = (name: string, ...children: Node[]): HTMLElement => el("div", { class: `cell ${name}`, role: "gridcell" }, ...children);
    this.element = el(
      "div",
      { class: "row", role: "row", id },
      cell("c-name", this.mark, this.link),
      cell("c-phase", this.phase),
      cell("c-depth", this.band.element, this.depth),
      cell("c-replicas", this.replicas),
      cell("c-inflight", this.inFlight),
      cell("c-rate", this.rate),
      cell("c-oldest", this.oldest),
      cell("c-spark", this.spark),
      cell("c-reason", this.reason, this.words),
    );
  }

  get key(): string {
    return this.known?.row.key ?? "";
  }

  /** show puts a channel into the row, that many px below the top of the table; now (ms) is for the ages. */
  show(known: Known, index: number, top: number, now: number, selected: boolean): void {
    if (index !== this.index) {
      this.index = index;
      attribute(this.element, "aria-rowindex", String(index + 2)); // the header is the first
    }
    this.element.style.transform = `translateY(${top}px)`;
    attribute(this.element, "aria-selected", String(selected));
    this.element.hidden = false;
    if (known !== this.known || known.version !== this.version) {
      this.fill(known.row, known !== this.known);
      this.known = known;
      this.version = known.version;
      this.draw(now);
    }
    const oldest = at(known.row.oldest);
    text(this.oldest, Number.isNaN(oldest) ? unknown : span((now - oldest) / 1000));
  }

  hide(): void {
    this.element.hidden = true;
    this.known = undefined;
  }

  /** draw draws the sparkline. */
  draw(now: number): void {
    if (!this.known) return;
    drawSpark(this.spark, this.known.history, now, sparkWidth, sparkHeight);
    attribute(this.spark, "aria-label", spokenSpark(this.known.history, now));
  }

  private fill(row: Row, another: boolean): void {
    if (another) {
      text(this.namespace, `${row.namespace}/`);
      text(this.name, row.name);
      attribute(this.link, "href", channelHash(row.key));
      attribute(this.link, "title", row.key);
    }
    const { shape, word } = severity(row);
    text(this.mark, shape);
    attribute(this.mark, "title", word);
    attribute(this.mark, "aria-label", word);
    attribute(this.element, "data-severity", String(row.severity));
    text(this.phase, phase(row));
    this.band.show(row);
    text(this.depth, depth(row));
    text(this.replicas, replicas(row));
    attribute(this.replicas, "aria-label", spokenReplicas(row));
    attribute(this.replicas, "title", spokenReplicas(row));
    text(this.inFlight, count(row.inFlight));
    text(this.rate, row.rate === undefined ? unknown : `${short(row.rate)}/s`);
    text(this.reason, row.trouble || row.reason || "");
    text(this.words, row.words);
    attribute(this.words, "title", row.words);
  }
}
