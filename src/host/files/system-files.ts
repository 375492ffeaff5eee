/** Files that systems leave in folders when people open them. They are not content: no folder is kept for them. */
const names = new Set([".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory"])

/** The Finder, the Explorer, Dolphin, and macOS's second half of a file on a disk that takes one half only. */
export function isSystemFile(name: string): boolean {
  return names.has(name.toLowerCase()) || name.startsWith("._")
}
