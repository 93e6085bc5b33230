// Reads a chat stream: the text as it comes, then its statistics.

export interface Message {
  role: "user" | "assistant";
  content: string;
}

export interface Stats {
  firstTokenMs: number;
  tokens: number;
  tokensPerSecond: number;
  promptTokens: number;
  cachedTokens: number;
  finishReason: string;
}

interface Chunk {
  error?: { message: string };
  choices: { delta: { content?: string }; finish_reason: string | null }[];
  usage?: { prompt_tokens: number; completion_tokens: number; prompt_tokens_details?: { cached_tokens: number } };
}

/** Calls `onText` with each piece of the reply. Rejects when the server says that something went wrong, or with an AbortError. */
export async function streamChat(messages: Message[], onText: (text: string) => void, signal: AbortSignal): Promise<Stats> {
  const began = performance.now();
  let first: number | undefined;
  const stats: Stats = { firstTokenMs: 0, tokens: 0, tokensPerSecond: 0, promptTokens: 0, cachedTokens: 0, finishReason: "" };

  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages, stream: true }),
    signal,
  });
  if (!response.ok) throw new Error((await response.json().catch(() => undefined))?.error?.message ?? `HTTP ${response.status}`);

  for await (const data of events(response.body!)) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new Error(chunk.error.message);
    const choice = chunk.choices[0];
    if (choice?.delta.content) {
      first ??= performance.now();
      onText(choice.delta.content);
    }
    if (choice?.finish_reason) stats.finishReason = choice.finish_reason;
    if (chunk.usage) {
      stats.tokens = chunk.usage.completion_tokens;
      stats.promptTokens = chunk.usage.prompt_tokens;
      stats.cachedTokens = chunk.usage.prompt_tokens_details?.cached_tokens ?? 0;
    }
  }
  if (first !== undefined) {
    stats.firstTokenMs = first - began;
    stats.tokensPerSecond = (stats.tokens - 1) / Math.max(0.001, (performance.now() - first) / 1000);
  }
  return stats;
}

/** The data of each event. A network read may end anywhere, even inside a character. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
