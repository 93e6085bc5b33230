// Owns the list of rows. A row is a file that says what is measured, on whom, and what is expected of zStream:
//
//   name, title              its letter, and one line
//   models                   names of the models it is about; left out: all
//   repetitions(reps)        how often, when it takes long; left out: as often as asked
//   contenders               names of contenders; left out: all that have a module
//   engine(job)              contextSize and maxStreams of every contender; or a promise of them
//   measure(engine, job)     runs in a process of its own for each contender and repetition; gives named numbers
//   phases                   several processes one after the other that share job.cacheDir; measure() sees job.phase
//   variants                 [{ contender, label, options }] in place of contenders: a curve instead of a comparison
//   raw(job)                 the same numbers from llama.cpp's own tools
//   derived(measures, job)   further named numbers, of those of one repetition: parts of the machine's limits (job.limits), say
//   figures                  { label, unit, measure, goals?: [{ of?: contender, atLeast | atMost, but? }], note? }: a goal with `of` is about the
//                            ratio of zStream's to that contender's, one without about zStream's own number; `but` names models that it is not about. `only` names the
//                            contenders, `models` the models that a figure is about, `optional` one that some machines cannot tell
import { row as a } from "./a-one-stream.mjs";
import { row as b } from "./b-many-streams.mjs";
import { row as c } from "./c-long-prompt-joins.mjs";
import { row as curve } from "./curve.mjs";
import { row as d } from "./d-cancel.mjs";
import { row as e } from "./e-prefixes.mjs";
import { row as f } from "./f-stalled-readers.mjs";
import { row as g } from "./g-cold-start.mjs";
import { row as h } from "./h-main-thread.mjs";
import { row as i } from "./i-guessing-ahead.mjs";
import { row as j } from "./j-zse-files.mjs";
import { row as k } from "./k-tool-arguments.mjs";
import { row as l } from "./l-schemas.mjs";
import { row as m } from "./m-prepare.mjs";
import { row as n } from "./n-hostile-prompts.mjs";
import { row as o } from "./o-texts-beside.mjs";
import { row as p } from "./p-hybrid-turns.mjs";
import { row as q } from "./q-busy-machine.mjs";
import { row as r } from "./r-draft-model.mjs";

export const rows = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, curve];
