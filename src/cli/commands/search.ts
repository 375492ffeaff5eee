/** mobileclip search */
import { type Command, Option } from "commander"
import { parseFilters } from "../../search/query/parse/parse-filters.ts"
import { type ParsedQuery, parseQuery, queryText } from "../../search/query/parse/parse-query.ts"
import { mostLimit, type SearchRequest, searchDefaults } from "../../search/query/search-request.ts"
import { SearchIndex } from "../../search/search-index.ts"
import { pictureModes } from "../../search/show/terminal/choose-protocol.ts"
import type { CommandContext } from "../context.ts"
import { number, progressOption, repeated, threadsOption, wholeNumber } from "../options.ts"
import { indexOption } from "../search/index-option.ts"
import { requireOneForm, type SearchCommand, writePage } from "../search/results.ts"

const more = `
Examples:
  mobileclip search a red car at night --index photos.index
  mobileclip search beach -people 2:dog --index photos.index          leads away from people, twice as much to dogs
  mobileclip search --like photos/cat.jpg --index photos.index        more like this
  mobileclip search ./sketch.png "in winter" --index photos.index     a picture and a text together
  mobileclip search dog --after 2023 --in photos/travel --index photos.index
  mobileclip search --date 2024-05-17 --index photos.index            filters alone: the newest first
  mobileclip search dog -0 --page-all --index photos.index | xargs -0 cp -t dogs
  mobileclip search --duplicates --sheet groups.html --index photos.index
  mobileclip search --duplicates --threshold 1 -0 --index photos.index | xargs -0 trash

A word that is a file is a picture: text:WORD is a text all the same, image:PATH (or @PATH) a picture of any name, like:PATH leaves
the picture itself out. -0 gives the matches of a page without weaker hits; --page-all takes all pages.

A cosine says little by itself; z is by how many standard deviations a score is above what this query has with other pictures, and
what other texts have with this one. Hits above the divider are matches; five weaker ones stand below it, or all of a page whose size
was given (--limit, --weak, --only-matches).
A query of pictures alone has no divider, and its hits are not judged. Where nothing matches the first line says so, and the exit
code is 0.
`

/** `-people` is a term, not an option. */
export { signedWords as optionWords } from "../../search/query/parse/signed-words.ts"

export function register(program: Command, context: CommandContext): void {
  program
    .command("search")
    .description("find pictures of an index by what is to be seen in them")
    .argument("[query...]", "words, one text; -WORD leads away from it; 2:WORD weighs; a picture's path, or like:PATH")
    .addOption(indexOption())
    .option("--plus <term>", "a term, as +TERM", repeated)
    .option("--minus <term>", "a term that is led away from, as -TERM", repeated)
    .option("--like <path>", "more like this picture, which is left out itself", repeated)
    .option("--after <time>", 'taken then or later: 2023, 2023-07-14, "3 weeks ago"')
    .option("--before <time>", "taken before it begins")
    .option("--date <time>", "taken within this day, month or year")
    .option("--in <dir>", "in this folder, or below it", repeated)
    .option("--name <pattern>", "file names: 'IMG_2*', '*.{jpg,heic}'", repeated)
    .option("--larger <size>", "at least 2MP, 1000x800 or 1MB", repeated)
    .option("--smaller <size>", "smaller than that", repeated)
    .option("--orientation <list>", "landscape, portrait, square")
    .option("--camera <text>", "a part of the camera's name", repeated)
    .option("--near <place>", "LAT,LON or LAT,LON,KM in degrees")
    .option("--format <list>", "jpg, png, webp, avif, tif, gif, heic")
    .option(
      "--words <weight>",
      "what words of paths and captions add, in standard deviations; 0: nothing",
      number(0, 20),
      searchDefaults.words,
    )
    .option("--limit <n>", "hits of a page", wholeNumber(1, mostLimit), searchDefaults.limit)
    .option("--cursor <text>", "the page after the one that ended with it")
    .option("--page-all", "all pages as one")
    .option("--only-matches", "without weaker hits")
    .option("--weak <n>", "weaker hits that a table shows (default: 5, or as many as --limit)", wholeNumber(0))
    .option(
      "--strictness <x>",
      "how far above chance matches begin (default: 1.5, and none for pictures)",
      number(-10, 10),
    )
    .option("--explain", "say what gave each score")
    .option("--duplicates", "in place of a query: groups of pictures that are the same, or nearly")
    .option("--threshold <cosine>", "of duplicates; 1: the same bytes alone (default: 0.96)", number(0, 1))
    .option("--json", "print one JSON object")
    .option("-0, --print0", "print paths of matches, a NUL after each; of duplicates, all but the best")
    .option("--sheet <file>", "write a contact sheet: .png, .jpg, .webp or .html")
    .addOption(new Option("--pictures [mode]", "show pictures in the terminal").choices(pictureModes).preset("auto"))
    .option("--model <model>", "where the index's model is now: its weights must be the same")
    .addOption(threadsOption())
    .addOption(progressOption())
    .addHelpText("after", more)
    .action((words: string[], options: SearchCommand, command: Command) => run(words, options, command, context))
}

async function run(words: readonly string[], given: SearchCommand, command: Command, context: CommandContext) {
  const output = command.configureOutput()
  const say = (line: string) => output.writeErr?.(`${line}\n`)
  requireOneForm(given)
  requireTogether(words, given, command)
  if (given.duplicates) {
    const { writeDuplicates } = await import("../search/duplicates.ts")
    return writeDuplicates(given, { ...output, ...context }, say)
  }
  const query = queryOf(words, given)
  for (const note of query.notes) say(note)
  const { index: folder, model, threads } = given
  // Whoever names a number of hits wants to see them.
  const weak = given.weak ?? (command.getOptionValueSource("limit") === "cli" ? given.limit : undefined)
  await using index = await SearchIndex.open(folder, { model, threads, once: true, onStage: say })
  await writePages(index, query, { ...given, ...(weak !== undefined && { weak }) }, { ...output, ...context }, say)
}

/** What a query takes, and groups of duplicates do not. */
const ofQueries = [
  ...["plus", "minus", "like", "words", "limit", "cursor", "pageAll", "onlyMatches", "weak", "strictness", "explain"],
  "pictures",
]

/** An option that would change nothing is an error: without a word a person would take it for done. */
function requireTogether(words: readonly string[], { duplicates, threshold }: SearchCommand, command: Command): void {
  if (!duplicates && threshold !== undefined) command.error("error: --threshold is of --duplicates")
  if (!duplicates) return
  const given = ofQueries.find((name) => command.getOptionValueSource(name) === "cli")
  const option = command.options.find((each) => each.attributeName() === given)?.long
  if (words.length > 0 || option !== undefined)
    command.error(`error: --duplicates is in place of a query${option ? `, and ${option} is of one` : ""}`)
}

/** No terms where there are filters alone: the pictures that pass them are listed. */
function queryOf(words: readonly string[], given: SearchCommand): ParsedQuery {
  const { plus, minus, like } = given
  const isList = words.length === 0 && !plus && !minus && !like && Object.keys(parseFilters(given)).length > 0
  if (isList) return { terms: [], notes: [] }
  return parseQuery({ words, ...(plus && { plus }), ...(minus && { minus }), ...(like && { like }) })
}

async function writePages(
  index: SearchIndex,
  { terms }: ParsedQuery,
  given: SearchCommand,
  to: Parameters<typeof writePage>[3],
  say: (line: string) => void,
): Promise<void> {
  const { limit, words, onlyMatches, explain, strictness, pageAll, cursor = null, sheet } = given
  if (sheet !== undefined) await (await import("../../search/show/write-sheet.ts")).prepareSheet(sheet)
  const filters = parseFilters(given)
  const request: SearchRequest = { terms, filters, limit, words, onlyMatches, explain, strictness, cursor }
  const page = pageAll ? await index.searchAll(request) : await index.search(request)
  await writePage(page, terms.length > 0 ? queryText(terms) : "the newest first", given, to, say)
}
