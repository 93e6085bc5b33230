// Owns options that are read once it is known what else is asked: they keep the name that the caller wrote, for the errors' sake. Pure; any
// thread. The table of options has no more of them, so that whoever needs the table alone (zstream/sse) loads none of their readers.

/** A value under the name that the caller wrote: `toolChoice`, or `tool_choice`. */
export interface Named {
  name: string;
  value: unknown;
}

export function named(name: string, value: unknown): Named {
  return { name, value };
}
