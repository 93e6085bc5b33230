// Owns what a request over HTTP says of a reply and the library's call does not: the name that the client has for the model, and whether it wants the
// reply as it comes. Any thread.
//
// A stream's span begins within the call that opens it, so a variable is enough for the way there; nothing waits meanwhile.

export interface Asked {
  /** Undefined where the request named none. */
  model?: string | undefined;
  stream: boolean;
}

let asked: Asked | undefined;

/** What the stream is for that is opened now; undefined where the program opens it itself. */
export function askedNow(): Asked | undefined {
  return asked;
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
