/** Words of commands that are printed for people to copy: whatever a folder or a class is called, a shell takes it for a word. */
import { printable } from "./printable.ts"

/** Letters and what no shell gives a meaning; zsh replaces a word that begins with "=". */
const plain = /^(?!=)[\p{L}\p{N}\p{M}_@%+=:,./-]+$/u

/**
 * The word as a POSIX shell reads it: as it is where it is plain, else in single quotes. What must not reach a terminal is
 * an escape in `$'...'`, which bash and zsh read, and which is one word in every shell.
 */
export function shellQuote(word: string): string {
  if (plain.test(word)) return word
  if (printable(word) === word) return `'${word.replaceAll("'", "'\\''")}'`
  return `$'${printable(word.replaceAll("\\", "\\\\")).replaceAll("'", "\\x27")}'`
}

/** A command of these words. */
export function commandLine(words: readonly string[]): string {
  return words.map(shellQuote).join(" ")
}
