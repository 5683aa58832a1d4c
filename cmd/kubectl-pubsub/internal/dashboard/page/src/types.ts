// The messages of the WebSocket at /ws, as protocol/protocol.go has them. Times are RFC 3339,
// durations seconds. What is unknown is absent.

export interface Envelope {
  kind: "hello" | "heartbeat" | "connection" | "fleet" | "channel" | "answer";
  hello?: Hello;
  heartbeat?: Heartbeat;
  connection?: Connection;
  fleet?: Fleet;
  channel?: Channel;
  answer?: Answer;
}

export interface Hello {
  version: string;
  cluster: string;
  now: string;
  heartbeat: number; // s
  prometheus: boolean;
  namespaces: Namespace[] | null;
}

export interface Heartbeat {
  now: string;
}

export interface Namespace {
  name: string; // empty: all at once
  permitted: boolean;
  why?: string;
}

export interface Connection {
  up: boolean;
  since: string;
  problem?: string;
}

export interface Fleet {
  full?: boolean;
  now: string;
  rows?: Row[];
  gone?: string[];
  namespaces?: Namespace[];
}

export interface Row {
  key: string;
  namespace: string;
  name: string;
  phase: string;
  severity: number;
  trouble?: string;
  words: string;
  autoscaled: boolean;
  paused?: boolean;
  policy?: string;
  replicas: number;
  ready: number;
  desired: number;
  min: number;
  max: number;
  depth?: number;
  atLeast?: boolean;
  waiting?: number;
  inFlight?: number;
  lowerBound?: number;
  upperBound?: number;
  rate?: number;
  action?: string;
  reason?: string;
  oldest?: string;
  points?: Point[];
}

export interface Point {
  t: string;
  gap?: boolean; // from here to the next point nothing was heard; nothing else is there
  held?: boolean; // up to here it was as the point before says
  depth?: number;
  replicas?: number; // these three are absent in a gap alone
  ready?: number;
  desired?: number;
  lower?: number;
  upper?: number;
  rate?: number;
}

export interface Channel {
  key: string;
  full?: boolean;
  gone?: boolean;
  row?: Row;
  decision?: Decision;
  noDecision?: string;
  points?: Point[];
  marks?: Mark[];
  events?: KubernetesEvent[];
  conditions?: Condition[];
  workers?: Worker[];
  scaledObject?: Condition[];
  settings?: Setting[];
  forbidden?: Record<string, string>;
  notes?: Record<string, string>; // what is not shown of events, workers and history
}

export interface Decision {
  action: string;
  reason: string;
  words: string;
  arithmetic?: string;
  replicas: number;
  desired: number;
  depth: number;
  atLeast?: boolean;
  waiting: number;
  inFlight?: number;
  lowerBound: number;
  upperBound: number;
  cooldown: number;
  cooledDown?: string;
  lastScale?: string;
  active: boolean;
  policy: string;
  busy?: number;
  slots?: number;
  time: string;
  unheard?: string; // of a what-if: since when nothing was heard of the channel
}

export interface Mark {
  t: string;
  kind: "scaling" | "decision" | "settings" | "spec" | "paused" | "resumed";
  from: number;
  to: number;
  words: string;
  until?: string;
}

export interface KubernetesEvent {
  t: string;
  type: string;
  reason: string;
  message: string;
  count: number;
}

export interface Condition {
  type: string;
  status: string;
  good: boolean;
  reason: string;
  message: string;
  since?: string; // KEDA's conditions don't tell
}

export interface Worker {
  name: string;
  state: string;
  message?: string;
  restarts: number;
  node?: string;
  since: string;
}

export interface Setting {
  name: string;
  value: string;
  from: string;
}

export type Changes = Record<string, number | string>;

export interface WhatIfRequest {
  depth?: number;
  replicas?: number;
  sinceScale?: number;
  changes: Changes;
}

export interface ReplayRequest {
  seconds?: number;
  changes: Changes;
}

export interface Replay {
  assumed: string[] | null;
  start: string;
  step: number;
  curves: Curve[] | null;
}

export interface Curve {
  name: string; // recorded, now, changed
  speed?: number; // messages per second of one worker, if there are two of the name
  depth: number[] | null;
  replicas: number[] | null;
  p99Wait?: number;
  replicaHours: number;
  scalings: number;
  maxReplicas: number;
}

export interface Answer {
  id: number;
  error?: string;
  decision?: Decision;
  replay?: Replay;
}
