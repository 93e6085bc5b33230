// Owns components that are drawn again only when something that they are given has changed. Runs in a page.

import { Component } from "preact";

export abstract class Pure<Props extends object, State = object> extends Component<Props, State> {
  override shouldComponentUpdate(props: Readonly<Props>, state: Readonly<State>): boolean {
    return differ(this.props, props) || differ(this.state as object, state as object);
  }
}

function differ(before: object, now: object): boolean {
  const keys = Object.keys(now);
  return (
    keys.length !== Object.keys(before).length ||
    keys.some((key) => (before as Record<string, unknown>)[key] !== (now as Record<string, unknown>)[key])
  );
}
