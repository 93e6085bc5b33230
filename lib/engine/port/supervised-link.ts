// Owns an engine that may crash: the host that runs it, what was asked of that and has no end yet, and a new host in place of one that ended by
// itself or hangs. Every stream ends once, whatever happens to hosts. JS thread that made the model.

import {
  NativeEventKind as Kind,
  type NativeEngineOptions,
  type NativeError,
  type NativeEventListener,
  type NativeRequest,
} from "../../addon/contract.js";
import type { EngineStats } from "../../types.js";
import { NO_STATS } from "../engine.js";
import { type EngineLink, type Question, RESTARTING, type StreamId } from "../link.js";
import type { Host, HostEnd, StartHost } from "./port.js";
import { PortLink } from "./port-link.js";
import { Watchdog } from "./watchdog.js";

/** Hosts in a row that may end before their engine is ready: a file that crashes it is not tried for ever. */
const MOST_LOADS = 3;
/** Pause (ms) before the second new host in a row that did nothing; it doubles from one to the next. The first comes at once. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
/** Time (ms) from the end of its channel to that of a host: most ended both at once. */
const LAST_MOMENT_MS = 1000;

/** Counters that go on over restarts. */
const COUNTERS = ["steps", "generatedTokens", "prefilledTokens", "abortedSteps", "cachedTokens", "spills"] as const;

/** How an engine is looked after. */
export interface Supervision {
  /** Silence (ms) after which a host is taken to hang. */
  hangAfterMs: number;
}

interface OpenStream {
  request: NativeRequest;
  /** To the host that runs now. */
  submitted: boolean;
}

interface OpenQuestion {
  what: Question;
  /** Hosts that ended while it was open. */
  lost: number;
}

/** One host, from its start to its end. */
interface Life {
  host: Host;
  link: PortLink;
  watchdog: Watchdog;
  ready: boolean;
  /** It has said Closed: its end is none of its own. */
  closed: boolean;
  /** Why it was killed, if it was. */
  killedFor: string | undefined;
}

export class SupervisedLink implements EngineLink {
  readonly #start: StartHost;
  readonly #opening: { path: string; options: NativeEngineOptions };
  readonly #supervision: Supervision;
  readonly #listener: NativeEventListener;
  /** undefined between two hosts, and after the last. */
  #life: Life | undefined;
  #streams = new Map<StreamId, OpenStream>();
  #questions = new Map<number, OpenQuestion>();
  #restart: NodeJS.Timeout | undefined;
  #restarts = 0;
  /** Hosts in a row that ended before a stream of theirs had finished; and of these in a row, the latest that were never ready. */
  #failures = 0;
  #failedLoads = 0;
  #wasReady = false;
  #closing = false;
  /** There is no other host to come: nothing can be opened. */
  #over = false;
  readonly #counted: Record<(typeof COUNTERS)[number], number> = {
    ...{ steps: 0, generatedTokens: 0, prefilledTokens: 0, abortedSteps: 0, cachedTokens: 0, spills: 0 },
  };

  /** @throws what `start` throws for the first host */
  constructor(
    start: StartHost,
    opening: { path: string; options: NativeEngineOptions },
    supervision: Supervision,
    listener: NativeEventListener,
  ) {
    this.#start = start;
    this.#opening = opening;
    this.#supervision = supervision;
    this.#listener = listener;
    this.#begin();
  }

  submit(id: StreamId, request: NativeRequest): void {
    if (this.#over || this.#closing) {
      this.#saySoon(id, Kind.StreamError, CLOSED);
      return;
    }
    const stream: OpenStream = { request, submitted: false };
    this.#streams.set(id, stream);
    this.#submit(id, stream);
    this.#keepAlive();
  }

  endTurn(): void {
    if (this.#life?.ready === true) this.#life.link.endTurn();
  }

  ack(id: StreamId, tokens: number): void {
    if (this.#streams.get(id)?.submitted === true) this.#life!.link.ack(id, tokens);
  }

  cancel(id: StreamId): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (stream.submitted) {
      this.#life!.link.cancel(id);
      return;
    }
    this.#streams.delete(id);
    this.#saySoon(id, Kind.StreamError, LEFT);
    this.#keepAlive();
  }

  endReasoning(id: StreamId): void {
    if (this.#streams.get(id)?.submitted === true) this.#life!.link.endReasoning(id);
  }

  ask(question: number, what: Question): void {
    if (this.#over || this.#closing) {
      this.#saySoon(0, Kind.AnswerError, { question, ...CLOSED });
      return;
    }
    this.#questions.set(question, { what, lost: 0 });
    if (this.#life?.ready === true) this.#life.link.ask(question, what);
    this.#keepAlive();
  }

  close(): void {
    if (this.#closing || this.#over) return;
    this.#closing = true;
    clearTimeout(this.#restart);
    if (this.#life === undefined) queueMicrotask(() => this.#finish());
    else this.#life.link.close();
    this.#keepAlive();
  }

  get stats(): EngineStats {
    const now = this.#life?.link.stats ?? { ...NO_STATS, queued: this.#streams.size };
    const stats: EngineStats = { ...now, restarts: this.#restarts };
    for (const name of COUNTERS) stats[name] += this.#counted[name];
    return stats;
  }

  // ---- a host's life ----------------------------------------------------------------------------------------------------

  #begin(): void {
    const host = this.#start((how) => this.#onEnd(life, how));
    const link = new PortLink(
      host.port,
      this.#opening,
      (...batch) => this.#onBatch(life, batch),
      () => setTimeout(() => this.#kill(life, "closed its channel"), LAST_MOMENT_MS).unref?.(),
      (pong) => life.watchdog.answered(pong),
    );
    const watchdog = new Watchdog(
      this.#supervision.hangAfterMs,
      () => link.ping(),
      (why) => this.#kill(life, why),
    );
    const life: Life = { host, link, watchdog, ready: false, closed: false, killedFor: undefined };
    this.#life = life;
    this.#keepAlive();
  }

  #kill(life: Life, why: string): void {
    if (this.#life !== life || life.closed) return;
    life.killedFor ??= why;
    life.host.kill();
  }

  /** Its last message was heard. */
  #onEnd(life: Life, how: HostEnd): void {
    if (this.#life !== life) return;
    life.watchdog.stop();
    for (const name of COUNTERS) this.#counted[name] += life.link.stats[name];
    this.#life = undefined;
    if (this.#closing || this.#over) this.#finish();
    else this.#onCrash(life, life.killedFor ?? how);
  }

  #onCrash(life: Life, how: HostEnd): void {
    this.#failures++;
    this.#failedLoads = life.ready ? 0 : this.#failedLoads + 1;
    const gone = `the engine's process ${how}`;
    if (this.#failedLoads >= MOST_LOADS) {
      const loads = `it was started ${MOST_LOADS} times and ended each time before the model was loaded`;
      this.#giveUp({ code: "ENGINE_FAILED", message: `${gone}; ${loads}` });
      return;
    }
    this.#loseStreams(gone);
    this.#loseQuestions(gone);
    this.#say(0, RESTARTING, { code: "ENGINE_FAILED", message: `${gone}; it is started again` } satisfies NativeError);
    if (this.#closing) return; // a reader has closed the model
    const pause = this.#failures === 1 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 2));
    this.#restart = setTimeout(() => this.#again(), pause);
  }

  #again(): void {
    this.#restarts++;
    try {
      this.#begin();
    } catch (error) {
      this.#giveUp({ code: "ENGINE_FAILED", message: error instanceof Error ? error.message : String(error) });
    }
  }

  /** No other host comes. */
  #giveUp(error: NativeError): void {
    this.#over = true;
    this.#endAll(error);
    this.#say(0, Kind.LoadError, error);
    this.#say(0, Kind.Closed, undefined);
  }

  /** The model is closed, or could not be loaded, and its last host is gone. */
  #finish(): void {
    this.#over = true;
    this.#endAll(CLOSED);
    this.#say(0, Kind.Closed, undefined);
  }

  // ---- what is open -----------------------------------------------------------------------------------------------------

  #submit(id: StreamId, stream: OpenStream): void {
    if (this.#life?.ready !== true) return;
    stream.submitted = true;
    this.#life.link.submit(id, stream.request);
  }

  /** Those that the host had; what came since waits for the next one. */
  #loseStreams(gone: string): void {
    const lost = [...this.#streams].filter(([, { submitted }]) => submitted);
    for (const [id] of lost) this.#streams.delete(id);
    for (const [id] of lost) this.#say(id, Kind.StreamError, { code: "ENGINE_FAILED", message: `${gone}, and this stream with it` });
  }

  /** They are asked again, unless they may be what crashes it. */
  #loseQuestions(gone: string): void {
    for (const [question, open] of [...this.#questions]) {
      if (++open.lost < MOST_LOADS) continue;
      this.#questions.delete(question);
      this.#say(0, Kind.AnswerError, { question, code: "ENGINE_FAILED", message: `${gone}, ${open.lost} times at this question` });
    }
  }

  #endAll(error: NativeError): void {
    const streams = [...this.#streams.keys()];
    const questions = [...this.#questions.keys()];
    this.#streams.clear();
    this.#questions.clear();
    for (const id of streams) this.#say(id, Kind.StreamError, error);
    for (const question of questions) this.#say(0, Kind.AnswerError, { question, ...error });
  }

  #onReady(life: Life): void {
    life.ready = true;
    this.#wasReady = true;
    this.#failedLoads = 0;
    for (const [id, stream] of this.#streams) this.#submit(id, stream);
    for (const [question, { what }] of this.#questions) life.link.ask(question, what);
    life.link.endTurn();
  }

  /** One batch is one decode step's news of all streams. */
  #onBatch(life: Life, [heads, payloads, logprobs, drawn]: Parameters<NativeEventListener>): void {
    if (this.#life !== life) return;
    let told = payloads.length;
    for (let i = 0; i < payloads.length; i++) {
      const id = heads[3 * i]!;
      const kind = heads[3 * i + 1]!;
      if (id !== 0) {
        if (kind !== Kind.Finish && kind !== Kind.StreamError) continue;
        this.#streams.delete(id);
        this.#failures = 0; // it does its work
      } else if (kind === Kind.Ready) this.#onReady(life);
      else if (kind === Kind.LoadError) this.#over = true;
      else if (kind === Kind.Answer || kind === Kind.AnswerError) this.#questions.delete((payloads[i] as { question: number }).question);
      else if (kind === Kind.LoadProgress && this.#wasReady) told = Math.min(told, i);
      else if (kind === Kind.Closed) {
        life.closed = this.#closing || this.#over; // else it ended by itself
        told = Math.min(told, i); // it is told when the host has gone
      }
    }
    this.#keepAlive();
    if (told > 0) this.#listener(heads, told === payloads.length ? payloads : payloads.slice(0, told), logprobs, drawn);
  }

  /** Nothing that is open, loads or closes may be cut short by the end of this process; a quiet engine keeps nobody. */
  #keepAlive(): void {
    if (this.#life === undefined) return;
    const busy = !this.#life.ready || this.#closing || this.#streams.size + this.#questions.size > 0;
    this.#life.host.keepAlive(busy);
    this.#life.watchdog.watch(busy);
  }

  #say(id: StreamId, kind: number, payload: unknown): void {
    this.#listener(Uint32Array.of(id, kind, 0), [payload]);
  }

  /** Not before the caller's call is over: an event never comes from inside of one. */
  #saySoon(id: StreamId, kind: number, payload: unknown): void {
    queueMicrotask(() => this.#say(id, kind, payload));
  }
}

const CLOSED: NativeError = { code: "CLOSED", message: "the model is not open" };
const LEFT: NativeError = { code: "ENGINE_FAILED", message: "the stream was left while the engine was started again" };
