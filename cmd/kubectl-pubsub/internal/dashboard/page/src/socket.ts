// The connection to the server: it reconnects with back-off, finds connections that are dead without
// a word, and pairs answers with requests.

import type { Answer, Envelope, ReplayRequest, WhatIfRequest } from "./types";

const firstWait = 500; // ms
const longestWait = 15_000; // ms; the server is on this machine, or at the end of a tunnel
const helloWait = 15_000; // ms from the try to the first message
const probeWait = 5000; // ms for any word after the machine woke
const look = 1000; // ms between two looks for silence
// In heartbeats of the server. With its 15 s: told after 22.5 s, another connection after 45 s.
const lateAfter = 1.5;
const deadAfter = 3;

export interface Listener {
  message(message: Envelope): void;
  /** up: messages come. Else: since when not, and when the next try is (ms of this clock). */
  connected(up: boolean, since: number, next: number): void;
  /** silent: since when (ms of this clock) nothing was heard, although a heartbeat is due. 0: all is well. */
  silent(since: number): void;
}

type Asking = { kind: "open" | "close" | "whatif" | "replay" | "ping"; key: string; whatif?: WhatIfRequest; replay?: ReplayRequest };

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
  private heartbeat = 0; // ms; 0: the server has not said hello
  private heard = { date: 0, steady: 0, messages: 0 };
  private probe = 0;

  constructor(
    private readonly address: string,
    private readonly listener: Listener,
  ) {
    // A laptop that wakes, or finds its network again, need not wait for the next try, nor for the silence to be long.
    for (const event of ["online", "focus", "pageshow"]) addEventListener(event, () => this.wake());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake());
    setInterval(() => this.watch(), look);
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

  private wake(): void {
    if (this.timer !== 0) {
      clearTimeout(this.timer);
      this.timer = 0;
      this.connect();
    } else if (this.heartbeat > 0 && this.probe === 0) {
      const before = this.heard.messages;
      this.ask({ kind: "ping", key: "" }).catch(() => undefined); // what counts is whether anything is heard
      this.probe = window.setTimeout(() => {
        this.probe = 0;
        if (this.heard.messages === before) this.drop();
      }, probeWait);
    }
  }

  private watch(): void {
    if (!this.socket) return; // the next try has its time
    // One clock may be set back, and the other may stand still while the machine sleeps.
    const silence = Math.max(Date.now() - this.heard.date, performance.now() - this.heard.steady);
    if (silence >= (this.heartbeat > 0 ? this.heartbeat * deadAfter : helloWait)) this.drop();
    else this.listener.silent(this.heartbeat > 0 && silence >= this.heartbeat * lateAfter ? this.heard.date : 0);
  }

  private hear(): void {
    this.heard = { date: Date.now(), steady: performance.now(), messages: this.heard.messages + 1 };
  }

  private connect(): void {
    const socket = new WebSocket(this.address);
    this.socket = socket;
    this.hear(); // the wait for the first message begins
    socket.onmessage = (event: MessageEvent<string>) => this.receive(JSON.parse(event.data) as Envelope);
    socket.onclose = () => this.lost(Date.now());
  }

  private receive(message: Envelope): void {
    this.hear();
    if (message.hello) {
      this.wait = firstWait;
      this.lostAt = 0;
      this.heartbeat = message.hello.heartbeat * 1000;
      this.listener.connected(true, 0, 0);
    }
    this.listener.silent(0);
    if (message.kind !== "answer" || !message.answer) {
      this.listener.message(message);
      return;
    }
    const waiting = this.waiting.get(message.answer.id);
    this.waiting.delete(message.answer.id);
    if (message.answer.error) waiting?.reject(new Error(message.answer.error));
    else waiting?.resolve(message.answer);
  }

  // A dead connection is left to the browser: a proper end would wait for the other side.
  private drop(): void {
    const { socket } = this;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
    this.lost(this.heard.date);
  }

  private lost(since: number): void {
    this.socket = undefined;
    this.heartbeat = 0;
    clearTimeout(this.probe);
    this.probe = 0;
    for (const { reject } of this.waiting.values()) reject(new Lost());
    this.waiting.clear();
    this.lostAt ||= since;
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
