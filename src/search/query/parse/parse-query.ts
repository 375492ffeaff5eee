/**
 * The words of a query to its terms, which add up to one vector. A word is
 *
 *     [+ or -] [weight:] [text: | image: | @ | like: | file:] value
 *
 * so `-people`, `2:dog`, `-0.5:./sunset.jpg`, `like:beach.jpg`. All words that have no mark of their own are one text, in their
 * order, for people write `search red car`; a word with a sign, a weight or a prefix is a term by itself, and so is the path of a
 * picture. After a weight no digit may follow, so that 10:30 is a text.
 */
import { statSync } from "node:fs"
import { homedir } from "node:os"
import { join, resolve } from "node:path"
import { quoted, UserError } from "../../../core/errors.ts"
import { pathOfFileUrl } from "../../../host/files/file-url.ts"
import { isPictureName } from "../../../host/image/picture-folder.ts"

/** Weights are finite and not 0; negative ones lead away from the term. */
export type QueryTerm =
  | { readonly kind: "text"; readonly weight: number; readonly text: string }
  /** "like": more like this picture, which is left out itself; it may be in the index alone. Paths are absolute. */
  | { readonly kind: "picture" | "like"; readonly weight: number; readonly path: string }

export interface QueryWords {
  /** The arguments of the command line. */
  readonly words: readonly string[]
  /** Terms without a sign that are added, subtracted, or pictures that hits are to be like. */
  readonly plus?: readonly string[]
  readonly minus?: readonly string[]
  readonly like?: readonly string[]
}

export interface ParsedQuery {
  /** At least one weight is positive. The text of unmarked words comes first. */
  readonly terms: readonly QueryTerm[]
  /** What was perhaps meant otherwise, a line each. */
  readonly notes: readonly string[]
}

/** Where words that may be paths are looked up. */
export interface PathLookup {
  readonly folder: string
  isFile(path: string): boolean
}

const here: PathLookup = {
  get folder() {
    return process.cwd()
  },
  isFile: (path) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false,
}

/** Characters of a text: a model reads 77 tokens, so more of them are a mistake. */
const longestText = 2000
const mostTerms = 64

/**
 * For people who may read this machine's files: a word may name one. Texts of others are `{ kind: "text", weight: 1, text }`.
 *
 * @throws UserError for a word that is not a term, for no words, and where nothing is looked for
 */
export function parseQuery(query: QueryWords, lookup: PathLookup = here): ParsedQuery {
  const { words, plus = [], minus = [], like = [] } = query
  const [terms, loose, notes]: [QueryTerm[], string[], string[]] = [[], [], []]
  for (const word of words) {
    const term = parseWord(word, lookup)
    if (term === null) loose.push(word)
    else terms.push(term)
    notes.push(...signInside(word))
  }
  terms.push(...plus.map((value) => optionTerm(value, "--plus", 1, lookup)))
  terms.push(...minus.map((value) => optionTerm(value, "--minus", -1, lookup)))
  terms.push(...like.map((value) => pictureTerm("like", 1, requireValue(value, "--like"), lookup)))
  if (loose.length > 0) terms.unshift({ kind: "text", weight: 1, text: requireText(loose.join(" "), loose.join(" ")) })
  requireTerms(terms)
  return { terms, notes }
}

function requireTerms(terms: readonly QueryTerm[]): void {
  if (terms.length === 0)
    throw new UserError("the query is empty", "write what to look for, such as red car, or a picture's path")
  if (terms.length > mostTerms)
    throw new UserError(`the query has ${terms.length} terms, more than ${mostTerms}`, "leave some out")
  if (terms.every(({ weight }) => weight < 0))
    throw new UserError(
      `the query ${queryText(terms)} only says what is not looked for`,
      "add something to look for, such as photo -people",
    )
}

// ------------------------------------------------------------------------------------------------------ one word

/** Null for a word without a mark, which is a part of the text. */
function parseWord(word: string, lookup: PathLookup): QueryTerm | null {
  const sign = /^[+-]/.exec(word)?.[0]
  const rest = word.slice(sign?.length ?? 0)
  if (sign === undefined) {
    requireNoLongDash(word)
    return word.trim() === "" ? emptyWord(word) : (markedTerm(rest, 1, word, lookup) ?? barePicture(word, lookup))
  }
  requireAfterSign(rest, sign, word)
  return signedTerm(rest, sign === "-" ? -1 : 1, word, lookup)
}

/** The value of --plus or --minus: the option is its sign. */
function optionTerm(value: string, option: string, sign: number, lookup: PathLookup): QueryTerm {
  if (/^[+-]/.test(value))
    throw new UserError(`${option} ${quoted(value)} has two signs`, `write ${option} ${value.slice(1) || "TEXT"}`)
  return signedTerm(requireValue(value, option), sign, value, lookup)
}

function signedTerm(rest: string, sign: number, word: string, lookup: PathLookup): QueryTerm {
  const term = markedTerm(rest, sign, word, lookup) ?? barePicture(rest, lookup, sign)
  return term ?? { kind: "text", weight: sign, text: requireText(rest, word) }
}

/** A weight, a prefix, or both; null where there is neither. */
function markedTerm(rest: string, sign: number, word: string, lookup: PathLookup): QueryTerm | null {
  const weighted = /^(\d+\.?\d*|\.\d+):(?!\d)(.*)$/s.exec(rest)
  if (!weighted) {
    requireNoComma(rest, word)
    return prefixedTerm(rest, sign, word, lookup)
  }
  const [weight, value] = [requireWeight(weighted[1]!, word), weighted[2]!]
  if (/^[+-]/.test(value))
    throw new UserError(
      `${quoted(word)} has its sign after the weight`,
      `write ${value[0]}${weighted[1]}:${value.slice(1)}`,
    )
  const signed = sign * weight
  const term = prefixedTerm(value, signed, word, lookup) ?? barePicture(value, lookup, signed)
  return term ?? { kind: "text", weight: signed, text: requireText(value, word) }
}

function prefixedTerm(rest: string, weight: number, word: string, lookup: PathLookup): QueryTerm | null {
  const [, prefix, value] = /^(text:|image:|like:|@|(?=file:)|(?=https?:\/\/))(.*)$/is.exec(rest) ?? []
  if (value === undefined) return null
  switch (prefix!.toLowerCase()) {
    case "text:":
      return { kind: "text", weight, text: requireText(value, word) }
    case "like:":
      return pictureTerm("like", weight, requireValue(value, word), lookup)
    default:
      return existingPicture(requireValue(value, word), weight, word, lookup)
  }
}

/** A word that is the path of a picture, by its name, or by a separator in it; null for all others. */
function barePicture(word: string, lookup: PathLookup, weight = 1): QueryTerm | null {
  const isPlainName = isPictureName(word) && !/\s/.test(word)
  const isPath = /^(\.{0,2}|~)[\\/]|^[a-z]:[\\/]/i.test(word)
  const path = pathOf(word, lookup)
  if ((isPictureName(word) || /[\\/]/.test(word)) && lookup.isFile(path)) return { kind: "picture", weight, path }
  if (!isPlainName && !isPath) return null
  throw new UserError(
    `${quoted(word)} is written as a picture's path, and there is no such file`,
    `check the path; like:PATH takes one that is in the index alone, text:${word} is a text, and --name looks for names`,
  )
}

function existingPicture(value: string, weight: number, word: string, lookup: PathLookup): QueryTerm {
  const term = pictureTerm("picture", weight, value, lookup)
  if (lookup.isFile(term.path)) return term
  throw new UserError(
    `${quoted(word)} names a picture, and there is no file ${term.path}`,
    `check the path; write text:${value} where a text is meant`,
  )
}

function pictureTerm(kind: "picture" | "like", weight: number, value: string, lookup: PathLookup) {
  return { kind, weight, path: pathOf(value, lookup) } as const
}

/** Absolute. A shell replaces `~` only where a word begins with it. */
function pathOf(value: string, { folder }: PathLookup): string {
  if (/^https?:\/\//i.test(value))
    throw new UserError(`${value} is an address: pictures are not downloaded`, "download it first, and name the file")
  if (/^file:/i.test(value)) return pathOfFileUrl(value, quoted(value))
  return /^~[\\/]/.test(value) ? join(homedir(), value.slice(2)) : resolve(folder, value)
}

// ------------------------------------------------------------------------------------------------------ faults

function requireText(text: string, word: string): string {
  const plain = text.trim().replaceAll(/\s+/g, " ")
  if (plain === "") return emptyWord(word)
  if (plain.length > longestText)
    throw new UserError(
      `a text of ${plain.length} characters is more than ${longestText}`,
      "a model reads 77 tokens, about 60 words: keep what is to be seen in the picture",
    )
  return plain
}

function requireValue(value: string, word: string): string {
  return value.trim() === "" ? emptyWord(word) : value
}

function emptyWord(word: string): never {
  throw new UserError(`${quoted(word)} holds no text`, "write what to look for, or leave it out")
}

function requireWeight(text: string, word: string): number {
  const weight = Number(text)
  if (weight > 0 && weight <= 1000) return weight
  throw new UserError(`the weight of ${quoted(word)} is not from above 0 to 1000`, "a sign goes before it: -2:people")
}

function requireNoComma(rest: string, word: string): void {
  const [, whole, part] = /^(\d+),(\d+):(?!\d)/.exec(rest) ?? []
  if (whole !== undefined)
    throw new UserError(`the weight of ${quoted(word)} has a comma`, `write a point: ${whole}.${part}:...`)
}

function requireAfterSign(rest: string, sign: string, word: string): void {
  if (rest === "" || /^\s/.test(rest))
    throw new UserError(
      `${quoted(word)} is a sign without a text`,
      `write the sign directly before it: ${sign}people; more than one word in quotes`,
    )
  if (/^[+-]/.test(rest)) throw new UserError(`${quoted(word)} has two signs`, `write ${sign}${rest.slice(1)}`)
}

/** Word processors and phones write a long dash for a minus. */
function requireNoLongDash(word: string): void {
  if (/^[\u2012-\u2015\u2212](?=\S)/.test(word))
    throw new UserError(`${quoted(word)} begins with a long dash`, `write a hyphen: -${word.slice(1)}`)
}

/** A model does not understand "without" or a minus in a text. */
function signInside(word: string): string[] {
  const inside = /\S\s(-[^\s-]\S*)/.exec(word)?.[1]
  return inside === undefined
    ? []
    : [`${quoted(word)} is one text, ${inside} included; to subtract it, write it as a word of its own`]
}

// ------------------------------------------------------------------------------------------------------ as text

/** How a query was understood, for people: `"red car" + 2 x "dog" - picture sunset.jpg`. */
export function queryText(terms: readonly QueryTerm[]): string {
  return terms.map((term, i) => `${signText(term.weight, i)}${factorText(term.weight)}${nameOf(term)}`).join("")
}

function signText(weight: number, place: number): string {
  if (place === 0) return weight < 0 ? "-" : ""
  return weight < 0 ? " - " : " + "
}

function factorText(weight: number): string {
  const size = Math.abs(weight)
  return size === 1 ? "" : `${size} x `
}

function nameOf(term: QueryTerm): string {
  switch (term.kind) {
    case "text":
      return quoted(term.text)
    case "picture":
      return `picture ${quoted(term.path)}`
    case "like":
      return `like ${quoted(term.path)}`
    default:
      return term satisfies never
  }
}
