// Owns colouring code: which languages are known, and a listing as a tree of words and their classes. Runs in a page.

import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import kotlin from "highlight.js/lib/languages/kotlin";
import markdown from "highlight.js/lib/languages/markdown";
import php from "highlight.js/lib/languages/php";
import python from "highlight.js/lib/languages/python";
import ruby from "highlight.js/lib/languages/ruby";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import swift from "highlight.js/lib/languages/swift";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { createLowlight } from "lowlight";

const lowlight = createLowlight({
  bash,
  c,
  cpp,
  csharp,
  css,
  diff,
  go,
  ini,
  java,
  javascript,
  json,
  kotlin,
  markdown,
  php,
  python,
  ruby,
  rust,
  sql,
  swift,
  typescript,
  xml,
  yaml,
});
// What models write for them beside the names that highlight.js knows.
lowlight.registerAlias({ bash: ["shell", "console", "shellsession", "sh-session"], ini: ["env", "conf"], typescript: ["vue", "svelte"] });

/** Text, or a part of it with a class of highlight.js's. */
export type Word = string | { class: string; inner: readonly Word[] };

/** Characters of a line, and of words without anything between them. What is longer is data, or an attack: many of highlight.js's expressions take the square. */
const LONGEST_LINE = 400;
const LONGEST_RUN = 400;
/** Colouring (ms) that takes too long, and how often a language may: it is plain from then on. */
const SLOW_MS = 150;
const MOST_SLOW = 3;
const slow = new Map<string, number>();

/** The same text in words; one word where the language is not known, or the text must not be coloured. */
export function wordsOf(language: string, text: string): readonly Word[] {
  const times = slow.get(language) ?? 0;
  if (!lowlight.registered(language) || times >= MOST_SLOW || !isCode(text)) return [text];
  const began = performance.now();
  try {
    return lowlight.highlight(language, text).children.flatMap((node) => wordOf(node));
  } catch {
    return [text];
  } finally {
    if (performance.now() - began > SLOW_MS) slow.set(language, times + 1);
  }
}

function isCode(text: string): boolean {
  return text.split("\n").every((line) => line.length <= LONGEST_LINE) && text.split(/[^\w\s]+/).every((run) => run.length <= LONGEST_RUN);
}

type Node = ReturnType<typeof lowlight.highlight>["children"][number];

function wordOf(node: Node): readonly Word[] {
  if (node.type === "text") return [node.value];
  if (node.type !== "element") return [];
  const names = node.properties.className;
  return [{ class: Array.isArray(names) ? names.join(" ") : "", inner: node.children.flatMap((one) => wordOf(one as Node)) }];
}
