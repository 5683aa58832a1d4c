// The list of keys.

import { el } from "./dom";

const keys: [string[], string][] = [
  [["j", "↓"], "next channel"],
  [["k", "↑"], "previous channel"],
  [["Enter"], "open the channel"],
  [["Esc"], "back: of a field that is tried, a decision, a zoom, then the fleet; clear the filter"],
  [["/"], "filter"],
  [["←", "→"], "in the chart: previous and next decision"],
  [["+", "−"], "in the chart: zoom in and out"],
  [["l"], "the chart live again"],
  [["t"], "dark or light"],
  [["?"], "this list"],
];

export function keysDialog(): HTMLDialogElement {
  const list = el("dl", {}, ...keys.flatMap(([names, words]) => [el("dt", {}, ...names.map((name) => el("kbd", {}, name))), el("dd", {}, words)]));
  const dialog = el("dialog", { class: "keys", "aria-labelledby": "keys-title" }, el("h2", { id: "keys-title" }, "Keys"), list, el("form", { method: "dialog" }, el("button", { class: "plain" }, "Close")));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}
