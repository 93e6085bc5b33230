// Owns what is asked of a text that may be JSON. Pure; any thread.

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
