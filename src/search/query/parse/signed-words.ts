/**
 * A command line in which `-people` may be a term of a query. A parser of options would take such words for options, so they are
 * rewritten to `--minus=people` before it reads them. What is an option, or was meant to be one, stays or is refused.
 */
import { quoted, UserError } from "../../../core/errors.ts"

/** An option as its parser knows it. */
export interface KnownOption {
  /** "--index" */
  readonly long?: string | undefined
  /** "-k" */
  readonly short?: string | undefined
  /** Whether a value must follow. */
  readonly required: boolean
}

/**
 * The words with `--minus=TEXT` for each `-TEXT`. Words after `--`, values of options, known short options and single letters (a
 * mistyped short option) stay as they are.
 *
 * @throws UserError for `-json` where there is an option `--json`: it may be either
 */
export function signedWords(argv: readonly string[], options: readonly KnownOption[]): string[] {
  const words: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!
    if (word === "--") return [...words, ...argv.slice(i)]
    const option = options.find(({ long, short }) => word === long || word === short)
    if (option?.required && i + 1 < argv.length) words.push(word, argv[++i]!)
    else words.push(option === undefined && isNegative(word, options) ? `--minus=${word.slice(1)}` : word)
  }
  return words
}

function isNegative(word: string, options: readonly KnownOption[]): boolean {
  if (!/^-[^-]/.test(word) || /^-[A-Za-z]$/.test(word)) return false
  const glued = options.find(({ short }) => short !== undefined && word.startsWith(short))
  if (glued?.required && /^-.=?\d+$/.test(word)) return false
  requireNotOption(word, options)
  return true
}

function requireNotOption(word: string, options: readonly KnownOption[]): void {
  const [name, value] = [word.split("=", 1)[0]!, word.slice(1)]
  if (!options.some(({ long }) => long === `-${name}`)) return
  throw new UserError(
    `${quoted(word)} may be the option -${name} or a text to subtract`,
    `write -${word} for the option, --minus ${value} for the text`,
  )
}
