// The sliders of what-if: each has a value that is so, and one that is tried.

import { attribute, el, text } from "./dom";
import type { Setting } from "./types";
import { short, span, unknown } from "./words";

export interface Knob {
  name: string;
  element: HTMLElement;
  /** changed is the value that is tried, if it is another than the one that is so. */
  changed(): number | string | undefined;
  /** actual tells the value that is so; undefined: it isn't known. */
  actual(value: number | string | undefined, most?: number): void;
  reset(): void;
}

export interface Range {
  name: string;
  label: string;
  least: number;
  most: number;
  unit?: "s" | "%";
  /** never is a word for the value -1, before all others. */
  never?: string;
}

/** slider is a knob for a number: a slider, and a field for values beyond it. */
export function slider(range: Range, change: () => void): Knob {
  const id = `knob-${range.name}`;
  const slide = el("input", { type: "range", id, min: range.least, max: range.most, step: 1, value: range.least });
  const field = el("input", { type: "number", min: range.least, step: 1, "aria-label": `${range.label}, as a number`, inputmode: "numeric" });
  const was = el("button", { type: "button", class: "was", hidden: true });
  const output = el("output", { for: id });
  let actual: number | undefined;
  let tried: number | undefined;
  const say = (n: number | undefined): string => {
    if (n === undefined) return unknown;
    if (n < 0 && range.never) return range.never;
    return range.unit === "s" ? span(n) : short(n) + (range.unit ? ` ${range.unit}` : "");
  };
  const draw = (): void => {
    const value = tried ?? actual;
    const shown = value === undefined ? "" : String(value);
    if (value !== undefined && value > Number(slide.max)) slide.max = String(value);
    if (document.activeElement !== slide || tried === undefined) slide.value = shown || String(range.least);
    if (document.activeElement !== field || tried === undefined) field.value = shown;
    attribute(slide, "aria-valuetext", say(value));
    text(output, say(value));
    const changed = tried !== undefined;
    element.classList.toggle("changed", changed);
    was.hidden = !changed;
    text(was, `was ${say(actual)} ↺`);
    attribute(was, "aria-label", `${range.label}: back to ${say(actual)}`);
  };
  const put = (value: string): void => {
    const n = value === "" ? NaN : Number(value);
    tried = Number.isInteger(n) && n !== actual ? n : undefined;
    draw();
    change();
  };
  slide.addEventListener("input", () => put(slide.value));
  field.addEventListener("input", () => put(field.value));
  was.addEventListener("click", () => put(""));
  const unit = [range.unit, range.never ? `−1: ${range.never}` : ""].filter(Boolean).join("; ");
  const escape = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || tried === undefined) return;
    put(""); // and not to the fleet, where all that was tried would be lost
    event.preventDefault();
    event.stopPropagation();
  };
  const element = el("div", { class: "knob", keydown: escape }, el("label", { for: id }, range.label, unit ? el("span", { class: "unit" }, ` ${unit}`) : null), output, slide, field, was);
  draw();
  return {
    name: range.name,
    element,
    changed: () => tried,
    actual(value, most) {
      actual = typeof value === "number" ? value : undefined;
      if (most !== undefined && document.activeElement !== slide) slide.max = String(Math.max(most, tried ?? 0));
      draw();
    },
    reset() {
      tried = undefined;
      draw();
    },
  };
}

/** choice is a knob for one of some words. */
export function choice(name: string, label: string, values: string[], change: () => void): Knob {
  const id = `knob-${name}`;
  const select = el("select", { id }, ...values.map((value) => el("option", { value }, value)));
  let actual: string | undefined;
  let tried: string | undefined;
  const draw = (): void => {
    select.value = tried ?? actual ?? "";
    element.classList.toggle("changed", tried !== undefined);
  };
  select.addEventListener("change", () => {
    tried = select.value === actual ? undefined : select.value;
    draw();
    change();
  });
  const element = el("div", { class: "knob knob-choice" }, el("label", { for: id }, label), select);
  return {
    name,
    element,
    changed: () => tried,
    actual(value) {
      actual = typeof value === "string" ? value : undefined;
      draw();
    },
    reset() {
      tried = undefined;
      draw();
    },
  };
}

/** valueOf is a setting's value as the API takes it: a whole number, or the word; none if it isn't known. */
export function valueOf(settings: Setting[], name: string): number | string | undefined {
  const value = settings.find((setting) => setting.name === name)?.value;
  if (value === undefined) return undefined;
  const number = /^-?[\d,]+/.exec(value)?.[0].replaceAll(",", "");
  return number ? Number(number) : value.split(/\s/, 1)[0];
}
