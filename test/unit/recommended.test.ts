// What a model file recommends counts where a call says nothing, within the ranges of the options, and nowhere else.

import { expect, test } from "vitest";

import type { RecommendedSampling } from "../../lib/types.js";
import { openFake, openReady, USER } from "./helpers.js";

const SAMPLING = {
  temperature: 0.25,
  topK: 7,
  topP: 2,
  minP: Number.NaN,
  mirostat: 1.5,
  samplers: ["top_k", "best", "temp", "top_k"],
  repeatPenalty: "x",
};
const info = { sampling: SAMPLING as unknown as RecommendedSampling };

test("of a file's recommendations those are used that an option may be", async () => {
  const { model } = await openReady({ info });
  expect(model.info!.sampling).toEqual({ temperature: 0.25, topK: 7, samplers: ["topK", "temperature"] });
});

test("they count where the call says nothing, in whichever spelling it says something", async () => {
  const { model, fake } = openFake({ info });
  const replies = [model.chat(USER), model.chat(USER, { temperature: 0.8, top_k: 3, samplers: [] }), model.chat(USER, { topK: undefined })];
  await Promise.all(replies);
  expect(fake.streams[0]!.request).toMatchObject({ temperature: 0.25, topK: 7, topP: 0.95, minP: 0.05, samplers: ["topK", "temperature"] });
  expect(fake.streams[1]!.request).toMatchObject({ temperature: 0.8, topK: 3, samplers: [] });
  expect(fake.streams[2]!.request).toMatchObject({ topK: 7 });
});

test("a file that recommends nothing leaves the defaults", async () => {
  const { model, fake } = await openReady();
  await model.chat(USER);
  expect(model.info!.sampling).toEqual({});
  expect(fake.streams[0]!.request).toMatchObject({ temperature: 0.8, topK: 40, repeatLastN: 64 });
});
