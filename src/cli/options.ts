/** Parsers and options that several commands share. A parser throws what commander prints as wrong usage. */
import { InvalidArgumentError, Option } from "commander"
import { truncatedChoices } from "../host/image/picture-format.ts"
import { PROGRESS_MODES } from "./progress.ts"

/** Whole numbers in [low, high]: `.option("--steps <n>", "...", wholeNumber(1))`. */
export function wholeNumber(low: number, high = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= low && value <= high) return value
    throw new InvalidArgumentError(`expected a whole number ${rangeText(low, high)}`)
  }
}

/** Numbers in [low, high], in any of JavaScript's decimal notations (0.001, 1e-3). */
export function number(low: number, high = Number.MAX_VALUE): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text)
    if (value >= low && value <= high) return value
    throw new InvalidArgumentError(`expected a number ${rangeText(low, high)}`)
  }
}

/** The values of an option that may be given several times. */
export function repeated(text: string, before: readonly string[] = []): string[] {
  return [...before, text]
}

export function progressOption(): Option {
  return new Option("--progress <mode>", "how progress is shown on stderr; auto is a bar on a terminal, else lines")
    .choices(PROGRESS_MODES)
    .default("auto")
}

/** @param what is counted: "stop when more pictures than this had to be left out" */
export function maxFailuresOption(what: string): Option {
  return new Option("--max-failures <n>", what).argParser(wholeNumber(0)).default(Number.POSITIVE_INFINITY, "no limit")
}

/** @param what for: "of a worker's models (default: all, shared out)" */
export function threadsOption(what = "(default: all)"): Option {
  return new Option("--threads <n>", `processor threads ${what}`).argParser(wholeNumber(1))
}

export function truncatedOption(): Option {
  return new Option("--truncated <what>", "pictures that are cut off: take what is there, or refuse them")
    .choices(truncatedChoices)
    .default("accept")
}

export function verboseOption(
  what = "say what computes: libtorch, device, threads, and the kernels of matrix products with their reason",
): Option {
  return new Option("--verbose", what)
}

function rangeText(low: number, high: number): string {
  return high >= Number.MAX_SAFE_INTEGER ? `from ${low} on` : `from ${low} to ${high}`
}

/** The words of a command line that are `options` with their values ("--nproc 2", "--nproc=2"), and the others, in order. */
export function splitWords(argv: readonly string[], options: readonly string[]): { named: string[]; others: string[] } {
  const isNamed = (word: string, i: number) =>
    options.includes(argv[i - 1] ?? "") || options.some((name) => word === name || word.startsWith(`${name}=`))
  return { named: argv.filter(isNamed), others: argv.filter((word, i) => !isNamed(word, i)) }
}
