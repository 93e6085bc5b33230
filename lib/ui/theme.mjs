// Owns the colours that the page has before anything else of it has been loaded: chosen ones would come with a flash of the others. Runs in a page, as it
// stands here. settings.ts owns the choice.

try {
  const { theme } = JSON.parse(localStorage.getItem("zstream:choices") ?? "{}");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Nothing was chosen, or it cannot be read: as the system has it.
}
