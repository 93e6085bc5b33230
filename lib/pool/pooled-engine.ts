// Owns the engine of a pooled model as streams and calls see it: always there, whichever engine is behind it now, and while there is none.
// JS thread that made the pool.
//
// A stream is handed on to the engine that is open when its turn comes, and belongs to that one until it ends: ids are an engine's own, so credit that
// comes late must not reach the next one.

import type {
  NativeCacheEntries,
  NativeCacheQuestion,
  NativeEmbed,
  NativePieces,
  NativePrompt,
  NativeRender,
  NativeRerank,
} from "../addon/contract.js";
import type { Ending, ModelEngine, StreamSink } from "../engine/engine.js";
import type { Item } from "../engine/items.js";
import type { AskedVectors } from "../engine/questions.js";
import type { ZSEError } from "../errors.js";
import type { EngineStats, ModelInfo } from "../types.js";
import type { Member } from "./member.js";
import type { Waiter } from "./waiter.js";

export class PooledEngine implements ModelEngine {
  readonly #member: Member;
  readonly #isHeld: () => boolean;
  readonly #streams = new Map<StreamSink, Held>();

  /** @param isHeld whether a lease keeps the model open for whoever has this engine, who then waits for nobody */
  constructor(member: Member, isHeld: () => boolean = () => false) {
    this.#member = member;
    this.#isHeld = isHeld;
  }

  get path(): string {
    return this.#member.path ?? "";
  }

  /** Asks for the model, and keeps it open to the end of the turn in which it resolves. */
  get ready(): Promise<ModelInfo> {
    const ready = this.#use((engine) => engine.ready);
    ready.catch(() => {}); // whoever reads it may look away
    return ready;
  }

  get info(): ModelInfo | undefined {
    return this.#member.info;
  }

  get closing(): boolean {
    return this.#member.isOver;
  }

  get failure(): ZSEError | undefined {
    return this.#member.over;
  }

  open(sink: StreamSink): void {
    const before = this.#streams.get(sink);
    if (before !== undefined) {
      before.goOn();
      return;
    }
    const held = new Held(sink, this.#member, () => this.#streams.delete(sink));
    this.#streams.set(sink, held);
    this.#member.ask(held, this.#isHeld());
  }

  rest(sink: StreamSink): void {
    this.#streams.get(sink)?.rest();
  }

  ack(sink: StreamSink, tokens: number): void {
    this.#streams.get(sink)?.ack(tokens);
  }

  cancel(sink: StreamSink): boolean {
    return this.#streams.get(sink)?.cancel() ?? false;
  }

  endReasoning(sink: StreamSink): void {
    this.#streams.get(sink)?.endReasoning();
  }

  async tokenize(text: string, special: boolean, addSpecial: boolean): Promise<number[]> {
    return await this.#use((engine) => engine.tokenize(text, special, addSpecial));
  }

  async detokenize(tokens: Int32Array, special: boolean): Promise<NativePieces> {
    return await this.#use((engine) => engine.detokenize(tokens, special));
  }

  async render(chat: NativeRender["render"]): Promise<NativePrompt> {
    return await this.#use((engine) => engine.render(chat));
  }

  async cache(question: NativeCacheQuestion): Promise<NativeCacheEntries> {
    return await this.#use((engine) => engine.cache(question));
  }

  embed(question: NativeEmbed): AskedVectors {
    return this.#vectors((engine) => engine.embed(question));
  }

  rerank(question: NativeRerank): AskedVectors {
    return this.#vectors((engine) => engine.rerank(question));
  }

  /** Whoever withdraws while the model is not open waits no longer for it. */
  #vectors(ask: (engine: ModelEngine) => AskedVectors): AskedVectors {
    let asked: AskedVectors | undefined;
    const leaving = new AbortController();
    const answer = this.#member.use(
      async (engine) => {
        asked = ask(engine);
        return await asked.answer;
      },
      { signal: leaving.signal, isHeld: this.#isHeld() },
    );
    const withdraw = (reason: unknown) => {
      if (asked === undefined) leaving.abort(reason);
      else asked.withdraw(reason);
    };
    return { answer, withdraw };
  }

  stats(): EngineStats {
    return this.#member.stats();
  }

  /** Takes the model out of memory; it is opened again when it is next asked for. */
  close(): Promise<void> {
    return this.#member.close();
  }

  /** Nobody's: the pool closes models. */
  abandon(): void {}

  #use<Value>(run: (engine: ModelEngine) => Promise<Value>): Promise<Value> {
    return this.#member.use(run, { isHeld: this.#isHeld() });
  }
}

/** One stream: it waits, and is then handed on to an engine. What that says goes on to the stream itself. */
class Held implements StreamSink, Waiter {
  readonly #sink: StreamSink;
  readonly #member: Member;
  readonly #forget: () => boolean;
  /** undefined while it waits. */
  #engine: ModelEngine | undefined;
  /** Between two replies. */
  #resting = false;

  constructor(sink: StreamSink, member: Member, forget: () => boolean) {
    this.#sink = sink;
    this.#member = member;
    this.#forget = forget;
  }

  // ---- as the engine sees it ----

  get id(): number {
    return this.#sink.id;
  }

  set id(id: number) {
    this.#sink.id = id;
  }

  get request(): StreamSink["request"] {
    return this.#sink.request;
  }

  get unsaid(): readonly string[] {
    return this.#sink.unsaid;
  }

  get endsReasoning(): boolean {
    return this.#sink.endsReasoning;
  }

  on(item: Item, tokens: number): void {
    this.#sink.on(item, tokens);
  }

  /** The stream may rest after it, and go on. */
  end(ending: Ending): void {
    this.#resting = false;
    this.#sink.end(ending);
    if (!this.#resting) this.#release();
  }

  // ---- as the member sees it ----

  grant(engine: ModelEngine): void {
    this.#engine = engine;
    engine.open(this);
  }

  fail(error: unknown): void {
    this.#forget();
    this.#sink.end({ error });
  }

  // ---- as the stream sees it ----

  goOn(): void {
    this.#resting = false;
    this.#engine!.open(this);
  }

  rest(): void {
    this.#resting = true;
    this.#engine!.rest(this);
  }

  ack(tokens: number): void {
    this.#engine?.ack(this, tokens);
  }

  cancel(): boolean {
    if (this.#engine === undefined) {
      this.#forget();
      this.#member.leave(this);
      return false;
    }
    const ends = this.#engine.cancel(this);
    if (!ends) this.#release();
    return ends;
  }

  endReasoning(): void {
    this.#engine?.endReasoning(this);
  }

  #release(): void {
    if (this.#forget()) this.#member.release();
  }
}
