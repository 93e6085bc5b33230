// Owns which models `zse serve` is told to serve: files, folders of them, and names for them. Main thread.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { quote } from "../base/quote.js";
import { ZSEError } from "../errors.js";
import { UsageError } from "./report.js";

/** One model, which is opened at once, or several, each of which is opened when it is asked for. */
export type NamedModels = { path: string | undefined; name: string | undefined } | { several: Record<string, NamedModel> };

export interface NamedModel {
  path: string;
  aliases: string[];
}

/** A name before a path. */
const NAMED = /^([^=/\\]+)=(.+)$/s;
/** Parts of a model that is in several files. */
const PART = /-(\d{5})-of-\d{5}$/;

/**
 * Each argument is a file, a folder of files, or `name=file`; a file that is named twice has the second name as an alias. A file without a name has
 * its own.
 * @throws UsageError, and ZSEError MODEL_NOT_FOUND for what is not there
 */
export function readModels(given: readonly string[]): NamedModels {
  const [first, ...more] = given;
  if (more.length === 0 && (first === undefined || !isFolder(first))) {
    const { name, path } = first === undefined ? { name: undefined, path: undefined } : readNamed(first);
    return { path, name };
  }
  const models: (NamedModel & { name: string })[] = [];
  for (const { path, name } of given.flatMap(filesOf)) {
    const own = name ?? nameOf(path);
    const taken = models.find((one) => one.name === own || one.aliases.includes(own));
    const same = models.find((one) => resolve(one.path) === resolve(path));
    if (same !== undefined && (name === undefined || taken === same)) continue;
    if (taken !== undefined) throw twice(own, taken.path, path);
    if (same === undefined) models.push({ name: own, path, aliases: [] });
    else same.aliases.push(own);
  }
  return { several: Object.fromEntries(models.map(({ name, path, aliases }) => [name, { path, aliases }])) };
}

function filesOf(given: string): { path: string; name: string | undefined }[] {
  if (!isFolder(given)) {
    const { name, path } = readNamed(given);
    if (existsSync(path)) return [{ name, path }];
    throw new ZSEError("MODEL_NOT_FOUND", `There is no model file ${quote(path)}.`);
  }
  const names = readdirSync(given).filter((file) => /\.(gguf|zse)$/i.test(file) && isModel(stem(file)));
  const files = names.sort().map((file) => join(given, file));
  if (files.length > 0) return files.filter((path) => !isFolder(path)).map((path) => ({ path, name: undefined }));
  throw new UsageError(`there is no .gguf or .zse file in the folder ${quote(given)}; name one that has some, or a file.`);
}

/** Not a later part of one, nor what belongs to one and is none by itself. */
function isModel(stem: string): boolean {
  return Number(PART.exec(stem)?.[1] ?? 1) === 1 && !/^mmproj/i.test(stem);
}

/** A file may have the sign in its name. */
function readNamed(given: string): { name: string | undefined; path: string } {
  const [, name, path] = existsSync(given) ? [] : (NAMED.exec(given) ?? []);
  return path === undefined ? { name: undefined, path: given } : { name, path };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** qwen-7b for models/qwen-7b-00001-of-00003.gguf. */
function nameOf(path: string): string {
  return stem(basename(path)).replace(PART, "");
}

function stem(file: string): string {
  return file.replace(/\.(gguf|zse)$/i, "");
}

function twice(name: string, one: string, other: string): UsageError {
  const files = `${quote(one)} and ${quote(other)}`;
  return new UsageError(`two models would have the name ${quote(name)}: ${files}; give one of them another, as in: other=FILE`);
}
