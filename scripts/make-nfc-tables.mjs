// Owns the tables of native/tokenize/nfc.cpp and the cases of its test, both taken from the Unicode library that Node brings:
// `node scripts/make-nfc-tables.mjs` writes native/tokenize/nfc_tables.h and test/fixtures/nfc.txt. Run it for a new Unicode version.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";

const LAST = 0x10ffff;
const unicode = process.versions.unicode;
const text = (...points) => String.fromCodePoint(...points);
const points = (string) => [...string].map((char) => char.codePointAt(0));
const hex = (point) => `0x${point.toString(16)}`;

function* all() {
  for (let point = 0x80; point <= LAST; point++) {
    const isHangulSyllable = point >= 0xac00 && point <= 0xd7a3; // by arithmetic
    const isSurrogate = point >= 0xd800 && point <= 0xdfff;
    if (!isHangulSyllable && !isSurrogate) yield point;
  }
}

// JavaScript does not tell combining classes, but how they compare: canonical order puts marks of a lower class first. So a class is a
// rank here. U+0334 has the lowest of all classes (1), U+0345 the highest (240).
const comesBefore = (a, b) => text(b, a).normalize("NFD") !== text(b, a) && text(a, b).normalize("NFD") === text(a, b);
const isMark = (point) =>
  text(point).normalize("NFD") === text(point) && (comesBefore(0x334, point) || comesBefore(point, 0x345) || point === 0x334);

/** Marks with combining classes other than 0, as [point, rank from 1 on]. */
function ranks() {
  const known = []; // one of each class, lowest first
  const classOf = new Map();
  for (const point of all()) {
    if (!isMark(point)) continue;
    let low = 0;
    let high = known.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comesBefore(known[middle], point)) low = middle + 1;
      else high = middle;
    }
    if (low === known.length || comesBefore(point, known[low])) known.splice(low, 0, point);
    classOf.set(point, known[low]);
  }
  return [...classOf].map(([point, of]) => [point, known.indexOf(of) + 1]);
}

/** One step of each canonical decomposition; the second is 0 where there is only one. */
function decompositions() {
  const steps = [];
  const byParts = new Map(); // a code point that comes apart into these
  for (const point of all()) {
    const parts = text(point).normalize("NFD");
    if (parts !== text(point)) byParts.set(parts, point);
  }
  for (const point of all()) {
    const parts = points(text(point).normalize("NFD"));
    if (parts.length === 1 && parts[0] === point) continue;
    const composed = points(text(point).normalize("NFC"));
    const isComposite = composed.length === 1 && composed[0] === point;
    if (parts.length === 1) {
      steps.push({ point, first: parts[0], second: 0, isComposite: false });
    } else if (parts.length === 2) {
      steps.push({ point, first: parts[0], second: parts[1], isComposite });
    } else {
      const rest = text(...parts.slice(0, -1));
      const composedRest = points(rest.normalize("NFC"));
      const first = composedRest.length === 1 ? composedRest[0] : byParts.get(rest);
      if (first === undefined) throw new Error(`${hex(point)} has no pair`);
      steps.push({ point, first, second: parts.at(-1), isComposite });
    }
  }
  return steps;
}

const classes = ranks();
const steps = decompositions();
const composites = steps.filter(({ isComposite }) => isComposite);
const replaced = steps.filter(({ isComposite }) => !isComposite).map(({ point }) => point);

// Code points that may compose with what is before them, by themselves or by what they begin with.
const backward = new Set(composites.map(({ second }) => second));
for (let vowel = 0x1161; vowel <= 0x1175; vowel++) backward.add(vowel);
for (let final = 0x11a8; final <= 0x11c2; final++) backward.add(final);
for (const { point } of steps) if (backward.has(points(text(point).normalize("NFD"))[0])) backward.add(point);

const active = new Set([...classes.map(([point]) => point), ...replaced, ...backward]);

/** [first, last, value] of runs of neighbours with the same value. */
function ranges(pairs) {
  const found = [];
  for (const [point, value] of [...pairs].sort(([a], [b]) => a - b)) {
    const open = found.at(-1);
    if (open && open[1] + 1 === point && open[2] === value) open[1] = point;
    else found.push([point, point, value]);
  }
  return found;
}

function table(declaration, entries) {
  const lines = [];
  let line = "   ";
  for (const entry of entries) {
    if (line.length + entry.length + 2 > 128) {
      lines.push(line);
      line = "   ";
    }
    line += ` ${entry},`;
  }
  return `${declaration} = {\n${[...lines, line].join("\n")}\n};\n`;
}

const classRanges = ranges(classes);
// Three columns instead of rows: half of the source.
const order = steps
  .map((step, index) => ({ ...step, index }))
  .filter(({ isComposite }) => isComposite)
  .sort((a, b) => a.first - b.first || a.second - b.second);
const pages = Array.from({ length: Math.ceil((LAST + 1) / 256 / 64) }, () => 0n);
for (const point of active) pages[point >> 14] |= 1n << BigInt((point >> 8) & 63);

const header = `// Made by scripts/make-nfc-tables.mjs from Unicode ${unicode}: tables of nfc.cpp. Not for other files.
// clang-format off
#pragma once

#include <cstdint>

namespace zse::nfc_tables {

struct Range { uint32_t first, last; };
struct ClassRange { uint32_t first, last; uint8_t rank; };
struct Step { uint32_t point, first, second; };

constexpr const char* kUnicodeVersion = "${unicode}";

/** Combining classes other than 0, by rank: only their order matters. */
constexpr unsigned kRanks = ${Math.max(...classes.map(([, rank]) => rank)) + 1};
${table(
  "constexpr ClassRange kClasses[]",
  classRanges.map(([first, last, rank]) => `{${hex(first)},${hex(last)},${rank}}`),
)}
/** One step of each canonical decomposition but Hangul's; the second is 0 where there is none. */
${table(
  "constexpr Step kSteps[]",
  steps.map(({ point, first, second }) => `{${hex(point)},${hex(first)},${second === 0 ? 0 : hex(second)}}`),
)}
/** Those of kSteps that are composed again, in the order of their two parts. */
${table(
  "constexpr uint16_t kComposites[]",
  order.map(({ index }) => `${index}`),
)}
/** What may compose with what is before it. */
${table(
  "constexpr Range kBackward[]",
  ranges([...backward].map((point) => [point, 1])).map(([first, last]) => `{${hex(first)},${hex(last)}}`),
)}
/** A bit for each 256 code points: whether any of them is in kClasses, kBackward, or in kSteps and not composed again. */
${table(
  "constexpr uint64_t kActivePages[]",
  pages.map((bits) => `0x${bits.toString(16)}`),
)}
}  // namespace zse::nfc_tables
`;
writeFileSync(join(root, "native/tokenize/nfc_tables.h"), header);

// ---- cases of the test -------------------------------------------------------------------------------------------------

let state = 12345;
function below(limit) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0; // the same cases each time
  return Math.floor((state / 2 ** 32) * limit);
}
const pick = (from) => from[below(from.length)];

const marks = classes.map(([point]) => point);
const starters = [
  0x41, 0x65, 0x6f, 0x75, 0x3b1, 0x3b9, 0x915, 0x1100, 0x1112, 0xac00, 0xac01, 0x4e00, 0x1f600, 0x2126, 0xf900, 0x1025, 0x1d157,
];
const pools = [
  marks,
  [0x301, 0x316, 0x327, 0x328, 0x345, 0x334, 0x308, 0x304, 0x30b],
  starters,
  steps.map(({ point }) => point),
  [...backward],
];
const cases = steps.map(({ point }) => [point]);
for (const { first, second } of steps) if (second !== 0) cases.push([first, second], [first, 0x323, second]);
for (let i = 0; i < 1200; i++) cases.push(Array.from({ length: 1 + below(12) }, () => pick(pick(pools))));
for (let i = 0; i < 60; i++) {
  const syllable = 0xac00 + below(11172);
  cases.push([syllable, 0x11a8 + below(27)], points(text(syllable).normalize("NFD")), [
    0x1100 + below(19),
    0x1161 + below(21),
    0x301,
    0x11a8,
  ]);
}
const word = (list) => list.map((point) => point.toString(16)).join(" ");
// What does not change is written once.
const written = cases.map((list) => {
  const normal = points(text(...list).normalize("NFC"));
  return word(normal) === word(list) ? word(list) : `${word(list)};${word(normal)}`;
});
const note = `# Made by scripts/make-nfc-tables.mjs from Unicode ${unicode}: code points in hexadecimal; their NFC form where it differs.`;
writeFileSync(join(root, "test/fixtures/nfc.txt"), `${[note, ...new Set(written)].join("\n")}\n`);
console.log(
  `Unicode ${unicode}: ${classRanges.length} ranges of classes, ${steps.length} decompositions, ${composites.length} composites, ${written.length} cases`,
);
