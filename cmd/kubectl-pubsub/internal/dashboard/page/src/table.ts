// The fleet's table: of thousands of rows only those in sight are in the document.

import { attribute, el, eachFrame } from "./dom";
import type { Column, Order } from "./filter";
import { RowView } from "./row";
import type { Known } from "./state";
import { onTheme } from "./theme";

const columns: { column: Column | undefined; name: string; label: string; title?: string }[] = [
  { column: "name", name: "c-name", label: "Channel" },
  { column: "phase", name: "c-phase", label: "Phase" },
  { column: "depth", name: "c-depth", label: "Depth in its band", title: "messages of the queue; the shaded part of the bar is the band, in which the depth asks for neither more nor fewer replicas" },
  { column: "replicas", name: "c-replicas", label: "Replicas", title: "now → desired / at most" },
  { column: "inFlight", name: "c-inflight", label: "In flight", title: "messages that workers have taken and not acknowledged" },
  { column: "rate", name: "c-rate", label: "Arrivals", title: "messages per second" },
  { column: "oldest", name: "c-oldest", label: "Oldest", title: "how long the oldest message has been waiting" },
  { column: undefined, name: "c-spark", label: "Trend" },
  { column: "reason", name: "c-reason", label: "Reason" },
];

const beyond = 4; // rows above and below the ones in sight, so that scrolling finds them drawn

export interface Acts {
  open(key: string): void;
  sort(column: Column): void;
}

export class Table {
  readonly element: HTMLElement;
  private readonly body = el("div", { class: "rows", role: "rowgroup" });
  private readonly heads = new Map<Column, HTMLElement>();
  private readonly rows: RowView[] = [];
  private list: Known[] = [];
  private rowHeight = 36; // px; read from the style when the width changes
  private headHeight = 0;
  private height = 0;
  private scroll = 0;
  private selected = "";
  private now = Date.now();
  private readonly draw = eachFrame(() => this.render());

  constructor(private readonly acts: Acts) {
    const head = el("div", { class: "head", role: "row", "aria-rowindex": 1 });
    for (const { column, name, label, title } of columns) {
      const cell = el("div", { class: `cell ${name}`, role: "columnheader", title });
      if (column) {
        cell.append(el("button", { type: "button", click: () => acts.sort(column) }, label, el("span", { class: "arrow", "aria-hidden": "true" })));
        this.heads.set(column, cell);
      } else {
        cell.append(label);
      }
      head.append(cell);
    }
    this.element = el("div", { class: "table", role: "grid", tabindex: 0, "aria-label": "Channels", "aria-colcount": columns.length }, el("div", { class: "head-group", role: "rowgroup" }, head), this.body);
    this.element.addEventListener("scroll", () => {
      this.scroll = this.element.scrollTop;
      this.draw();
    }, { passive: true });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.measure()).observe(this.element);
    onTheme(() => {
      for (const row of this.rows) row.draw(this.now);
    });
  }

  /** show puts these channels into the table, in this order. */
  show(list: Known[], now: number): void {
    this.list = list;
    this.now = now;
    attribute(this.element, "aria-rowcount", String(list.length + 1));
    this.draw();
  }

  order(order: Order): void {
    for (const [column, cell] of this.heads) {
      const sorted = column === order.column;
      attribute(cell, "aria-sort", sorted ? (order.descending ? "descending" : "ascending") : null);
      cell.querySelector(".arrow")!.textContent = sorted ? (order.descending ? "↓" : "↑") : "";
    }
  }

  /** select makes a channel the one that the keys are about. */
  select(key: string): void {
    this.selected = key;
    const index = this.list.findIndex((known) => known.row.key === key);
    if (index >= 0) this.reveal(index);
    this.draw();
  }

  /** move selects the channel that is that many rows further. */
  move(by: number): void {
    if (this.list.length === 0) return;
    const from = this.list.findIndex((known) => known.row.key === this.selected);
    this.choose(from < 0 ? (by < 0 ? this.list.length - 1 : 0) : Math.min(this.list.length - 1, Math.max(0, from + by)));
  }

  private choose(index: number): void {
    const known = this.list[index];
    if (known) this.select(known.row.key);
  }

  openSelected(): void {
    if (this.list.some((known) => known.row.key === this.selected)) this.acts.open(this.selected);
  }

  focus(): void {
    this.element.focus({ preventScroll: true });
  }

  /** restore scrolls to where the table was before it was taken out of the document. */
  restore(): void {
    this.element.scrollTop = this.scroll;
    this.draw();
  }

  private get page(): number {
    return Math.max(1, Math.floor((this.height - this.headHeight) / this.rowHeight) - 1);
  }

  private measure(): void {
    if (!this.element.isConnected) return;
    this.height = this.element.clientHeight;
    this.rowHeight = parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || this.rowHeight;
    this.headHeight = (this.element.firstElementChild as HTMLElement).offsetHeight;
    this.draw();
  }

  private reveal(index: number): void {
    const top = index * this.rowHeight;
    const visible = this.height - this.headHeight;
    if (top < this.scroll) this.scroll = top;
    else if (top + this.rowHeight > this.scroll + visible) this.scroll = top + this.rowHeight - visible;
    else return;
    // The body may be about to grow: the next frame scrolls.
    requestAnimationFrame(() => (this.element.scrollTop = this.scroll));
  }

  private render(): void {
    const { list, rowHeight } = this;
    this.body.style.height = `${list.length * rowHeight}px`;
    const first = Math.max(0, Math.floor(this.scroll / rowHeight) - beyond);
    const needed = Math.min(list.length, Math.ceil(this.height / rowHeight) + 2 * beyond);
    while (this.rows.length < needed) {
      const row = new RowView(`row-${this.rows.length}`);
      this.rows.push(row);
      this.body.append(row.element);
    }
    const start = Math.max(0, Math.min(first, list.length - needed));
    let active: string | null = null;
    const shown = new Set<RowView>();
    for (let index = start; index < start + needed; index++) {
      // A row keeps its place in the document while it is in sight.
      const row = this.rows[index % this.rows.length]!;
      const known = list[index]!;
      const selected = known.row.key === this.selected;
      row.show(known, index, index * rowHeight, this.now, selected);
      if (selected) active = row.element.id;
      shown.add(row);
    }
    for (const row of this.rows) if (!shown.has(row)) row.hide();
    attribute(this.element, "aria-activedescendant", active);
  }

  private click(event: MouseEvent): void {
    const target = event.target as Element;
    const row = this.rows.find((view) => view.element.contains(target));
    if (!row) return;
    this.selected = row.key;
    this.draw();
    // The link does by itself what a link does, also in another tab.
    if (!target.closest("a") && getSelection()?.isCollapsed !== false) this.acts.open(row.key);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.element) return;
    const by: Record<string, number> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: this.page, PageUp: -this.page };
    const step = by[event.key];
    if (step !== undefined) this.move(step);
    else if (event.key === "Home") this.choose(0);
    else if (event.key === "End") this.choose(this.list.length - 1);
    else if (event.key === "Enter") this.openSelected();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
