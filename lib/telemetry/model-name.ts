// Owns what a model is called in what is told of it. Pure; any thread.

/** What is known of the model when a span begins, and when it ends. */
export interface NamedModel {
  readonly info?: { readonly name: string } | undefined;
  readonly path: string;
}

/** The name in its file; until that is read, the file's own. */
export function nameOf({ info, path }: NamedModel): string {
  return info?.name ?? path.replace(/^.*[\\/]/, "");
}
