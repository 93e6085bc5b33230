// Owns showing a reply's text: its blocks as elements. Runs in a page. Nothing is ever put into the page as HTML: what a reply says in HTML is shown as the
// text it is, images are links, and a link leads out of the page.

import type { Token, Tokens } from "marked";
import type { ComponentChildren, VNode } from "preact";
import { Pure } from "../parts/pure.js";
import type { Block } from "./blocks.js";
import { safeLink, withoutEntities } from "./links.js";
import { Listing } from "./listing.js";
import { useBlocks } from "./use-blocks.js";

/** Blocks that are compared as one when the text grows. */
const GROUP = 32;
/** Elements in each other; what is deeper is shown as it was written. */
const DEEPEST = 24;

/** `isGrowing`: more of it is on its way. */
export function Markdown({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  const all = useBlocks(text, isGrowing);
  const groups: VNode[] = [];
  for (let at = 0; at < all.length; at += GROUP) groups.push(<Group key={at} blocks={all.slice(at, at + GROUP)} />);
  return <div class="markdown">{groups}</div>;
}

class Group extends Pure<{ blocks: readonly Block[] }> {
  /** The same blocks are the same group, whatever array they come in. */
  override shouldComponentUpdate({ blocks }: { blocks: readonly Block[] }): boolean {
    return blocks.length !== this.props.blocks.length || blocks.some((one, i) => one !== this.props.blocks[i]);
  }

  render() {
    return (
      <div class="group">
        {this.props.blocks.map((block, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: blocks keep their places
          <Shown key={i} block={block} />
        ))}
      </div>
    );
  }
}

class Shown extends Pure<{ block: Block }> {
  render() {
    const { block } = this.props;
    if (block.kind === "code") return <Listing {...block} />;
    if (block.kind === "plain") return <p class="plain">{block.text}</p>;
    return <>{shown(block.tokens, 0)}</>;
  }
}

function shown(tokens: readonly Token[] | undefined, depth: number): ComponentChildren {
  return tokens?.map((token) => (depth > DEEPEST ? token.raw : element(token as Known, depth + 1)));
}

type Known =
  | Tokens.Blockquote
  | Tokens.Br
  | Tokens.Checkbox
  | Tokens.Code
  | Tokens.Codespan
  | Tokens.Def
  | Tokens.Del
  | Tokens.Em
  | Tokens.Escape
  | Tokens.Heading
  | Tokens.Hr
  | Tokens.HTML
  | Tokens.Image
  | Tokens.Link
  | Tokens.List
  | Tokens.ListItem
  | Tokens.Paragraph
  | Tokens.Space
  | Tokens.Strong
  | Tokens.Table
  | Tokens.Text;

function element(token: Known, depth: number): ComponentChildren {
  const inner = () => shown((token as { tokens?: Token[] }).tokens, depth);
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "paragraph":
      return <p>{inner()}</p>;
    case "text":
      return token.tokens === undefined ? withoutEntities(token.text) : inner();
    case "escape":
      return token.text;
    case "strong":
      return <strong>{inner()}</strong>;
    case "em":
      return <em>{inner()}</em>;
    case "del":
      return <del>{inner()}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "hr":
      return <hr />;
    case "heading":
      return heading(token.depth, inner());
    case "blockquote":
      return <blockquote>{inner()}</blockquote>;
    case "code":
      return <Listing language={token.lang?.split(/\s/)[0]?.toLowerCase() ?? ""} chunks={[token.text]} open={false} />;
    case "list":
      return list(token, depth);
    case "checkbox":
      return <input type="checkbox" checked={token.checked} disabled aria-label={token.checked ? "done" : "to do"} />;
    case "table":
      return table(token, depth);
    case "link":
      return link(token.href, inner());
    case "image":
      return link(token.href, `Image: ${token.text === "" ? token.href : token.text}`);
    case "html":
      return /^<br\s*\/?>$/i.test(token.raw.trim()) ? <br /> : token.block ? <p class="plain">{token.raw.trimEnd()}</p> : token.raw;
    default:
      return (token as Token).raw;
  }
}

/** Those of a reply stand below those of the page. */
function heading(depth: number, inner: ComponentChildren) {
  if (depth === 1) return <h3>{inner}</h3>;
  if (depth === 2) return <h4>{inner}</h4>;
  return depth === 3 ? <h5>{inner}</h5> : <h6>{inner}</h6>;
}

function link(href: string, inner: ComponentChildren) {
  const address = safeLink(href);
  if (address === undefined) return <span class="dead">{inner}</span>;
  return (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow" title={address}>
      {inner}
    </a>
  );
}

function list({ ordered, start, items }: Tokens.List, depth: number) {
  const inner = items.map((item, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: items keep their places
    <li key={i} class={item.task ? "task" : undefined}>
      {shown(item.tokens, depth)}
    </li>
  ));
  return ordered ? <ol start={Number(start) || 0}>{inner}</ol> : <ul>{inner}</ul>;
}

function table({ align, header, rows }: Tokens.Table, depth: number) {
  const cells = (Cell: "th" | "td", row: readonly Tokens.TableCell[]) =>
    row.map(({ tokens }, i) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: cells keep their places
      <Cell key={i} class={align[i] ?? undefined}>
        {shown(tokens, depth)}
      </Cell>
    ));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <section class="table" tabIndex={0} aria-label="Table">
      <table>
        <thead>
          <tr>{cells("th", header)}</tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows keep their places
            <tr key={i}>{cells("td", row)}</tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
