// Owns what a request over HTTP says of a reply and the library's call does not: the name that the client has for the model, and whether it wants the
// reply as it comes. Any thread.
//
// A span begins within the call that opens a stream, or asks for vectors, so a variable is enough for the way there; nothing waits meanwhile.

export interface Asked {
  /** Undefined where the request named none. */
  model?: string | undefined;
  stream: boolean;
}

/** Characters of a name that are told: it may be anything. */
const LONGEST_NAME = 256;

let asked: Asked | undefined;

/** What the stream is for that is opened now; undefined where the program opens it itself. */
export function askedNow(): Asked | undefined {
  return asked;
}

/** The client's name of the model, for spans alone: metrics keep each value that they hear. */
export function askedName(): string | undefined {
  return asked?.model?.slice(0, LONGEST_NAME);
}

/** @param run is synchronous */
export function whileAsked<Value>(request: Asked | undefined, run: () => Value): Value {
  const before = asked;
  asked = request;
  try {
    return run();
  } finally {
    asked = before;
  }
}
