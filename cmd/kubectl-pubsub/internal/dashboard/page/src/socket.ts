// The connection to the server: it reconnects with back-off, and pairs answers with requests.

import type { Answer, Envelope, ReplayRequest, WhatIfRequest } from "./types";

const firstWait = 500; // ms
const longestWait = 15_000; // ms; the server is on this machine, or at the end of a tunnel

export interface Listener {
  message(message: Envelope): void;
  /** up: messages come. Else: since when not, and when the next try is (ms of this clock). */
  connected(up: boolean, since: number, next: number): void;
}

type Asking = { kind: "open" | "close" | "whatif" | "replay"; key: string; whatif?: WhatIfRequest; replay?: ReplayRequest };

/** Lost is the error of a request whose answer can't come any more. */
export class Lost extends Error {
  constructor() {
    super("the connection to the dashboard's server was lost: ask again once it is back");
  }
}

export class Socket {
  private socket: WebSocket | undefined;
  private readonly waiting = new Map<number, { resolve: (a: Answer) => void; reject: (e: Error) => void }>();
  private id = 0;
  private wait = firstWait;
  private lostAt = 0;
  private timer = 0;

  constructor(
    private readonly address: string,
    private readonly listener: Listener,
  ) {
    // A laptop that wakes, or finds its network again, need not wait for the next try.
    for (const event of ["online", "focus", "pageshow"]) addEventListener(event, () => this.now());
    this.connect();
  }

  /** ask sends a request; the answer comes, or Lost. An answer with an error is an error. */
  ask(asking: Asking): Promise<Answer> {
    const socket = this.socket;
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Lost());
    const id = ++this.id;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, ...asking }));
    });
  }

  private now(): void {
    if (this.timer === 0) return;
    clearTimeout(this.timer);
    this.timer = 0;
    this.connect();
  }

  private connect(): void {
    const socket = new WebSocket(this.address);
    this.socket = socket;
    socket.onmessage = (event: MessageEvent<string>) => this.receive(JSON.parse(event.data) as Envelope);
    socket.onclose = () => this.lost();
  }

  private receive(message: Envelope): void {
    if (message.kind === "hello") {
      this.wait = firstWait;
      this.lostAt = 0;
      this.listener.connected(true, 0, 0);
    }
    if (message.kind !== "answer" || !message.answer) {
      this.listener.message(message);
      return;
    }
    const waiting = this.waiting.get(message.answer.id);
    this.waiting.delete(message.answer.id);
    if (message.answer.error) waiting?.reject(new Error(message.answer.error));
    else waiting?.resolve(message.answer);
  }

  private lost(): void {
    this.socket = undefined;
    for (const { reject } of this.waiting.values()) reject(new Lost());
    this.waiting.clear();
    this.lostAt ||= Date.now();
    // Spread, so that several pages don't come back in one moment.
    const wait = this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(longestWait, this.wait * 2);
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.connect();
    }, wait);
    this.listener.connected(false, this.lostAt, Date.now() + wait);
  }
}
