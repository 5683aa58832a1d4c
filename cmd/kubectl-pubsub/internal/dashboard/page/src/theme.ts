// Dark or light: as the system says, or as chosen; and the colours for what is drawn on canvases.

const names = ["ink", "muted", "faint", "rule", "surface", "band", "bound", "depth", "within", "above", "below", "ready", "desired", "cooldown", "gap", "recorded", "now", "changed"] as const;

export type Palette = Record<(typeof names)[number], string>;

type Choice = "system" | "light" | "dark";
const key = "pubsub-dashboard-theme";

let colours: Palette | undefined;
const listeners = new Set<() => void>();
const systemDark = matchMedia("(prefers-color-scheme: dark)");

/** palette is the colours of now. A custom property isn't resolved until a property uses it, so a probe does. */
export function palette(): Palette {
  if (colours) return colours;
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const found = {} as Palette;
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  colours = found;
  return found;
}

/** onTheme is told when the colours change. The result ends it. */
export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function dark(): boolean {
  const choice = chosen();
  return choice === "system" ? systemDark.matches : choice === "dark";
}

/** startTheme applies what was chosen before, and follows the system. */
export function startTheme(): void {
  apply(chosen());
  systemDark.addEventListener("change", () => apply(chosen()));
}

/** toggleTheme goes to the other one; to the system's own if that is the one. */
export function toggleTheme(): void {
  const other: Choice = dark() ? "light" : "dark";
  const system: Choice = systemDark.matches ? "dark" : "light";
  const choice = other === system ? "system" : other;
  try {
    if (choice === "system") localStorage.removeItem(key);
    else localStorage.setItem(key, choice);
  } catch {
    // Without a place to remember it, it lasts as long as the page.
  }
  apply(choice);
}

function chosen(): Choice {
  try {
    const value = localStorage.getItem(key);
    if (value === "light" || value === "dark") return value;
  } catch {
    // Refused by the browser's settings.
  }
  return (document.documentElement.dataset.theme as Choice | undefined) ?? "system";
}

function apply(choice: Choice): void {
  const { dataset } = document.documentElement;
  if (choice === "system") delete dataset.theme;
  else dataset.theme = choice;
  colours = undefined;
  for (const listener of listeners) listener();
}
