// Owns the two turns that every coding agent is asked for: a text, and its own tool that runs a command.

export const SAYS_HI = { what: "a turn of text", prompt: "say hi", part: { text: "Good morning!" }, says: /Good morning!/, requests: 3 };

/** @param tool what the agent calls its shell; @param args what makes it run `echo hello` */
export function runsEcho(tool, args) {
  return {
    what: `a turn in which ${tool} runs echo hello`,
    prompt: "run echo hello",
    part: { tool, args, text: "It printed hello." },
    says: /It printed hello\./,
    requests: 4,
  };
}
