// The view of all channels: filters, counts, the table, and what is not permitted.

import { attribute, el, text } from "./dom";
import { everything, naturally, problemsFirst, selected, type Column, type Filter, type Order } from "./filter";
import type { Known, State } from "./state";
import { Table } from "./table";
import type { Namespace } from "./types";
import { count, plural, severities } from "./words";

const resort = 1000; // ms between two sorts only because values have changed

const orders: [string, Order][] = [
  ["Problems first", problemsFirst],
  ["Name", { column: "name", descending: false }],
  ["Deepest first", { column: "depth", descending: true }],
  ["Oldest first", { column: "oldest", descending: true }],
  ["Most replicas first", { column: "replicas", descending: true }],
  ["Most arrivals first", { column: "rate", descending: true }],
];

export class FleetView {
  readonly element: HTMLElement;
  private readonly table: Table;
  private readonly search = el("input", { type: "search", class: "search", placeholder: "Filter by name, reason, words", "aria-label": "Filter by text", spellcheck: "false", autocomplete: "off", input: () => this.filterBy({ text: this.search.value }) });
  private readonly namespace = el("select", { "aria-label": "Namespace", change: () => this.filterBy({ namespace: this.namespace.value }) });
  private readonly phase = el("select", { "aria-label": "Phase", change: () => this.filterBy({ phase: this.phase.value }) });
  private readonly sorting = el("select", { class: "sorting", "aria-label": "Order", change: () => this.orderBy(orders[Number(this.sorting.value)]?.[1] ?? problemsFirst) });
  private readonly levels = severities.map((_, level) => el("button", { type: "button", class: `level level-${level}`, "aria-pressed": "false", click: () => this.filterBy({ severity: level }) }));
  private readonly found = el("span", { class: "found", role: "status" });
  private readonly refused = el("details", { class: "refused", hidden: true });
  private readonly empty = el("div", { class: "empty", hidden: true });
  private filter: Filter = { ...everything };
  private order: Order = problemsFirst;
  private list: Known[] = [];
  private drawn = { keys: -1, rows: -1, time: 0, namespaces: null as Namespace[] | null, listed: false, choices: "" };

  constructor(private readonly state: State, open: (key: string) => void) {
    this.table = new Table({ open, sort: (column) => this.sortBy(column) });
    orders.forEach(([label], index) => this.sorting.append(el("option", { value: index }, label)));
    this.element = el(
      "section",
      { class: "fleet", "aria-label": "Fleet" },
      el("div", { class: "tools" }, el("span", { class: "search-box" }, this.search, el("kbd", { "aria-hidden": "true" }, "/")), this.namespace, this.phase, this.sorting, el("span", { class: "levels", role: "group", "aria-label": "How well" }, ...this.levels), el("span", { class: "caption", "aria-hidden": "true" }, "depth in its band · replicas → desired / most · oldest"), this.found),
      this.refused,
      el("div", { class: "table-box" }, this.table.element, this.empty),
    );
    this.search.addEventListener("keydown", (event) => this.searchKey(event));
    this.table.order(this.order);
  }

  /** show draws what has changed. It is called at most once a frame. */
  show(): void {
    const { state, drawn } = this;
    const now = performance.now();
    const keys = drawn.keys !== state.keysVersion || drawn.listed !== state.listed;
    const rows = drawn.rows !== state.rowsVersion && now - drawn.time >= resort;
    if (keys || rows) this.select(now);
    if (drawn.namespaces !== state.namespaces) this.namespaces();
    this.table.show(this.list, state.now());
  }

  /** shown is to be called when the view is in the document again. */
  shown(): void {
    this.table.restore();
  }

  /** mark selects a channel, and gives the table the keys. */
  mark(key: string): void {
    this.table.focus();
    this.table.select(key);
  }

  /** key does what a key means here, if no field has it; true if it meant something. */
  press(event: KeyboardEvent): boolean {
    switch (event.key) {
      case "/":
        this.search.focus();
        this.search.select();
        return true;
      case "j":
      case "ArrowDown":
        this.table.focus();
        this.table.move(1);
        return true;
      case "k":
      case "ArrowUp":
        this.table.focus();
        this.table.move(-1);
        return true;
      case "Enter":
        this.table.openSelected();
        return true;
      case "Escape":
        this.clear();
        return true;
      default:
        return false;
    }
  }

  private searchKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      if (this.search.value) this.clear();
      else this.table.focus();
    } else if (event.key === "Enter" || event.key === "ArrowDown") {
      this.table.focus();
      this.table.move(event.key === "Enter" ? 0 : 1);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private clear(): void {
    this.search.value = this.namespace.value = this.phase.value = "";
    this.filterBy({ ...everything });
  }

  private filterBy(change: Partial<Filter>): void {
    this.filter = { ...this.filter, ...change };
    this.select(performance.now());
    this.table.show(this.list, this.state.now());
  }

  private sortBy(column: Column): void {
    const again = this.order.column === column;
    this.orderBy({ column, descending: again ? !this.order.descending : naturally(column) });
  }

  private orderBy(order: Order): void {
    this.order = order;
    const index = orders.findIndex(([, o]) => o.column === order.column && o.descending === order.descending);
    this.sorting.value = index < 0 ? "" : String(index);
    this.table.order(order);
    this.filterBy({});
  }

  private select(now: number): void {
    const { state } = this;
    this.drawn = { ...this.drawn, keys: state.keysVersion, rows: state.rowsVersion, time: now, listed: state.listed };
    this.choices();
    this.list = selected(state.fleet.values(), this.filter, this.order);
    const all = state.fleet.size;
    text(this.found, this.list.length === all ? plural(all, "channel") : `${count(this.list.length)} of ${plural(all, "channel")}`);
    this.counts(state.trouble());
    this.nothing();
  }

  private counts([well, watch, wrong]: [number, number, number]): void {
    const labels = [`All ${count(well + watch + wrong)}`, `◆ Not well ${count(watch + wrong)}`, `▲ Wrong ${count(wrong)}`];
    this.levels.forEach((button, level) => {
      text(button, labels[level]!);
      attribute(button, "aria-pressed", String(this.filter.severity === level));
    });
  }

  // The choices are the namespaces and phases that there are, and the one that is chosen.
  private choices(): void {
    const namespaces = new Set<string>(this.filter.namespace ? [this.filter.namespace] : []);
    const phases = new Set<string>(this.filter.phase ? [this.filter.phase] : []);
    for (const { row } of this.state.fleet.values()) {
      namespaces.add(row.namespace);
      phases.add(row.phase);
    }
    const choices = JSON.stringify([[...namespaces].sort(), [...phases].sort()]);
    if (choices === this.drawn.choices) return;
    this.drawn.choices = choices;
    fillSelect(this.namespace, "All namespaces", [...namespaces].sort(), this.filter.namespace);
    fillSelect(this.phase, "All phases", [...phases].sort(), this.filter.phase);
  }

  private nothing(): void {
    const { state } = this;
    this.empty.hidden = this.list.length > 0;
    if (this.list.length > 0) return;
    if (!state.listed) this.empty.replaceChildren(el("p", {}, "Waiting for the list of channels…"));
    else if (state.fleet.size > 0) this.empty.replaceChildren(el("p", {}, "No channel matches the filter."), el("button", { type: "button", class: "plain", click: () => this.clear() }, "Show all"));
    else this.empty.replaceChildren(el("p", {}, `There is no PubSubChannel ${where(state.namespaces)}.`));
  }

  private namespaces(): void {
    this.drawn.namespaces = this.state.namespaces;
    const refused = this.state.namespaces.filter((namespace) => !namespace.permitted);
    this.refused.hidden = refused.length === 0;
    const name = (namespace: Namespace): string => namespace.name || "all namespaces";
    this.refused.replaceChildren(
      el("summary", {}, el("span", { class: "mark", "aria-hidden": "true" }, "⊘"), ` Not permitted: ${refused.map(name).join(", ")}`),
      el("ul", {}, ...refused.map((namespace) => el("li", {}, el("b", {}, name(namespace)), ` ${namespace.why ?? ""}`))),
    );
  }
}

function where(namespaces: Namespace[]): string {
  const names = namespaces.filter((namespace) => namespace.permitted).map((namespace) => namespace.name);
  if (names.includes("")) return "in any namespace";
  return names.length === 0 ? "that you may read" : `in ${names.join(", ")}`;
}

function fillSelect(select: HTMLSelectElement, all: string, values: string[], chosen: string): void {
  select.replaceChildren(el("option", { value: "" }, all), ...values.map((value) => el("option", { value }, value || "unknown")));
  select.value = chosen;
}
