import { type FormEvent, useEffect, useRef, useState } from "react";
import { type Message, type Stats, streamChat } from "./stream";

const SUGGESTIONS = ["Tell me a story about a fox", "Count from 1 to 9 in words", "Say hello in Japanese."];

export function App() {
  const [messages, setMessages] = useState<Message[]>([]);
  const [draft, setDraft] = useState("");
  const [stats, setStats] = useState<Stats>();
  const [problem, setProblem] = useState("");
  const [running, setRunning] = useState<AbortController>();
  const end = useRef<HTMLDivElement>(null);

  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [messages]);

  async function send(content: string) {
    if (content.trim() === "" || running) return;
    const asked: Message[] = [...messages, { role: "user", content }];
    const controller = new AbortController();
    setDraft("");
    setProblem("");
    setStats(undefined);
    setRunning(controller);
    setMessages([...asked, { role: "assistant", content: "" }]);
    let reply = "";
    const onText = (text: string) => {
      reply += text;
      setMessages([...asked, { role: "assistant", content: reply }]);
    };
    try {
      setStats(await streamChat(asked, onText, controller.signal));
    } catch (error) {
      if (controller.signal.aborted) setProblem("Stopped.");
      else setProblem((error as Error).message);
    } finally {
      setRunning(undefined);
    }
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    void send(draft);
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
              <button key={text} type="button" onClick={() => void send(text)}>
                {text}
              </button>
            ))}
          </div>
        )}
        {messages.map(({ role, content }, index) => (
          // biome-ignore lint: messages are only ever added at the end
          <article key={index} className={role}>
            {content}
            {running && index === messages.length - 1 && <span className="caret" />}
          </article>
        ))}
        {problem !== "" && <p className="problem">{problem}</p>}
        <div ref={end} />
      </section>

      <footer>
        <form onSubmit={submit}>
          <input value={draft} onChange={(event) => setDraft(event.target.value)} placeholder="Say something" aria-label="Message" />
          {running ? (
            <button type="button" className="stop" onClick={() => running.abort()}>
              Stop
            </button>
          ) : (
            <button type="submit" disabled={draft.trim() === ""}>
              Send
            </button>
          )}
        </form>
        <dl className="stats">
          <Figure name="first token" value={stats && `${stats.firstTokenMs.toFixed(0)} ms`} />
          <Figure name="speed" value={stats && `${stats.tokensPerSecond.toFixed(0)} tokens/s`} />
          <Figure name="reply" value={stats && `${stats.tokens} tokens`} />
          <Figure name="prompt" value={stats && `${stats.promptTokens} tokens${stats.cachedTokens ? `, ${stats.cachedTokens} cached` : ""}`} />
          <Figure name="ended by" value={stats?.finishReason} />
        </dl>
      </footer>
    </main>
  );
}

function Figure({ name, value }: { name: string; value: string | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value ?? "–"}</dd>
    </div>
  );
}
