/**
 * The cleaning of texts (`core/text/clean-text.ts`) as the normalizer of a tokenizer.json, for transformers.js and the
 * library `tokenizers`. The format replaces patterns by fixed texts, one after the other: what looks at a text as a whole,
 * or computes a character, is left out (`tokenizerFacts`). Every step takes time with every text, so names of characters
 * are those of HTML 4 (all steps: 0.2 ms measured in transformers.js; HTML 5 has eight times as many names).
 * `tokenizers` makes every capital sigma the same small one, which at the end of a word is another in Python and JavaScript.
 */
import { encode } from "html-entities"
import { invisible, replacements, terminalEscape } from "../core/text/fix-text.ts"
import { unescapeHtml, unescapePlainHtml } from "../core/text/html-entities.ts"

/** What a manifest says of the tokenizer: the texts for which its tokens can be others than the reference's. */
export const tokenizerFacts = {
  reference: "open_clip 3.3.0 with ftfy 6.3.1",
  differs: [
    "mojibake: text that was read in another encoding than it was written in is not repaired",
    "character references by a name that HTML 4 does not have",
    "character references by a number above 159 of a character that HTML 4 has no name for",
    "texts of more tokens than fit: transformers.js cuts off the end of text, too, which is to be the last token",
  ],
}

export function normalizer() {
  const steps = [
    ...referencesBeforeHtml(),
    ...groupsOf(replacements, (characters) => `[${characters.filter((key) => key.length === 1).join("")}]`),
    replace(terminalEscape.source, ""),
    replace(invisible.source, ""),
    { type: "NFC" },
    ...referencesAnywhere(),
    replace("\\s+", " "),
    { type: "Lowercase" },
  ]
  return { type: "Sequence", normalizers: steps }
}

function replace(pattern: string, content: string) {
  return { type: "Replace", pattern: { Regex: pattern }, content }
}

/** One replacement for all that become the same. */
function groupsOf(pairs: Iterable<readonly [string, string]>, pattern: (keys: readonly string[]) => string) {
  const groups = new Map<string, string[]>()
  for (const [key, content] of pairs) groups.set(content, [...(groups.get(content) ?? []), key])
  return [...groups].map(([content, keys]) => replace(pattern(keys), content))
}

/** What stands between the ampersand and the semicolon, as a pattern, and what it means. */
type Reference = readonly [pattern: string, meaning: string]

const html4Names = Array.from({ length: 0x2700 }, (_, code) => String.fromCharCode(code))
  .map((character) => encode(character, { level: "html4", mode: "extensive" }))
  .filter((entity) => /^&[a-zA-Z]/.test(entity))
  .map((entity) => entity.slice(1, -1))

const named = [...new Set([...html4Names, ...html4Names.map((name) => name.toUpperCase())])]
  .map((name): Reference => [name, unescapePlainHtml(`&${name};`)])
  .filter(([name, meaning]) => meaning !== `&${name};`)

/** Names in capitals that only ftfy reads. */
const capitals = named.filter(([name]) => unescapeHtml(`&${name};`) === `&${name};`)
const names = named.filter((reference) => !capitals.includes(reference))

const codes = [...Array.from({ length: 0xa0 }, (_, code) => code), ...names.map(([, meaning]) => meaning.charCodeAt(0))]
const numbers = [...new Set(codes)].flatMap((code): Reference[] => {
  const hex = code.toString(16).replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)
  const meaning = unescapeHtml(`&#${code};`)
  return [
    [`#0*${code}(?![0-9])`, meaning],
    [`#[xX]0*${hex}(?![0-9a-fA-F])`, meaning],
  ]
})

const references = [...names, ...numbers].filter(([, meaning]) => meaning !== "&")
const ampersands = [...names, ...numbers].filter(([, meaning]) => meaning === "&").map(([pattern]) => pattern)

/** In place of an ampersand with no "<" before it or on its line, and of one that is not to begin a reference. */
const free = "\ufdd0"
const settled = "\ufdd1"

/**
 * What ftfy resolves before all else, where there is no "<". Most can wait for the next; not so characters that have a
 * plainer form, names in capitals, and ampersands, however often they were escaped.
 */
function referencesBeforeHtml() {
  const replaced = references.filter(([, meaning]) => replacements.has(meaning))
  return [
    replace("&(?<!<[\\s\\S]*)(?![^\\n<]*<)", free),
    replace(`${free}(?:(?:${ampersands.join("|")});)+`, free),
    ...groupsOf([...replaced, ...capitals], (patterns) => `${free}(?:${patterns.join("|")});`),
    replace(free, "&"),
  ]
}

/** All others: what is resolved twice, and some names without a semicolon, unless they begin a longer one. */
function referencesAnywhere() {
  const ended = references.map(([pattern, meaning]) => [`${pattern};${numbered(pattern)}`, meaning] as const)
  const open = references.filter(([name, meaning]) => unescapeHtml(`&${name}`) === meaning)
  const longestFirst = open.sort(([a], [b]) => b.length - a.length)
  const ampersand = ampersands.join("|")
  return [
    replace(`&(?:(?:${ampersand});?){2}`, settled),
    replace(`&(?:${ampersand});?`, "&"),
    ...groupsOf(ended, (patterns) => `&(?:${patterns.join("|")})`),
    ...groupsOf(longestFirst, (patterns) => `&(?:${patterns.join("|")})`),
    replace(settled, "&"),
  ]
}

/** After a number the semicolon may be missing. */
function numbered(pattern: string): string {
  return pattern.startsWith("#") ? "?" : ""
}
