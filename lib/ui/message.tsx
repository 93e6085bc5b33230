// Owns one message as it is shown, and what can be done with it. Runs in a page.

import { useState } from "preact/hooks";
import type { ChatMessage, ChatStore } from "../react/chat-store.js";
import type { Chats } from "./chats.js";
import { EditForm } from "./edit-form.js";
import { Figures } from "./figures.js";
import { Markdown } from "./markdown/markdown.js";
import { CopyButton } from "./parts/copy-button.js";
import { Icon } from "./parts/icons.js";
import { Pure } from "./parts/pure.js";
import { Thought } from "./thought.js";
import { ToolCalls } from "./tool-calls.js";

export interface MessageProps {
  message: ChatMessage;
  /** More of it is on its way. */
  isGrowing: boolean;
  isLast: boolean;
  /** Nothing is on its way in this conversation. */
  isIdle: boolean;
  chat: ChatStore;
  chats: Chats;
}

/** Characters of what was said that are shown at first. */
const LONG = 3000;

/** Those that stay as they are need not be drawn again when another one grows. */
export class Message extends Pure<MessageProps> {
  render() {
    const { message } = this.props;
    if (message.role === "assistant") return <Reply {...this.props} />;
    if (message.role === "tool") return <Result {...this.props} />;
    return <Said {...this.props} />;
  }
}

function Said({ message, isIdle, chat, chats }: MessageProps) {
  const [isEdited, setIsEdited] = useState(false);
  const { id, content } = message;
  if (isEdited) {
    return (
      <EditForm
        text={content}
        onCancel={() => setIsEdited(false)}
        onSend={(said) => {
          setIsEdited(false);
          chats.edit(chat, id, said);
        }}
      />
    );
  }
  return (
    <article class="said" aria-label="You">
      <Bubble text={content} />
      <div class="actions">
        <CopyButton text={() => content} what="Copy message" />
        {isIdle && (
          <button type="button" class="quiet small" aria-label="Edit message" title="Edit" onClick={() => setIsEdited(true)}>
            <Icon name="edit" />
          </button>
        )}
      </div>
    </article>
  );
}

/** What was pasted may be a book: its beginning, and the rest when it is asked for. */
function Bubble({ text }: { text: string }) {
  const [isWhole, setIsWhole] = useState(text.length <= LONG);
  return (
    <div class="bubble">
      {isWhole ? text : `${text.slice(0, LONG).trimEnd()}… `}
      {!isWhole && (
        <button type="button" class="small" onClick={() => setIsWhole(true)}>
          Show all
        </button>
      )}
    </div>
  );
}

function Reply({ message, isGrowing, isLast, isIdle, chat }: MessageProps) {
  const { content, reasoning, toolCalls, figures } = message;
  return (
    <article class={isGrowing ? "reply growing" : "reply"} aria-label="Reply" aria-busy={isGrowing}>
      {reasoning !== undefined && <Thought text={reasoning} isGrowing={isGrowing && content === "" && toolCalls === undefined} />}
      {content !== "" && <Markdown text={content} isGrowing={isGrowing} />}
      {toolCalls !== undefined && <ToolCalls calls={toolCalls} isGrowing={isGrowing} />}
      {!isGrowing && (
        <div class="actions">
          {content !== "" && <CopyButton text={() => content} what="Copy reply" />}
          {isLast && isIdle && (
            <button type="button" class="quiet small" aria-label="Regenerate" title="Regenerate" onClick={() => chat.retry()}>
              <Icon name="again" />
            </button>
          )}
          {figures !== undefined && <Figures figures={figures} />}
        </div>
      )}
    </article>
  );
}

function Result({ message }: MessageProps) {
  return (
    <article class="result" aria-label="Result of a tool">
      <details>
        <summary>
          <Icon name="tool" /> Result
        </summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
        <pre tabIndex={0}>{message.content}</pre>
      </details>
    </article>
  );
}
