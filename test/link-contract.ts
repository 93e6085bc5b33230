// The promises of an EngineLink, for whatever implements it: the fake of the unit tests, the addon in this process, later an engine in
// another one. Each file that has a link calls linkContract() with how to open it.

import { expect, test } from "vitest";
import {
  NativeEventKind as Kind,
  type NativeAnswer,
  type NativeError,
  type NativeEventListener,
  type NativeFinish,
  type NativePieces,
  type NativePrompt,
  type NativeQuestion,
  type NativeRequest,
  type NativeTokenLogprobs,
  type NativeTokens,
  type NativeVectors,
} from "../lib/addon/contract.js";
import type { EngineLink, OpenLink } from "../lib/engine/link.js";
import type { ModelInfo } from "../lib/types.js";

/** One event, apart from its batch. */
export interface Told {
  id: number;
  kind: number;
  tokens: number;
  payload: unknown;
  logprobs: readonly NativeTokenLogprobs[] | undefined;
}

export class Listener {
  readonly told: Told[] = [];
  #changed: (() => void)[] = [];

  hear: NativeEventListener = (heads, payloads, logprobs) => {
    payloads.forEach((payload, i) => {
      this.told.push({ id: heads[3 * i]!, kind: heads[3 * i + 1]!, tokens: heads[3 * i + 2]!, payload, logprobs: logprobs?.[i] });
    });
    for (const changed of this.#changed.splice(0)) changed();
  };

  async until(enough: (told: readonly Told[]) => boolean): Promise<void> {
    while (!enough(this.told)) {
      await new Promise<void>((resolve) => {
        this.#changed.push(resolve);
      });
    }
  }

  of(id: number): Told[] {
    return this.told.filter((one) => one.id === id);
  }

  text(id: number): string {
    return this.of(id)
      .filter(({ kind }) => kind === Kind.Text)
      .map(({ payload }) => payload)
      .join("");
  }

  /** Tokens of credit that a stream was given and has to give back. */
  credit(id: number): number {
    return this.of(id).reduce((sum, { tokens }) => sum + tokens, 0);
  }

  ended(id: number): boolean {
    return this.of(id).some(({ kind }) => kind === Kind.Finish || kind === Kind.StreamError);
  }

  end(id: number): Told {
    return this.of(id).find(({ kind }) => kind === Kind.Finish || kind === Kind.StreamError)!;
  }
}

const aTurn = () => new Promise((resolve) => setTimeout(resolve, 50));

/**
 * @param open a link with room for two streams at a time
 * @param request one that has at least 20 tokens to say, with these fields in place of its own
 * @param refused one that the engine refuses after it was submitted, and the code that it then has
 */
export function linkContract(
  name: string,
  open: OpenLink,
  request: (more?: Partial<NativeRequest>) => NativeRequest,
  refused: { request: NativeRequest; code: string },
): void {
  const opened = async (): Promise<{ link: EngineLink; listener: Listener; info: ModelInfo }> => {
    const listener = new Listener();
    const link = open(listener.hear);
    await listener.until((told) => told.some(({ kind }) => kind === Kind.Ready));
    return { link, listener, info: listener.told.find(({ kind }) => kind === Kind.Ready)!.payload as ModelInfo };
  };
  const closed = async ({ link, listener }: { link: EngineLink; listener: Listener }) => {
    link.close();
    await listener.until((told) => told.some(({ kind }) => kind === Kind.Closed));
  };

  test(`${name}: says Ready once, and Closed once and last`, async () => {
    const one = await opened();
    expect(one.info.maxStreams).toBe(2);
    one.link.close();
    one.link.close();
    await one.listener.until((told) => told.some(({ kind }) => kind === Kind.Closed));
    await aTurn();
    const kinds = one.listener.told.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === Kind.Ready)).toHaveLength(1);
    expect(kinds.indexOf(Kind.Closed)).toBe(kinds.length - 1);
    expect(one.listener.told.every(({ id }) => id === 0)).toBe(true);
  });

  test(`${name}: a stream has text with credit, then exactly one end, under the id that was chosen`, async () => {
    const one = await opened();
    one.link.submit(7, request({ maxTokens: 5 }));
    one.link.submit(4_000_000_000, request({ maxTokens: 5 }));
    one.link.endTurn();
    await one.listener.until(() => one.listener.ended(7) && one.listener.ended(4_000_000_000));
    await aTurn();
    for (const id of [7, 4_000_000_000]) {
      const told = one.listener.of(id);
      const texts = told.filter(({ kind }) => kind === Kind.Text);
      expect(texts.length).toBeGreaterThan(0);
      for (const { payload, tokens } of texts) {
        expect(payload).not.toBe("");
        expect(tokens).toBeGreaterThan(0);
      }
      expect(told.filter(({ kind }) => kind === Kind.Finish)).toHaveLength(1);
      expect(told.at(-1)!.kind).toBe(Kind.Finish);
      const finish = told.at(-1)!.payload as NativeFinish;
      expect(finish.reason).toBe("length");
      expect(finish.usage.completionTokens).toBe(5);
    }
    await closed(one);
  });

  test(`${name}: log-probabilities come beside the texts of a stream that asks for them, and of no other`, async () => {
    const one = await opened();
    one.link.submit(1, request({ maxTokens: 5, logprobs: true, topLogprobs: 1 }));
    one.link.submit(2, request({ maxTokens: 5 }));
    one.link.endTurn();
    await one.listener.until(() => one.listener.ended(1) && one.listener.ended(2));
    const told = one.listener.of(1).flatMap(({ logprobs = [] }) => logprobs);
    expect(told).toHaveLength(5);
    expect(told.map(({ bytes }) => bytes).join("")).toBe(String.fromCharCode(...new TextEncoder().encode(one.listener.text(1))));
    for (const { logprob, top } of told) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(1);
    }
    expect(one.listener.of(2).every(({ logprobs }) => logprobs === undefined)).toBe(true);
    await closed(one);
  });

  test(`${name}: an id can be used again once its stream has ended`, async () => {
    const one = await opened();
    for (let times = 1; times <= 2; times++) {
      one.link.submit(1, request({ maxTokens: 2 }));
      one.link.endTurn();
      await one.listener.until(() => one.listener.of(1).filter(({ kind }) => kind === Kind.Finish).length === times);
    }
    await closed(one);
  });

  test(`${name}: without credit given back nothing comes beyond highWaterMark, and the rest comes with it`, async () => {
    const one = await opened();
    one.link.submit(1, request({ maxTokens: 12, highWaterMark: 4 }));
    one.link.endTurn();
    await one.listener.until(() => one.listener.credit(1) >= 4);
    await aTurn();
    expect(one.listener.credit(1)).toBe(4);
    expect(one.listener.ended(1)).toBe(false);
    expect(one.link.stats.parked).toBe(1);
    for (let given = 0; !one.listener.ended(1); ) {
      const owed = one.listener.credit(1) - given;
      one.link.ack(1, owed);
      given += owed;
      await one.listener.until(() => one.listener.ended(1) || one.listener.credit(1) >= given + 4);
    }
    expect((one.listener.end(1).payload as NativeFinish).usage.completionTokens).toBe(12);
    await closed(one);
  });

  test(`${name}: a cancelled stream ends once, as cancelled, parked or not; who has ended is not heard of again`, async () => {
    const one = await opened();
    one.link.submit(1, request({ highWaterMark: 2 }));
    one.link.submit(2, request());
    one.link.endTurn();
    await one.listener.until(() => one.listener.credit(1) >= 2);
    one.link.cancel(1);
    one.link.cancel(2);
    await one.listener.until(() => one.listener.ended(1) && one.listener.ended(2));
    for (const id of [1, 2, 99]) {
      one.link.cancel(id);
      one.link.ack(id, 1);
    }
    await aTurn();
    for (const id of [1, 2]) {
      expect(one.listener.of(id).filter(({ kind }) => kind === Kind.Finish)).toHaveLength(1);
      expect((one.listener.end(id).payload as NativeFinish).reason).toBe("cancelled");
    }
    await closed(one);
  });

  test(`${name}: a refusal is an event, and the streams beside it go on`, async () => {
    const one = await opened();
    one.link.submit(1, refused.request);
    one.link.submit(2, request({ maxTokens: 3 }));
    one.link.endTurn();
    await one.listener.until(() => one.listener.ended(1) && one.listener.ended(2));
    expect(one.listener.end(1).kind).toBe(Kind.StreamError);
    expect((one.listener.end(1).payload as NativeError).code).toBe(refused.code);
    expect(one.listener.end(2).kind).toBe(Kind.Finish);
    await closed(one);
  });

  test(`${name}: a question is answered under its number, and all of it is plain data`, async () => {
    const one = await opened();
    const answered = async <Answer>(number: number, question: NativeQuestion): Promise<Answer> => {
      one.link.ask(number, structuredClone(question));
      const isIt = ({ kind, payload }: Told) => kind === Kind.Answer && (payload as NativeAnswer).question === number;
      await one.listener.until((told) => told.some(isIt));
      return structuredClone(one.listener.told.find(isIt)!.payload) as Answer;
    };
    const short = answered<NativeTokens>(3, { tokenize: "fox", special: false, addSpecial: false });
    const long = answered<NativeTokens>(5, { tokenize: "fox fox fox fox", special: false, addSpecial: false });
    const { tokens } = await long;
    expect((await short).tokens).toBeInstanceOf(Int32Array);
    expect(tokens.length).toBeGreaterThan((await short).tokens.length);
    const { bytes, ends, padding } = await answered<NativePieces>(6, { detokenize: tokens, special: true });
    expect(new TextDecoder().decode(bytes.subarray(padding))).toBe("fox fox fox fox");
    expect([ends.length, ends.at(-1)]).toEqual([tokens.length, bytes.length]);
    const messages = JSON.stringify([{ role: "user", content: "fox" }]);
    const rendered = await answered<NativePrompt>(7, { render: { messages } });
    expect(rendered.prompt).toContain("fox");
    expect(rendered.tokens.length).toBeGreaterThan((await short).tokens.length);
    await closed(one);
  });

  test(`${name}: a question for vectors is answered under its number, and one that is withdrawn is, too`, async () => {
    const one = await opened();
    const answerTo = async (number: number): Promise<Told> => {
      const isIt = ({ kind, payload }: Told) =>
        (kind === Kind.Answer || kind === Kind.AnswerError) && (payload as NativeAnswer).question === number;
      await one.listener.until((told) => told.some(isIt));
      return one.listener.told.find(isIt)!;
    };
    const texts = { embed: ["fox", "a fox"], dimensions: 2, normalize: true, truncate: false };
    one.link.ask(4, structuredClone(texts));
    const answer = structuredClone((await answerTo(4)).payload) as NativeVectors;
    expect([answer.vectors.length, answer.width, answer.tokens.length]).toEqual([4, 2, 2]);
    expect(answer.vectors).toBeInstanceOf(Float32Array);
    one.link.ask(5, structuredClone(texts));
    one.link.withdraw(5);
    one.link.withdraw(5);
    one.link.withdraw(77);
    await answerTo(5);
    await closed(one);
    const answers = one.listener.told.filter(
      ({ kind, payload }) => kind >= Kind.Answer && (payload as NativeAnswer | undefined)?.question === 5,
    );
    expect(answers).toHaveLength(1);
  });

  test(`${name}: closing ends every stream first; what is asked of a closed one throws nothing`, async () => {
    const one = await opened();
    for (const id of [1, 2, 3]) one.link.submit(id, request({ highWaterMark: 2 }));
    one.link.endTurn();
    await one.listener.until(() => one.listener.credit(1) > 0);
    await closed(one);
    const order = one.listener.told.map(({ kind }) => kind);
    for (const id of [1, 2, 3]) expect(one.listener.ended(id)).toBe(true);
    expect(order.at(-1)).toBe(Kind.Closed);
    one.link.submit(9, request());
    one.link.ask(9, { tokenize: "fox", special: false, addSpecial: false });
    one.link.endTurn();
    one.link.ack(9, 1);
    one.link.cancel(9);
    one.link.close();
    await aTurn();
    expect(one.listener.of(9).every(({ kind }) => kind === Kind.StreamError)).toBe(true);
  });
}
