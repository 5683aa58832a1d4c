// What if: the decision of the real policy with another depth, other replicas, other settings;
// and the recorded window replayed with them.

import { Band } from "./band";
import { el, text } from "./dom";
import { choice, slider, valueOf, type Knob } from "./knobs";
import { decision } from "./panels";
import { ReplayView } from "./replay";
import type { Changes, Replay, Row, Setting, WhatIfRequest, Decision, Answer } from "./types";
import { at, clock } from "./words";

export interface Asks {
  whatif(request: WhatIfRequest): Promise<Answer>;
  replay(seconds: number, changes: Changes): Promise<Replay>;
}

const never = -1;

export class WhatIf {
  readonly element: HTMLElement;
  private readonly situation: Knob[];
  private readonly settings: Knob[];
  private readonly answer = el("div", { class: "answer", "aria-live": "polite" });
  private readonly resetAll = el("button", { type: "button", class: "plain", hidden: true, click: () => this.reset() }, "Back to what is so");
  private readonly replay: ReplayView;
  private asked = "";
  private asking = false;
  private again = false;

  constructor(private readonly asks: Asks) {
    const change = (): void => this.ask();
    this.situation = [
      slider({ name: "depth", label: "Queue depth", least: 0, most: 1000 }, change),
      slider({ name: "replicas", label: "Replicas", least: 0, most: 20 }, change),
      slider({ name: "sinceScale", label: "Since the last scaling", least: never, most: 120, unit: "s", never: "never" }, change),
    ];
    this.settings = [
      slider({ name: "targetQueueDepth", label: "targetQueueDepth", least: 1, most: 1000 }, change),
      slider({ name: "scaleUpThreshold", label: "scaleUpThreshold", least: 100, most: 400, unit: "%" }, change),
      slider({ name: "scaleDownThreshold", label: "scaleDownThreshold", least: 1, most: 100, unit: "%" }, change),
      slider({ name: "cooldownPeriod", label: "cooldownPeriod", least: 0, most: 600, unit: "s" }, change),
      slider({ name: "minReplicas", label: "minReplicas", least: 0, most: 20 }, change),
      slider({ name: "maxReplicas", label: "maxReplicas", least: 1, most: 100 }, change),
      slider({ name: "workerConcurrency", label: "workerConcurrency", least: 1, most: 100 }, change),
      choice("policy", "policy", ["Threshold", "Utilization"], change),
    ];
    this.replay = new ReplayView((seconds) => this.asks.replay(seconds, this.changes()));
    const group = (title: string, knobs: Knob[]): HTMLElement => el("fieldset", { class: `knobs-${title.split(" ")[1]}` }, el("legend", {}, title), ...knobs.map((knob) => knob.element));
    this.element = el("section", { class: "panel whatif", "aria-label": "What if" }, el("header", {}, el("h2", {}, "What if"), this.resetAll), el("div", { class: "body" }, group("The situation", this.situation), group("The settings", this.settings), this.answer), this.replay.element);
    this.show(undefined);
  }

  /** actual tells what is so; the knobs that aren't tried follow it. */
  actual(row: Row | undefined, settings: Setting[], sinceScale: number | undefined, cooldown: number | undefined): void {
    const [depth, replicas, since] = this.situation;
    depth!.actual(row?.depth, nice(Math.max(100, (row?.upperBound ?? 0) * 3, (row?.depth ?? 0) * 1.5)));
    replicas!.actual(row?.replicas, Math.max(2, row?.max ?? 0, row?.replicas ?? 0));
    since!.actual(sinceScale === undefined ? never : Math.max(0, Math.floor(sinceScale)), nice(Math.max(120, (cooldown ?? 0) * 2)));
    for (const knob of this.settings) {
      const value = valueOf(settings, knob.name);
      knob.actual(value, typeof value === "number" && !knob.name.endsWith("DownThreshold") ? nice(Math.max(value * 4, 20)) : undefined);
    }
    if (this.tried()) this.ask();
  }

  close(): void {
    this.replay.close();
  }

  private tried(): boolean {
    return [...this.situation, ...this.settings].some((knob) => knob.changed() !== undefined);
  }

  private changes(): Changes {
    const changes: Changes = {};
    for (const knob of this.settings) {
      const value = knob.changed();
      if (value !== undefined) changes[knob.name] = value;
    }
    return changes;
  }

  private request(): WhatIfRequest {
    const [depth, replicas, since] = this.situation.map((knob) => knob.changed() as number | undefined);
    return { ...(depth === undefined ? {} : { depth }), ...(replicas === undefined ? {} : { replicas }), ...(since === undefined ? {} : { sinceScale: since }), changes: this.changes() };
  }

  private reset(): void {
    for (const knob of [...this.situation, ...this.settings]) knob.reset();
    this.ask();
  }

  // One question at a time: while a slider moves, the newest one waits for the answer to the last.
  private ask(): void {
    this.resetAll.hidden = !this.tried();
    this.replay.changed(this.changes());
    if (!this.tried()) {
      this.asked = "";
      this.show(undefined);
      return;
    }
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    this.asks
      .whatif(this.request())
      .then((answer) => this.tried() && this.show(answer.decision), (problem: Error) => this.tried() && this.problem(problem))
      .finally(() => {
        this.asking = false;
        if (this.again) {
          this.again = false;
          this.ask();
        }
      });
  }

  private show(d: Decision | undefined): void {
    if (!d) {
      this.answer.replaceChildren(el("p", { class: "nothing" }, "Move a slider, and the policy answers: the same code that the scaler runs."));
      return;
    }
    const said = JSON.stringify({ ...d, time: "" });
    if (said === this.asked) return; // nothing new to say, nor to read out
    this.asked = said;
    const bar = new Band();
    bar.show(d);
    bar.element.classList.add("wide");
    const unheard = d.unheard ? el("p", { class: "stale" }, `Nothing was heard of the channel since ${clock(at(d.unheard))}: what you did not change is as it was then.`) : "";
    this.answer.replaceChildren(unheard, bar.element, ...decision(d));
  }

  private problem(problem: Error): void {
    this.asked = "";
    const words = el("p", { class: "problem" });
    text(words, problem.message);
    this.answer.replaceChildren(words);
  }
}

/** nice is the next number of 1, 2, 5 times a power of ten. */
function nice(n: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, n)));
  return ([1, 2, 5, 10].find((digit) => digit * power >= n) ?? 10) * power;
}
