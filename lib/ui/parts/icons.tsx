// Owns the page's drawings. They mean nothing to a screen reader: the buttons around them have names.

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  plus: "M12 5v14M5 12h14",
  settings: "M4 8h9m5 0h2M4 16h2m5 0h9M15.5 5.5v5M8.5 13.5v5",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M4.6 4.6 6 6M18 18l1.4 1.4M2.5 12h2M19.5 12h2M4.6 19.4 6 18M18 6l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  send: "M12 19V5M6 11l6-6 6 6",
  copy: "M9 9h10v11H9zM15 9V5H5v11h4",
  done: "M5 12.5l4.5 4.5L19 7.5",
  again: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.4M20 4.5v4.9h-4.9",
  edit: "M4 20h4L19.5 8.5l-4-4L4 16zM13 7l4 4",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  down: "M12 5v14M6 13l6 6 6-6",
  close: "M6 6l12 12M18 6 6 18",
  thought: "M9.5 20h5M10 17h4M12 3.5a6 6 0 0 0-3.6 10.8c.9.7 1.6 1.5 1.6 2.7h4c0-1.2.7-2 1.6-2.7A6 6 0 0 0 12 3.5z",
  tool: "M14.5 6.5a4 4 0 0 1 5-1L17 8l1 2 2 .5 1-3a4.5 4.5 0 0 1-6 5.5L8 20a2.1 2.1 0 0 1-3-3l7-7a4.5 4.5 0 0 1 2.5-3.5z",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS | "stop" }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {name === "stop" ? <rect x="7" y="7" width="10" height="10" rx="2" fill="currentColor" stroke="none" /> : <path d={PATHS[name]} />}
    </svg>
  );
}

/** The mark of the page. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="ground" d="M16 3a13 13 0 1 1 0 26H4a1 1 0 0 1-1-1V16A13 13 0 0 1 16 3z" />
      <path class="letter" d="M11 11h10L11 21h10" />
    </svg>
  );
}
