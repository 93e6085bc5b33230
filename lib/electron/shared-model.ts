// Owns one open model that several windows use: whose stream an event is of, and how many streams there may be. Runs in the engine's process, on its
// JavaScript thread; the decode thread is on the other side of the link.

import {
  NativeEventKind as Kind,
  type NativeAnswer,
  type NativeError,
  type NativeEventListener,
  type NativeRequest,
  type NativeTokenLogprobs,
} from "../addon/contract.js";
import { type EngineLink, freeId, type OpenLink, type Question, type StreamId } from "../engine/link.js";
import { StepWatch } from "../engine/port/step-watch.js";
import {
  checkAgainstModel,
  checkEmbed,
  checkGenerates,
  checkLength,
  checkQuestions,
  checkRerank,
  checkRoom,
  checkTokens,
} from "../engine/request-checks.js";
import { bad, ZSEError } from "../errors.js";
import type { EngineStats, ModelInfo } from "../types.js";

/** Who uses it: the port of a window. */
export interface User {
  /** An event of the model (0), or of the user's own stream. */
  tell(
    id: StreamId,
    kind: number,
    tokens: number,
    payload: unknown,
    logprobs?: readonly NativeTokenLogprobs[],
    drawn?: readonly number[],
  ): void;
  /** All events of a batch are told. */
  flush(): void;
}

/** Who is told how it does. */
export interface ModelListener {
  /** It is loaded, or cannot be. */
  settled(failed: boolean): void;
  /** A stream has come to its end. */
  finished(): void;
}

/** A stream of a user's, under the number that the engine knows. */
interface Open {
  user: User;
  /** The user's own number. */
  id: StreamId;
  /** Tokens that were delivered and not yet given back. */
  credit: number;
  leaving: boolean;
}

/** A question of a user's, under the number that the engine knows. */
interface Asked {
  user: User;
  /** The user's own number. */
  question: number;
  /** It asks for vectors: it takes long, and there is room for few. */
  vectors: boolean;
}

export class SharedModel {
  /** Known once it is loaded. */
  info: ModelInfo | undefined;
  readonly #link: EngineLink;
  readonly #room: { maxStreams: number; maxQueue: number };
  readonly #users = new Set<User>();
  readonly #streams = new Map<StreamId, Open>();
  readonly #questions = new Map<number, Asked>();
  #last = 0;
  #lastQuestion = 0;
  #leaving = 0;
  #failure: NativeError | undefined;
  #isClosed = false;
  readonly #listener: ModelListener;
  /** How long its steps take. */
  readonly steps = new StepWatch();
  readonly closed: Promise<void>;
  #settleClosed!: () => void;

  constructor(open: OpenLink, room: { maxStreams: number; maxQueue: number }, listener: ModelListener) {
    this.#room = room;
    this.#listener = listener;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    this.#link = open((...batch) => this.#onEvents(...batch));
  }

  /** Neither loaded nor failed. */
  get loading(): boolean {
    return this.info === undefined && this.#failure === undefined && !this.#isClosed;
  }

  get users(): number {
    return this.#users.size;
  }

  get stats(): EngineStats {
    return this.#link.stats;
  }

  /** Tells a new user what it has missed. */
  add(user: User): void {
    this.#users.add(user);
    if (this.info !== undefined) user.tell(0, Kind.Ready, 0, this.info);
    else if (this.#failure !== undefined) user.tell(0, Kind.LoadError, 0, this.#failure);
    user.flush();
  }

  /** Its streams end, and it is told nothing more. */
  remove(user: User): void {
    this.#users.delete(user);
    for (const [number, open] of this.#streams) if (open.user === user) this.#leave(number, open);
    for (const [number, asked] of this.#questions) {
      if (asked.user !== user) continue;
      if (asked.vectors) this.#link.withdraw(number);
      else this.#questions.delete(number);
    }
  }

  /** @throws ZSEError OVERLOADED, or what is wrong with the request; the number under which the engine knows the stream otherwise */
  submit(user: User, id: StreamId, request: NativeRequest): StreamId {
    if (this.info === undefined) throw new ZSEError("ENGINE_FAILED", "The model is not loaded.");
    checkAgainstModel(request, this.info);
    checkReplay(request, this.info);
    checkRoom(this.#room, this.#streams.size, this.#leaving);
    this.#last = freeId(this.#last, this.#streams);
    this.#streams.set(this.#last, { user, id, credit: 0, leaving: false });
    this.#link.submit(this.#last, request);
    return this.#last;
  }

  endTurn(): void {
    this.#link.endTurn();
  }

  /** Whether there was so much to give back. */
  ack(number: StreamId, tokens: number): boolean {
    const open = this.#streams.get(number);
    if (open === undefined) return true;
    if (tokens > open.credit) return false;
    open.credit -= tokens;
    this.#link.ack(number, tokens);
    return true;
  }

  cancel(number: StreamId): void {
    const open = this.#streams.get(number);
    if (open !== undefined) this.#leave(number, open);
  }

  endReasoning(number: StreamId): void {
    this.#link.endReasoning(number);
  }

  /** @throws ZSEError what only the loaded model can find wrong */
  ask(user: User, question: number, what: Question): void {
    if (this.info === undefined) throw new ZSEError("ENGINE_FAILED", "The model is not loaded.");
    if ("detokenize" in what) checkTokens("tokens", what.detokenize, this.info);
    if ("render" in what) {
      checkGenerates(this.info);
      checkLength(what.render, this.info);
    }
    if ("embed" in what) checkEmbed(what, this.info);
    if ("rerank" in what) checkRerank(this.info);
    const vectors = "embed" in what || "rerank" in what;
    if (vectors) checkQuestions(this.#room, [...this.#questions.values()].filter((one) => one.vectors).length);
    this.#lastQuestion = freeId(this.#lastQuestion, this.#questions);
    this.#questions.set(this.#lastQuestion, { user, question, vectors });
    this.#link.ask(this.#lastQuestion, what);
  }

  /** Nobody waits for the answer any more. */
  withdraw(user: User, question: number): void {
    for (const [number, asked] of this.#questions) {
      if (asked.user === user && asked.question === question) this.#link.withdraw(number);
    }
  }

  close(): Promise<void> {
    this.#link.close();
    return this.closed;
  }

  #leave(number: StreamId, open: Open): void {
    if (open.leaving) return;
    open.leaving = true;
    this.#leaving += 1;
    this.#link.cancel(number);
  }

  #onEvents(...[heads, payloads, logprobs, drawn]: Parameters<NativeEventListener>): void {
    const tokens = drawn === undefined ? undefined : byPlace(drawn);
    const told = new Set<User>();
    for (let i = 0; i < payloads.length; i++) {
      const number = heads[3 * i]!;
      const kind = heads[3 * i + 1]!;
      const credit = heads[3 * i + 2]!;
      if (number === 0) {
        for (const user of this.#onModelEvent(kind, payloads[i])) told.add(user);
        continue;
      }
      const open = this.#streams.get(number);
      if (open === undefined) continue;
      if (kind === Kind.Finish || kind === Kind.StreamError) {
        this.#streams.delete(number);
        if (kind === Kind.Finish) this.#listener.finished();
        if (open.leaving) this.#leaving -= 1;
      }
      if (!this.#users.has(open.user)) continue;
      open.credit += credit;
      open.user.tell(open.id, kind, credit, payloads[i], logprobs?.[i], tokens?.get(i));
      told.add(open.user);
    }
    this.steps.look(this.#link.stats);
    for (const user of told) user.flush();
  }

  /** Returns who was told. */
  #onModelEvent(kind: number, payload: unknown): Iterable<User> {
    switch (kind) {
      case Kind.Answer:
      case Kind.AnswerError: {
        const answer = payload as NativeAnswer | (NativeError & { question: number });
        const asked = this.#questions.get(answer.question);
        this.#questions.delete(answer.question);
        if (asked === undefined || !this.#users.has(asked.user)) return [];
        asked.user.tell(0, kind, 0, { ...answer, question: asked.question });
        return [asked.user];
      }
      case Kind.Ready:
        this.info = payload as ModelInfo;
        this.#listener.settled(false);
        break;
      case Kind.LoadError:
        this.#failure = payload as NativeError;
        this.#listener.settled(true);
        break;
      case Kind.Closed:
        this.#isClosed = true;
        this.#settleClosed();
        break;
    }
    for (const user of this.#users) user.tell(0, kind, 0, payload);
    return this.#users;
  }
}

/** The addon takes a replay for what it has told itself. */
function checkReplay({ replay = [] }: NativeRequest, { vocabularySize, contextSize }: ModelInfo): void {
  if (replay.length >= contextSize)
    throw bad("replay", `replay has ${replay.length} tokens, and the context of a stream holds ${contextSize}.`);
  const stranger = replay.find((token) => token >= vocabularySize);
  if (stranger !== undefined)
    throw bad("replay", `replay names token ${stranger}; the token ids of this vocabulary are 0 to ${vocabularySize - 1}.`);
}

/** Pairs [an event's place, a token], flat, by their places. */
function byPlace(drawn: ArrayLike<number>): Map<number, number[]> {
  const tokens = new Map<number, number[]>();
  for (let i = 0; i < drawn.length; i += 2) {
    const here = tokens.get(drawn[i]!);
    if (here === undefined) tokens.set(drawn[i]!, [drawn[i + 1]!]);
    else here.push(drawn[i + 1]!);
  }
  return tokens;
}
