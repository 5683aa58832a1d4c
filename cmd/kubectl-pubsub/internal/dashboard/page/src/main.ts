// The dashboard: joins the connection, the state and the two views.

import "../third_party/uplot/uPlot.min.css";
import "./styles/app.css";

import { ChannelView } from "./channel";
import { attribute, eachFrame, text } from "./dom";
import { FleetView } from "./fleet";
import { keysDialog } from "./keys";
import { channelHash, channelKey } from "./route";
import { Socket } from "./socket";
import { State } from "./state";
import { dark, onTheme, startTheme, toggleTheme } from "./theme";
import { clock, plural, span, at } from "./words";

const tick = 1000; // ms: ages go on although nothing changes

startTheme();

const view = document.querySelector<HTMLElement>("#view")!;
const banner = document.querySelector<HTMLElement>("#banner")!;
const cluster = document.querySelector<HTMLElement>("#cluster")!;
const live = document.querySelector<HTMLElement>("#live")!;
const quiet = document.querySelector<HTMLElement>("#quiet")!; // beside the status, which would be read out each second
const theme = document.querySelector<HTMLElement>("#theme")!;
const keys = keysDialog();
document.body.append(keys);

const draw = eachFrame(render);
const state = new State(draw, (change) => {
  if (change.key === channel?.key) channel.receive(change);
});
const fleet = new FleetView(state, (key) => (location.hash = channelHash(key)));
let channel: ChannelView | undefined;
let started = false; // a view is shown

const socket = new Socket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, {
  message: (message) => {
    state.receive(message);
    if (message.hello) channel?.open(); // the server knows nothing of what was open before
  },
  connected: (up, since, next) => state.linked(up, since, next),
  silent: (since) => state.silent(since),
});

theme.addEventListener("click", toggleTheme);
document.querySelector("#keys")!.addEventListener("click", () => keys.showModal());
onTheme(showTheme);
showTheme();
addEventListener("hashchange", go);
addEventListener("keydown", key);
setInterval(draw, tick);
go();

function go(): void {
  const wanted = channelKey(location.hash);
  if (started && wanted === channel?.key) return;
  started = true;
  const left = channel;
  left?.close();
  channel = wanted === undefined ? undefined : new ChannelView(wanted, state, socket, back);
  view.replaceChildren(channel ? channel.element : fleet.element);
  if (channel) {
    channel.open();
    channel.focus();
  } else {
    fleet.shown();
    if (left) fleet.mark(left.key); // as it was, also for the keys
  }
  draw();
}

function back(): void {
  location.hash = "#/";
}

function key(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  const target = event.target as HTMLElement;
  if (target.closest("input, select, textarea, button, a, summary, [role=grid]") && (event.key.length > 1 || target.matches("input, select, textarea")) && event.key !== "Escape") return;
  if (event.key === "?") keys.showModal();
  else if (event.key === "t") toggleTheme();
  else if (!(channel ?? fleet).press(event)) return;
  event.preventDefault();
}

function render(): void {
  connection();
  text(cluster, state.cluster);
  attribute(cluster, "title", state.server ? `kubectl-pubsub ${state.server}` : null);
  const [, , wrong] = state.trouble();
  const where = channel ? channel.key : state.cluster || "channels";
  const title = `${wrong > 0 ? `(${wrong}) ` : ""}${where} · pubsub`;
  if (document.title !== title) document.title = title;
  (channel ?? fleet).show();
}

function connection(): void {
  const { link, api } = state;
  let words = "";
  if (!link.up && link.since) {
    words = `The dashboard's server can't be reached since ${clock(link.since)}; reconnecting… Showing what was known. If "kubectl pubsub dashboard" was ended, start it again and open its new address.`;
  } else if (link.silent) {
    words = `No news from the dashboard's server since ${clock(link.silent)}; showing what was known. If this lasts, the page connects anew.`;
  } else if (link.up && !api.up) {
    words = `The Kubernetes API server can't be reached since ${clock(at(api.since))}; showing what was known.${api.problem ? ` (${api.problem})` : ""}`;
  }
  banner.hidden = words === "";
  text(banner, words);
  const status = !link.up ? (link.since ? "reconnecting…" : "connecting…") : link.silent ? "no news" : api.up ? "live" : "no API server";
  text(live, status);
  text(quiet, link.silent ? `for ${span((Date.now() - link.silent) / 1000)}` : "");
  attribute(live, "data-up", String(state.current()));
  attribute(live, "title", `${plural(state.fleet.size, "channel")}, ${status}`);
}

function showTheme(): void {
  text(theme, dark() ? "☀" : "☾");
  attribute(theme, "aria-label", dark() ? "Light colours" : "Dark colours");
  attribute(theme, "title", `${dark() ? "Light" : "Dark"} colours (t)`);
}
