import { type FormEvent, useEffect, useRef, useState } from "react";
import { useChatStream } from "zstream/react";

const SUGGESTIONS = ["Tell me a story about a fox", "Count from 1 to 9 in words", "Say hello in Japanese."];

export function App() {
  // With an id, the chat survives a reload, and so does the reply that is on its way.
  const { messages, status, error, figures, send, stop, retry, setMessages } = useChatStream({ url: "/v1/chat/completions", id: "main" });
  const [draft, setDraft] = useState("");
  const end = useRef<HTMLDivElement>(null);
  const running = status === "waiting" || status === "streaming";

  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [messages]);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (draft.trim() === "" || running) return;
    setDraft("");
    send(draft);
  }

  return (
    <main>
      <header>
        <h1>
          <span className="mark" aria-hidden="true" />
          zStream
        </h1>
        <p>A local model, token by token.</p>
      </header>

      <section className="conversation" aria-live="polite">
        {messages.length === 0 && (
          <div className="suggestions">
            {SUGGESTIONS.map((text) => (
              <button key={text} type="button" onClick={() => send(text)}>
                {text}
              </button>
            ))}
          </div>
        )}
        {messages.map(({ id, role, content }) => (
          <article key={id} className={role}>
            {content}
            {status === "streaming" && id === messages.at(-1)?.id && <span className="caret" />}
          </article>
        ))}
        {status === "waiting" && (
          <article className="assistant">
            <span className="caret" />
          </article>
        )}
        {status === "stopped" && <p className="problem">Stopped.</p>}
        {error && (
          <p className="problem">
            {error.message} <button type="button" onClick={retry}>Try again</button>
          </p>
        )}
        <div ref={end} />
      </section>

      <footer>
        <form onSubmit={submit}>
          <input value={draft} onChange={(event) => setDraft(event.target.value)} placeholder="Say something" aria-label="Message" />
          {running ? (
            <button type="button" className="stop" onClick={stop}>
              Stop
            </button>
          ) : (
            <button type="submit" disabled={draft.trim() === ""}>
              Send
            </button>
          )}
        </form>
        <dl className="stats">
          <Figure name="first token" value={figures?.firstTokenMs && `${figures.firstTokenMs.toFixed(0)} ms`} />
          <Figure name="speed" value={figures?.tokensPerSecond && `${figures.tokensPerSecond.toFixed(0)} tokens/s`} />
          <Figure name="reply" value={figures?.usage && `${figures.usage.completionTokens} tokens`} />
          <Figure name="prompt" value={figures?.usage && promptOf(figures.usage)} />
          <Figure name="ended by" value={figures?.finishReason} />
          {messages.length > 0 && (
            <button type="button" className="new" onClick={() => setMessages([])}>
              New chat
            </button>
          )}
        </dl>
      </footer>
    </main>
  );
}

function promptOf({ promptTokens, cachedTokens }: { promptTokens: number; cachedTokens: number }) {
  return `${promptTokens} tokens${cachedTokens ? `, ${cachedTokens} cached` : ""}`;
}

function Figure({ name, value }: { name: string; value: string | number | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value ?? "–"}</dd>
    </div>
  );
}
