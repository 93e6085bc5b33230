// Owns an engine that may crash: the host that runs it, what was asked of that (open-streams.ts has the streams), and a new host in place of one that
// ended by itself or hangs. Every stream ends once, whatever happens to hosts. JS thread that made the model.

import {
  NativeEventKind as Kind,
  type NativeEngineOptions,
  type NativeError,
  type NativeEventListener,
  type NativeFinish,
  type NativeRequest,
} from "../../addon/contract.js";
import type { EngineStats } from "../../types.js";
import { type EngineLink, NO_STATS, NO_USE, type Question, RESTARTING, type StreamId } from "../link.js";
import { type Batch, LEFT, OpenStreams } from "./open-streams.js";
import type { Host, HostEnd, StartHost } from "./port.js";
import { PortLink } from "./port-link.js";
import { Watchdog } from "./watchdog.js";

/** Hosts in a row that may end before their engine is ready: a file that crashes it is not tried for ever. */
const MOST_LOADS = 3;
/** And hosts in a row that a question may lose. */
const MOST_LOSSES = 3;
/** Tokens of lost replies that are computed at once: their logits take some ten megabytes. */
const REPLAY_ROWS = 32;
/** Pause (ms) before the second new host in a row that did nothing; it doubles from one to the next. The first comes at once. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
/** Time (ms) after which a host that was ready has done something, streams or not. */
const SOUND_AFTER_MS = 60_000;
/** Time (ms) from the end of its channel to that of a host: most ended both at once. */
const LAST_MOMENT_MS = 1000;

/** Counters that go on over restarts. */
const COUNTERS = [
  ...(["steps", "generatedTokens", "prefilledTokens", "abortedSteps", "cachedTokens", "spills", "embeddedTokens"] as const),
  ...(["draftedTokens", "acceptedTokens"] as const),
] as const;

/** How an engine is looked after. */
export interface Supervision {
  /** Streams go on when their host was lost, with another one. Default false. */
  recover?: boolean;
  /** Silence (ms) after which a host is taken to hang. */
  hangAfterMs: number;
}

interface OpenQuestion {
  what: Question;
  /** Hosts that ended while it was open. */
  lost: number;
  /** Nobody waits for its answer any more. */
  withdrawn: boolean;
}

/** One host, from its start to its end. */
interface Life {
  host: Host;
  link: PortLink;
  watchdog: Watchdog;
  /** When it was; undefined: not yet. */
  readyAt: number | undefined;
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
  readonly #streams: OpenStreams;
  #questions = new Map<number, OpenQuestion>();
  #restart: NodeJS.Timeout | undefined;
  #restarts = 0;
  /** Hosts in a row that ended before a stream of theirs had finished; and of these in a row, the latest that were never ready. */
  #failures = 0;
  #failedLoads = 0;
  #closing = false;
  /** There is no other host to come: nothing can be opened. */
  #over = false;
  /** Why, where the file could not be loaded. */
  #loadError: NativeError | undefined;
  readonly #counted: Record<(typeof COUNTERS)[number], number> = {
    ...{ steps: 0, generatedTokens: 0, prefilledTokens: 0, abortedSteps: 0, cachedTokens: 0, spills: 0, embeddedTokens: 0 },
    ...{ draftedTokens: 0, acceptedTokens: 0 },
  };

  /** @throws what `start` throws for the first host */
  constructor(
    start: StartHost,
    opening: { path: string; options: NativeEngineOptions },
    supervision: Supervision,
    listener: NativeEventListener,
  ) {
    this.#start = start;
    const { path, options: given } = opening;
    // A deterministic engine computes them one by one, as it did the first time.
    const options = supervision.recover === true && !given.deterministic ? { ...given, replayRows: REPLAY_ROWS } : given;
    this.#opening = { path, options };
    this.#supervision = supervision;
    this.#streams = new OpenStreams(supervision.recover === true);
    this.#listener = listener;
    this.#begin();
  }

  submit(id: StreamId, request: NativeRequest): void {
    if (this.#over || this.#closing) {
      this.#saySoon(id, Kind.StreamError, CLOSED);
      return;
    }
    this.#streams.add(id, request);
    const link = this.#readyLink();
    if (link !== undefined) this.#streams.submitOne(link, id);
    this.#keepAlive();
  }

  endTurn(): void {
    this.#readyLink()?.endTurn();
  }

  ack(id: StreamId, tokens: number): void {
    this.#streams.ack(this.#readyLink(), id, tokens);
  }

  cancel(id: StreamId): void {
    if (!this.#streams.has(id)) return;
    if (this.#streams.leave(id)) {
      this.#readyLink()!.cancel(id);
      return;
    }
    this.#streams.delete(id);
    this.#saySoon(id, Kind.Finish, CANCELLED);
    this.#keepAlive();
  }

  endReasoning(id: StreamId): void {
    if (!this.#streams.has(id)) return;
    const how = this.#streams.endReasoning(id);
    if (how === "tell") this.#readyLink()!.endReasoning(id);
    if (how !== "inexact") return;
    this.#streams.delete(id);
    this.#saySoon(id, Kind.StreamError, THOUGHT_ENDED);
    this.#keepAlive();
  }

  ask(question: number, what: Question): void {
    if (this.#over || this.#closing) {
      this.#saySoon(0, Kind.AnswerError, { question, ...CLOSED });
      return;
    }
    this.#questions.set(question, { what, lost: 0, withdrawn: false });
    this.#readyLink()?.ask(question, what);
    this.#keepAlive();
  }

  withdraw(question: number): void {
    const open = this.#questions.get(question);
    if (open === undefined || open.withdrawn) return;
    open.withdrawn = true;
    const link = this.#readyLink();
    if (link !== undefined) {
      link.withdraw(question);
      return;
    }
    this.#questions.delete(question);
    this.#saySoon(0, Kind.AnswerError, { question, ...WITHDRAWN });
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
    const life: Life = { host, link, watchdog, readyAt: undefined, killedFor: undefined };
    this.#life = life;
    this.#keepAlive();
  }

  #kill(life: Life, why: string): void {
    if (this.#life !== life) return;
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
    if (life.readyAt !== undefined && performance.now() - life.readyAt > SOUND_AFTER_MS) this.#failures = 0;
    this.#failures++;
    this.#failedLoads = life.readyAt === undefined ? this.#failedLoads + 1 : 0;
    const gone = `the engine's process ${how}`;
    if (this.#failedLoads >= MOST_LOADS) {
      const loads = `it was started ${MOST_LOADS} times and ended each time before the model was loaded`;
      this.#giveUp({ code: "ENGINE_FAILED", message: `${gone}; ${loads}` });
      return;
    }
    for (const [id, why] of this.#streams.lose()) {
      if (why === LEFT) this.#say(id, Kind.Finish, CANCELLED);
      else this.#say(id, Kind.StreamError, { code: "ENGINE_FAILED", message: `${gone}, and this stream with it${why}` });
    }
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
    this.#endAll(this.#loadError ?? CLOSED);
    this.#say(0, Kind.Closed, undefined);
  }

  // ---- what is open -----------------------------------------------------------------------------------------------------

  /** undefined while nothing can be asked: what is open is asked when the engine is ready. */
  #readyLink(): PortLink | undefined {
    return this.#life?.readyAt === undefined ? undefined : this.#life.link;
  }

  /** They are asked again, unless they may be what crashes it. */
  #loseQuestions(gone: string): void {
    for (const [question, open] of [...this.#questions]) {
      if (open.withdrawn) {
        this.#questions.delete(question);
        this.#say(0, Kind.AnswerError, { question, ...WITHDRAWN });
        continue;
      }
      if (++open.lost < MOST_LOSSES) continue;
      this.#questions.delete(question);
      this.#say(0, Kind.AnswerError, { question, code: "ENGINE_FAILED", message: `${gone}, ${open.lost} times at this question` });
    }
  }

  #endAll(error: NativeError): void {
    const streams = this.#streams.clear();
    const questions = [...this.#questions.keys()];
    this.#questions.clear();
    for (const id of streams) this.#say(id, Kind.StreamError, error);
    for (const question of questions) this.#say(0, Kind.AnswerError, { question, ...error });
  }

  #onReady(life: Life): void {
    life.readyAt = performance.now();
    this.#failedLoads = 0;
    this.#streams.submit(life.link);
    for (const [question, { what }] of this.#questions) life.link.ask(question, what);
    if (this.#streams.size > 0) life.link.endTurn();
  }

  /** One batch is one decode step's news of all streams. */
  #onBatch(life: Life, batch: Batch): void {
    if (this.#life !== life) return;
    const [heads, payloads, logprobs] = this.#streams.account(life.link, batch);
    let told = payloads.length;
    for (let i = 0; i < payloads.length; i++) {
      const id = heads[3 * i]!;
      const kind = heads[3 * i + 1]!;
      if (id === 0) {
        if (kind === Kind.Closed)
          told = i; // it is the last, and told when the host has gone
        else this.#noteOfModel(life, kind, payloads[i]);
      } else if (kind === Kind.Finish || kind === Kind.StreamError) {
        this.#streams.delete(id);
        this.#failures = 0; // it does its work
      }
    }
    this.#keepAlive();
    if (told > 0) this.#listener(heads, told === payloads.length ? payloads : payloads.slice(0, told), logprobs);
  }

  #noteOfModel(life: Life, kind: number, payload: unknown): void {
    if (kind === Kind.Ready) this.#onReady(life);
    else if (kind === Kind.LoadError) {
      this.#over = true;
      this.#loadError = payload as NativeError;
    } else if (kind === Kind.Answer || kind === Kind.AnswerError) this.#questions.delete((payload as { question: number }).question);
  }

  /** Nothing that is open, loads or closes may be cut short by the end of this process; a quiet engine keeps nobody. */
  #keepAlive(): void {
    if (this.#life === undefined) return;
    const busy = this.#life.readyAt === undefined || this.#closing || this.#streams.size + this.#questions.size > 0;
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
const WITHDRAWN: NativeError = { code: "ABORTED", message: "nobody waits for the answer any more" };
const CANCELLED: NativeFinish = { reason: "cancelled", seed: 0, ...NO_USE };
const THOUGHT_ENDED: NativeError = {
  code: "ENGINE_FAILED",
  message: "the engine's process is started again, and this stream cannot go on exactly since its thought was ended meanwhile",
};
