// What the server has said: the fleet, the connection, the clock. Views ask it, and are told
// when something changed; they draw in the next frame.

import { History } from "./history";
import type { Channel, Connection, Envelope, Namespace, Row } from "./types";
import { at } from "./words";

export interface Known {
  row: Row;
  history: History;
  /** version counts changes of the row, so that a view knows what it has drawn. */
  version: number;
}

export class State {
  readonly fleet = new Map<string, Known>();
  /** keysVersion counts changes of which channels there are. */
  keysVersion = 0;
  rowsVersion = 0;
  namespaces: Namespace[] = [];
  cluster = "";
  server = ""; // its version
  prometheus = false;
  /** listed: the first full list is there. */
  listed = false;
  api: Connection = { up: true, since: "" };
  /** link is the connection to the dashboard's own server. */
  link = { up: false, since: 0, next: 0, silent: 0 };
  private ahead = 0; // ms by which the server's clock is ahead of ours

  constructor(
    private readonly changed: () => void,
    private readonly channel: (channel: Channel) => void,
  ) {}

  /** now is the server's clock in ms: ages are told by it. */
  now(): number {
    return Date.now() + this.ahead;
  }

  linked(up: boolean, since: number, next: number): void {
    this.link = { up, since, next, silent: 0 };
    this.changed();
  }

  /** silent: since when (ms of this clock) the server is not heard; 0: it is. */
  silent(since: number): void {
    if (this.link.silent === since) return;
    this.link.silent = since;
    this.changed();
  }

  /** current: what is not told has not changed. */
  current(): boolean {
    return this.link.up && this.link.silent === 0 && this.api.up;
  }

  receive(message: Envelope): void {
    if (message.hello) {
      const { hello } = message;
      this.cluster = hello.cluster;
      this.server = hello.version;
      this.prometheus = hello.prometheus;
      this.namespaces = hello.namespaces ?? [];
      this.setClock(hello.now);
    }
    if (message.heartbeat) this.setClock(message.heartbeat.now);
    if (message.connection) this.api = message.connection;
    if (message.fleet) {
      const { fleet } = message;
      this.setClock(fleet.now);
      if (fleet.namespaces) this.namespaces = fleet.namespaces;
      if (fleet.full) this.full(fleet.rows ?? []);
      for (const row of fleet.rows ?? []) this.put(row);
      for (const key of fleet.gone ?? []) this.remove(key);
      this.rowsVersion++;
    }
    if (message.channel) this.channel(message.channel);
    this.changed();
  }

  /** trouble is how many channels are of each severity. */
  trouble(): [well: number, watch: number, wrong: number] {
    const counts: [number, number, number] = [0, 0, 0];
    for (const { row } of this.fleet.values()) counts[Math.min(2, Math.max(0, row.severity)) as 0 | 1 | 2]++;
    return counts;
  }

  // A full list after a reconnect keeps the histories of the channels that are still there.
  private full(rows: Row[]): void {
    this.listed = true;
    const there = new Set(rows.map((row) => row.key));
    for (const key of this.fleet.keys()) if (!there.has(key)) this.remove(key);
  }

  private put(row: Row): void {
    const known = this.fleet.get(row.key);
    const history = known?.history ?? new History();
    if (row.points) history.add(row.points);
    delete row.points; // they are in the history
    if (known) {
      known.row = row;
      known.version++;
    } else {
      this.fleet.set(row.key, { row, history, version: 0 });
      this.keysVersion++;
    }
  }

  private remove(key: string): void {
    if (this.fleet.delete(key)) this.keysVersion++;
  }

  private setClock(now: string): void {
    const ms = at(now);
    if (!Number.isNaN(ms)) this.ahead = ms - Date.now();
  }
}
