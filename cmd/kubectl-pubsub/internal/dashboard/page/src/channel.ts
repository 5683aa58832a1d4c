// The view of one channel.

import { Band } from "./band";
import { attribute, el, text } from "./dom";
import { conditions, decision, decisions, events, forbidden, nothing, panel, settings, workers, type Panel } from "./panels";
import { Lost, type Socket } from "./socket";
import type { State } from "./state";
import { Timeline } from "./timeline";
import type { Channel, Condition, Decision, KubernetesEvent, Row, Setting, Worker } from "./types";
import { WhatIf } from "./whatif";
import { at, count, depth, phase, replicas, severity, short, span, spokenReplicas, unknown } from "./words";

const redraw = 1000; // ms between two drawings only because time has passed

type Part = "decision" | "conditions" | "workers" | "events" | "settings" | "marks";

export class ChannelView {
  readonly element: HTMLElement;
  private row: Row | undefined;
  private decision: Decision | undefined;
  private noDecision = "";
  private conditions: Condition[] | undefined;
  private scaledObject: Condition[] = [];
  private workers: Worker[] | undefined;
  private events: KubernetesEvent[] | undefined;
  private settings: Setting[] = [];
  private forbidden: Record<string, string> = {};
  private notes: Record<string, string> = {};
  private gone = false;
  private problem = "";
  private refusedAt = 0; // keysVersion when the server knew no such channel
  private stale = new Set<Part>(); // parts to be drawn
  private pointsAdded = true;
  private drawnAt = 0;
  private closed = false;

  private readonly band = new Band();
  private readonly title = el("h1", { tabindex: -1 });
  private readonly mark = el("span", { class: "mark", role: "img" });
  private readonly phase = el("span", { class: "phase" });
  private readonly notice = el("p", { class: "notice", role: "status", hidden: true });
  private readonly words = el("p", { class: "why" });
  private readonly figures: Record<string, HTMLElement> = {};
  private readonly timeline = new Timeline();
  private readonly whatif: WhatIf;
  private readonly panels: Record<Part, Panel> = {
    decision: panel("Decision", "p-decision"),
    marks: panel("Decisions over time", "p-decisions"),
    conditions: panel("Conditions", "p-conditions"),
    workers: panel("Workers", "p-workers"),
    events: panel("Events", "p-events"),
    settings: panel("Policy", "p-settings"),
  };

  constructor(
    readonly key: string,
    private readonly state: State,
    private readonly socket: Socket,
    private readonly back: () => void,
  ) {
    const [namespace = "", name = ""] = key.split("/", 2);
    this.title.append(el("span", { class: "namespace" }, `${namespace}/`), name);
    this.whatif = new WhatIf({
      whatif: (whatif) => socket.ask({ kind: "whatif", key, whatif }),
      replay: (seconds, changes) => socket.ask({ kind: "replay", key, replay: { ...(seconds ? { seconds } : {}), changes } }).then((answer) => answer.replay ?? Promise.reject(new Error("the server's answer has no replay"))),
    });
    const figure = (label: string, name: string, ...more: Node[]): HTMLElement => {
      this.figures[name] = el("b", { class: "number" }, unknown);
      return el("div", { class: `figure figure-${name}` }, el("span", { class: "label" }, label), this.figures[name], ...more);
    };
    this.band.element.classList.add("wide");
    this.element = el(
      "article",
      { class: "channel", "aria-label": key },
      el("header", { class: "title" }, el("a", { class: "back", href: "#/", "aria-label": "Back to the fleet" }, "←"), this.mark, this.title, this.phase),
      this.notice,
      this.words,
      el("div", { class: "figures-bar" }, figure("Queue depth", "depth", this.band.element), figure("Replicas / most", "replicas"), figure("In flight", "inflight"), figure("Arrivals", "rate"), figure("Oldest message", "oldest")),
      el("div", { class: "columns" }, el("div", { class: "main" }, this.timeline.element, this.panels.marks.element, this.whatif.element), el("div", { class: "side" }, this.panels.decision.element, this.panels.conditions.element, this.panels.workers.element, this.panels.events.element, this.panels.settings.element)),
    );
    for (const part of Object.values(this.panels)) part.fill(nothing("Waiting for the server…"));
    this.row = state.fleet.get(key)?.row;
  }

  /** open asks the server to follow the channel; again after each reconnect, and once there is one that there was not. */
  open(): void {
    const asked = this.state.keysVersion;
    this.socket.ask({ kind: "open", key: this.key }).then(
      () => (this.problem = ""),
      (problem: Error) => {
        if (problem instanceof Lost) return; // a lost connection is told by the page
        this.problem = problem.message;
        this.refusedAt = asked;
      },
    );
  }

  private openAgain(): void {
    if (this.problem === "" || this.refusedAt === this.state.keysVersion || !this.state.fleet.has(this.key)) return;
    this.refusedAt = this.state.keysVersion;
    this.open();
  }

  close(): void {
    this.closed = true;
    this.socket.ask({ kind: "close", key: this.key }).catch(() => undefined); // nobody waits for it
    this.timeline.close();
    this.whatif.close();
  }

  focus(): void {
    this.title.focus({ preventScroll: true });
  }

  receive(change: Channel): void {
    if (change.full) this.timeline.clear();
    this.gone = change.gone ?? false;
    if (change.row) this.row = change.row;
    if (change.decision) [this.decision, this.noDecision] = [change.decision, ""];
    if (change.noDecision) [this.decision, this.noDecision] = [undefined, change.noDecision];
    if (change.forbidden) this.forbidden = change.forbidden;
    if (change.notes) {
      this.notes = change.notes;
      this.timeline.note(this.notes.history ?? "");
    }
    if (change.conditions) this.conditions = change.conditions;
    if (change.scaledObject) this.scaledObject = change.scaledObject;
    if (change.workers) this.workers = change.workers;
    if (change.events) this.events = change.events;
    if (change.settings) this.settings = change.settings;
    if (change.points || change.marks) {
      this.timeline.add(change.points ?? [], change.marks ?? []);
      this.pointsAdded = true;
    }
    for (const part of ["decision", "conditions", "workers", "events", "settings", "marks"] as const) {
      if (change.full || change[part] || change.forbidden || change.notes) this.stale.add(part);
    }
    if (change.noDecision) this.stale.add("decision");
    if (change.scaledObject) this.stale.add("conditions");
  }

  /** show draws what has changed. It is called at most once a frame. */
  show(): void {
    if (this.closed) return;
    this.openAgain();
    const now = performance.now();
    const later = now - this.drawnAt >= redraw;
    if (!later && this.stale.size === 0 && !this.pointsAdded) return;
    const server = this.state.now();
    this.head(server);
    if (later || this.pointsAdded) {
      // While nobody tells of changes, it isn't known that the newest point still holds.
      this.timeline.show(this.state.current() && !this.gone ? server : undefined);
      this.pointsAdded = false;
    }
    if (later) for (const part of ["decision", "conditions", "workers", "events"] as const) if (!this.inUse(part)) this.stale.add(part); // their ages
    for (const part of this.stale) this.fill(part, server);
    this.stale.clear();
    if (later) this.drawnAt = now;
    const last = at(this.decision?.lastScale);
    this.whatif.actual(this.row, this.settings, Number.isNaN(last) ? undefined : (server - last) / 1000, this.decision?.cooldown);
  }

  press(event: KeyboardEvent): boolean {
    switch (event.key) {
      case "Escape":
        this.back();
        return true;
      case "ArrowLeft":
      case "ArrowRight":
        this.timeline.focus();
        return true;
      case "l":
        this.timeline.live();
        return true;
      default:
        return false;
    }
  }

  // What is being selected or has the focus isn't drawn anew just for its ages.
  private inUse(part: Part): boolean {
    const { element } = this.panels[part];
    const selection = getSelection();
    return element.contains(document.activeElement) || (selection !== null && !selection.isCollapsed && selection.anchorNode !== null && element.contains(selection.anchorNode));
  }

  private head(now: number): void {
    const row = this.row;
    const notice = this.gone ? "This channel was deleted, or you may not read it any more; showing what was known." : this.problem || (this.forbidden.history ?? "");
    this.notice.hidden = notice === "";
    text(this.notice, notice);
    if (!row) return;
    const { shape, word } = severity(row);
    text(this.mark, shape);
    attribute(this.mark, "aria-label", word);
    attribute(this.element, "data-severity", String(row.severity));
    text(this.phase, phase(row));
    text(this.words, [row.trouble || row.reason, row.words].filter(Boolean).join(": "));
    this.band.show(row);
    text(this.figures.depth!, depth(row));
    text(this.figures.replicas!, replicas(row));
    attribute(this.figures.replicas!, "title", spokenReplicas(row));
    text(this.figures.inflight!, count(row.inFlight));
    text(this.figures.rate!, row.rate === undefined ? unknown : `${short(row.rate)}/s`);
    const oldest = at(row.oldest);
    text(this.figures.oldest!, Number.isNaN(oldest) ? unknown : span((now - oldest) / 1000));
  }

  private ofScaledObject(now: number): Node[] {
    const title = el("h4", {}, "The ScaledObject's");
    if (this.forbidden.scaledObject) return [title, forbidden(this.forbidden.scaledObject)];
    return this.scaledObject.length > 0 ? [title, conditions(this.scaledObject, now)] : [];
  }

  private fill(part: Part, now: number): void {
    const into = this.panels[part];
    const refused = this.forbidden[part];
    if (refused) into.fill(forbidden(refused));
    else if (part === "decision") into.fill(...(this.decision ? decision(this.decision, now) : [nothing(this.noDecision || "There is no decision.")]));
    else if (part === "marks") into.fill(decisions(this.timeline.marks, (mark) => this.timeline.choose(mark)));
    else if (part === "settings") into.fill(settings(this.settings));
    else if (part === "conditions" && this.conditions) into.fill(conditions(this.conditions, now), ...this.ofScaledObject(now));
    else if (part === "workers" && this.workers) into.fill(workers(this.workers, now), ...this.note(part));
    else if (part === "events" && this.events) into.fill(events(this.events, now), ...this.note(part));
  }

  // What is not shown of a part is said below it.
  private note(part: Part): Node[] {
    const words = this.notes[part];
    return words ? [nothing(words)] : [];
  }
}
