/**
 * Whether calibrated scores know when nothing matches. A class of pictures is left out of an index, and asked for: each picture
 * above the divider is a false accept. The same queries with one picture, 1 %, 10 % or half of the index of that class: no
 * picture of it above the divider is a miss. Queries about nothing in the pictures must find nothing in either. Scores are
 * cosines alone, as a search has them with `--words 0`.
 *
 *     npm run build && node dist/bench/search-calibration.js MODEL DIR [--draws 3] [--json]
 *
 * DIR has a folder for each class (CIFAR-10's test pictures, with other names of its classes as further queries), or is
 * `scenes`: pictures of one object, rendered, whose classes are its colours. Thresholds of all methods are tuned on every
 * second class and query, and counted on the others; the calibrated one is also shown with the strictness that is the default for texts,
 * and by what a first page of 20 shows. Then each generic caption is looked for among all pictures, by a background without it.
 */
import { createHash } from "node:crypto"
import { parseArgs } from "node:util"
import { spacedPercent, textTable } from "../src/cli/table.ts"
import { Random } from "../src/core/arrays/random.ts"
import { cosines } from "../src/core/arrays/similarity.ts"
import { otherNames } from "../src/experiments/cifar10/classes.ts"
import { MobileCLIP } from "../src/index.ts"
import { mostBackgroundPictures } from "../src/search/calibrate/background.ts"
import { calibrationOf, defaultStrictness } from "../src/search/calibrate/calibration.ts"
import { backgroundPrompts } from "../src/search/calibrate/prompts.ts"
import { TopHits } from "../src/search/scan/top-hits.ts"
import { type ClassPictures, classPictures } from "./search/class-pictures.ts"

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { draws: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
})
const [modelFolder, folder] = positionals
if (modelFolder === undefined || folder === undefined) throw new Error("MODEL and DIR, or scenes, were expected")
const draws = Number(options.draws)

const sizes = [10, 100, 1000, 9000] as const
const shares = { "1 picture": 0, "1 %": 0.01, "10 %": 0.1, "50 %": 0.5 } as const
const methods = ["cosine", "logit against a photo", "z over the index", "calibrated"] as const
type Method = (typeof methods)[number]

/** The calibrated strength from which a picture is above the divider, for all kinds here. */
const divider = defaultStrictness.text

/** Texts of what is not in the pictures. No word of them is in a caption of the background, from which the divider is learnt. */
const nonsense = [
  ...["blorp quantel vix", "xqzt", "asdf jkl", "lorem ipsum dolor", "zzz zzz zzz", "grelfinch obbar", "hjkl qwerty"],
  ...["mathematics", "the quarterly report", "stock prices", "quantum theory", "inflation", "democracy", "jealousy"],
  ...["grammar", "an insurance policy", "a tax declaration", "philosophy", "homework", "gossip", "gravity", "patience"],
  ...["a hammock", "an anvil", "a corkscrew", "a trampoline", "a saxophone", "a harp", "a wheelbarrow", "a stapler"],
  ...["a sewing needle", "a pocket calculator", "a dentist's drill", "a stethoscope", "a crutch", "a wok", "a teapot"],
  ...["a whisk", "a thermos flask", "spaghetti and meatballs", "a croissant", "pancakes with maple syrup", "popcorn"],
  ...["a jar of honey", "pickled cucumbers", "an octopus", "a jellyfish", "a coral reef", "an igloo", "a windmill"],
  ...["an escalator", "a barber shaving a customer", "a judge in court", "a referee with a whistle", "a karate belt"],
  ...["an archer's bow", "bowling pins", "a billiard cue", "ballet slippers", "a fencing duel", "a magician's trick"],
  ...[
    "a clown's nose",
    "a plumber below a sink",
    "a hairdresser",
    "an astronaut",
    "a mermaid",
    "a vampire",
    "a dragon",
  ],
  ...["a toaster", "a blender", "a microwave oven", "a dishwasher", "a vacuum cleaner", "a spiral notebook", "sudoku"],
  ...["dominoes", "a chandelier", "perfume", "lipstick", "a wig", "a moustache", "dentures", "a bow tie"],
  ...["a kimono", "a turban", "a lasagne recipe", "happy new year", "my grandmother", "a dentist", "seven"],
]

const smallWords = new Set("a an and as at for from in its of on s the to with".split(" "))

/** Without a plural's s. */
function wordsOf(text: string): string[] {
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? []
  return words.filter((word) => !smallWords.has(word)).map((word) => word.replace(/s$/, ""))
}

const captionWords = new Set(backgroundPrompts.flatMap(wordsOf))
const near = nonsense.filter((text) => wordsOf(text).some((word) => captionWords.has(word)))
if (near.length > 0) throw new Error(`these are near captions of the background: ${near.join(", ")}`)

// ------------------------------------------------------------------------------------------------------------ data

interface Query {
  readonly text: string
  /** -1: of no class. */
  readonly label: number
  readonly vector: Float32Array
  readonly kind: "text" | "picture"
}

interface Data {
  readonly dim: number
  readonly classNames: readonly string[]
  readonly vectors: Float32Array
  readonly labels: readonly number[]
  readonly hashes: readonly string[]
  readonly queries: readonly Query[]
  readonly prompts: Float32Array
  readonly aPhoto: Float32Array
  readonly logitScale: number
}

/** Pictures of each class that are queries and in no index. */
const pictureQueries = 6

async function load(): Promise<Data> {
  await using clip = await MobileCLIP.load(modelFolder!)
  const given = classPictures(folder!)
  const { rows, queries } = await encodePictures(clip, given)
  const vectors = new Float32Array(rows.length * clip.embedDim)
  rows.forEach(({ vector }, i) => {
    vectors.set(vector, i * clip.embedDim)
  })
  return {
    ...{ dim: clip.embedDim, classNames: given.classNames, vectors },
    ...{ labels: rows.map(({ label }) => label), hashes: rows.map(({ hash }) => hash) },
    queries: [...queries, ...(await encodeTexts(clip, given))],
    prompts: await clip.encodeTexts(backgroundPrompts),
    aPhoto: await clip.encodeText("a photo"),
    logitScale: clip.logitScale ?? 100,
  }
}

interface Row {
  readonly label: number
  readonly hash: string
  readonly vector: Float32Array
}

/** The first pictures of each class are queries, the others rows. */
async function encodePictures(clip: MobileCLIP, { classNames, pictures }: ClassPictures) {
  const [rows, queries]: [Row[], Query[]] = [[], []]
  const taken = classNames.map(() => 0)
  for await (const { bytes, label } of pictures) {
    const vector = await clip.encodeImage(bytes)
    const number = taken[label]!++
    const hash = createHash("sha256").update(bytes).digest("hex")
    if (number >= pictureQueries) rows.push({ label, hash, vector })
    else queries.push({ text: `picture ${number} of ${classNames[label]}`, label, vector, kind: "picture" })
  }
  return { rows, queries }
}

async function encodeTexts(clip: MobileCLIP, { classNames, phrasings, otherPhrasings }: ClassPictures) {
  const named = classNames.flatMap((name, label) =>
    [...phrasings(name), ...otherPhrasings(name)].map((text) => ({ text, label })),
  )
  const queries: Query[] = []
  for (const { text, label } of [...named, ...nonsense.map((text) => ({ text, label: -1 }))])
    queries.push({ text, label, vector: await clip.encodeText(text), kind: "text" })
  return queries
}

// -------------------------------------------------------------------------------------------------------- searches

interface Index {
  readonly rows: readonly number[]
  readonly pictures: Float32Array
  readonly background: { readonly dim: number; readonly prompts: Float32Array; readonly pictures: Float32Array }
  /** Cosines with "a photo". */
  readonly aPhoto: Float32Array
}

interface Search {
  readonly size: number
  readonly share: string
  readonly query: Query
  readonly tune: boolean
  /** Strength of every picture by each method, and which pictures are matches. */
  readonly strengths: Readonly<Record<Method, Float64Array>>
  readonly relevant: readonly boolean[]
}

function* searches(data: Data): Generator<Search> {
  for (const [label] of data.classNames.entries())
    for (const [place, wanted] of sizes.entries())
      for (let draw = 0; draw < (wanted > 1000 ? 1 : draws); draw++) yield* searchesOfDraw(data, label, place, draw)
}

/** In indexes without pictures of the class, and with several shares of them. */
function* searchesOfDraw(data: Data, label: number, place: number, draw: number): Generator<Search> {
  const random = Random.of(1, "calibration", label, place, draw)
  const [own, others] = [true, false].map((is) =>
    shuffled(
      [...data.labels.keys()].filter((row) => (data.labels[row] === label) === is),
      random,
    ),
  ) as [number[], number[]]
  const size = sizeOf(place, others.length)
  if (size === null) return
  yield* searchesOf(data, indexOf(data, others.slice(0, size)), label, size, "none")
  for (const [count, share] of countsOf(size, own.length)) {
    const rows = [...others.slice(0, size - count), ...own.slice(0, count)]
    yield* searchesOf(data, indexOf(data, rows), label, size, share)
  }
}

/** Null where so few pictures make an index that is measured already. */
function sizeOf(place: number, most: number): number | null {
  const wanted = sizes[place]!
  if (most >= wanted) return wanted
  // Classes differ a little in size, and should share a line of the table.
  const size = Math.floor(most / 100) * 100
  return size <= (sizes[place - 1] ?? 0) ? null : size
}

/** How many pictures of the class are in an index, with the share's name; each number once. */
function countsOf(size: number, most: number): Map<number, string> {
  const counts = new Map<number, string>()
  for (const [share, part] of Object.entries(shares)) {
    const count = Math.max(1, Math.round(part * size))
    if (count <= most && !counts.has(count)) counts.set(count, share)
  }
  return counts
}

function indexOf({ dim, vectors, hashes, prompts, aPhoto }: Data, rows: readonly number[]): Index {
  const take = (some: readonly number[]) => {
    const taken = new Float32Array(some.length * dim)
    some.forEach((row, i) => {
      taken.set(vectors.subarray(row * dim, (row + 1) * dim), i * dim)
    })
    return taken
  }
  const chosen = backgroundSample(rows.map((row) => ({ row, hash: hashes[row]! })))
  const pictures = take(rows)
  const background = { dim, prompts, pictures: take(chosen.map(({ row }) => row)) }
  return { rows, pictures, background, aPhoto: cosines(aPhoto, pictures, dim) }
}

/** As an index chooses them. */
function backgroundSample<Row extends { readonly hash: string }>(rows: Row[]): Row[] {
  return rows.sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0)).slice(0, mostBackgroundPictures)
}

function* searchesOf(data: Data, index: Index, label: number, size: number, share: string): Generator<Search> {
  const relevant = index.rows.map((row) => data.labels[row] === label)
  for (const [number, query] of data.queries.entries()) {
    if (query.label !== label && query.label !== -1) continue
    // Nonsense is looked for by halves, and only in indexes of its own half of the classes.
    if (query.label === -1 && number % 2 !== label % 2) continue
    yield { size, share, query, tune: label % 2 === 0, relevant, strengths: strengthsOf(data, index, query) }
  }
}

function strengthsOf({ dim, logitScale }: Data, index: Index, query: Query): Search["strengths"] {
  const scores = cosines(query.vector, index.pictures, dim)
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
  const deviation = Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / scores.length) || 1
  const [at0, at1] = [0, 1].map((strictness) =>
    calibrationOf(query.vector, query.kind, index.background, scores.length, { strictness }),
  ) as [ReturnType<typeof calibrationOf>, ReturnType<typeof calibrationOf>]
  const unit = at1.threshold - at0.threshold
  const of = (strength: (score: number, i: number) => number) => Float64Array.from(scores, strength)
  return {
    cosine: of((score) => score),
    "logit against a photo": of((score, i) => logitScale * (score - index.aPhoto[i]!)),
    "z over the index": of((score) => (score - mean) / deviation),
    // The strictness at which a picture would be at the divider.
    calibrated: of(
      (score, i) => (at0.zOf(score, index.pictures.subarray(i * dim, (i + 1) * dim)) - at0.threshold) / unit,
    ),
  }
}

function shuffled<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.int(i + 1)
    ;[items[i], items[j]] = [items[j]!, items[i]!]
  }
  return items
}

// -------------------------------------------------------------------------------------------------------- counting

type Sort = "match" | "absent" | "nonsense"

/** What one search gives by each method: the best match and the best of all, and after tuning the pictures above the divider. */
interface Outcome {
  readonly size: number
  readonly share: string
  readonly kind: Query["kind"]
  readonly sort: Sort
  readonly tune: boolean
  readonly best: Readonly<Record<Method, number>>
  /** The same of the calibrated strength among the best cosines alone, as many as a page has. */
  readonly bestOfPage: number
  /** At the calibrated default: pictures above the divider that match, that do not, and matches in all. */
  readonly above: { readonly right: number; readonly wrong: number; readonly matches: number }
}

function outcomeOf({ size, share, query, tune, strengths, relevant }: Search): Outcome {
  const sort = query.label === -1 ? "nonsense" : share === "none" ? "absent" : "match"
  const counts = (i: number) => sort !== "match" || relevant[i]!
  const best = Object.fromEntries(
    methods.map((method) => [
      method,
      strengths[method].reduce((top, value, i) => (counts(i) && value > top ? value : top), Number.NEGATIVE_INFINITY),
    ]),
  ) as Record<Method, number>
  const bestOfPage = firstPage(strengths.cosine).reduce(
    (top, i) => (counts(i) ? Math.max(top, strengths.calibrated[i]!) : top),
    Number.NEGATIVE_INFINITY,
  )
  const above = { right: 0, wrong: 0, matches: 0 }
  strengths.calibrated.forEach((value, i) => {
    const isRight = sort !== "nonsense" && relevant[i]!
    if (isRight) above.matches++
    if (value > divider) above[isRight ? "right" : "wrong"]++
  })
  return { size, share, kind: query.kind, sort, tune, best, bestOfPage, above }
}

const pageLength = 20

/** The rows with the highest cosines. */
function firstPage(cosines: Float64Array): number[] {
  const top = new TopHits(pageLength)
  for (const [row, cosine] of cosines.entries()) top.offer(cosine, row)
  return [...top.hits().positions]
}

interface Count {
  readonly of: number
  readonly errors: number
}

/** Misses among matches, or false accepts among the others, at a threshold. */
function errorsAt(outcomes: readonly Outcome[], sort: Sort, method: Method, threshold: number): Count {
  const some = outcomes.filter((outcome) => outcome.sort === sort)
  const errors = some.filter(({ best }) => best[method] > threshold === (sort !== "match"))
  return { of: some.length, errors: errors.length }
}

const rate = ({ of, errors }: Count) => (of === 0 ? 0 : errors / of)

/** The mean of the misses' rate and the false accepts' rate, where absent classes and nonsense count alike. */
function balancedError(outcomes: readonly Outcome[], method: Method, threshold: number): number {
  const falseAccepts = (["absent", "nonsense"] as const)
    .filter((sort) => outcomes.some((outcome) => outcome.sort === sort))
    .map((sort) => rate(errorsAt(outcomes, sort, method, threshold)))
  const mean = falseAccepts.reduce((sum, value) => sum + value, 0) / falseAccepts.length
  return (rate(errorsAt(outcomes, "match", method, threshold)) + mean) / 2
}

/** The threshold with the least balanced error, of 200 between the lowest and the highest strength. */
function tuned(outcomes: readonly Outcome[], method: Method): number {
  const values = outcomes.map(({ best }) => best[method]).sort((a, b) => a - b)
  const candidates = Array.from({ length: 200 }, (_, i) => values[Math.floor((i * (values.length - 1)) / 199)]!)
  const errors = candidates.map((threshold) => balancedError(outcomes, method, threshold))
  return candidates[errors.indexOf(Math.min(...errors))]!
}

/** How often a search with a match has a stronger best match than one without has a best picture; 0.5 is chance. */
function areaUnderCurve(outcomes: readonly Outcome[], method: Method, sort: Sort): number {
  const values = (wanted: Sort) => outcomes.filter((outcome) => outcome.sort === wanted).map(({ best }) => best[method])
  const [good, bad] = [values("match"), values(sort).sort((a, b) => a - b)]
  const lower = good.map((value) => bad.filter((other) => other < value).length)
  return lower.reduce((sum, value) => sum + value, 0) / (good.length * bad.length)
}

// --------------------------------------------------------------------------------------------------------- report

const shown = ({ errors, of }: Count) => shownPart(errors, of)

function shownPart(part: number, whole: number): string {
  return whole === 0 ? "-" : `${part}/${whole} (${spacedPercent(part / whole, 0)})`
}

function bySetting(outcomes: readonly Outcome[]): Record<string, string>[] {
  const settings = [...new Set(outcomes.map(({ size, share }) => `${size}|${share}`))]
  return settings.map((setting) => {
    const some = outcomes.filter(({ size, share }) => `${size}|${share}` === setting)
    const [size, share] = setting.split("|") as [string, string]
    const at = (sort: Sort) => shown(errorsAt(some, sort, "calibrated", divider))
    const { right, wrong, matches } = picturesAbove(some.filter(({ sort }) => sort === "match"))
    return {
      pictures: Number(size).toLocaleString("en"),
      matches: share,
      misses: at("match"),
      "false accepts, absent": at("absent"),
      "false accepts, nonsense": at("nonsense"),
      precision: shownPart(right, right + wrong),
      recall: shownPart(right, matches),
    }
  })
}

function picturesAbove(outcomes: readonly Outcome[]): Outcome["above"] {
  const sum = (name: keyof Outcome["above"]) => outcomes.reduce((total, { above }) => total + above[name], 0)
  return { right: sum("right"), wrong: sum("wrong"), matches: sum("matches") }
}

function byMethod(all: readonly Outcome[]): Record<string, string>[] {
  const [tuning, held] = [true, false].map((tune) => all.filter((outcome) => outcome.tune === tune)) as [
    Outcome[],
    Outcome[],
  ]
  const row = (name: string, method: Method, threshold: number) => ({
    method: name,
    threshold: threshold.toFixed(3),
    misses: shown(errorsAt(held, "match", method, threshold)),
    "false accepts, absent": shown(errorsAt(held, "absent", method, threshold)),
    "false accepts, nonsense": shown(errorsAt(held, "nonsense", method, threshold)),
    "balanced error": spacedPercent(balancedError(held, method, threshold)),
    "area, absent": areaUnderCurve(held, method, "absent").toFixed(3),
    "area, nonsense": held.some(({ sort }) => sort === "nonsense")
      ? areaUnderCurve(held, method, "nonsense").toFixed(3)
      : "-",
  })
  return [
    ...methods.map((method) => row(`${method}, tuned`, method, tuned(tuning, method))),
    row(`calibrated, strictness ${divider}`, "calibrated", divider),
  ]
}

/** At the default, where a page's pictures alone are looked at. */
function onPage(held: readonly Outcome[]): Record<string, string>[] {
  const of = (sort: Sort) => {
    const some = held.filter((outcome) => outcome.sort === sort)
    return shownPart(some.filter(({ bestOfPage }) => bestOfPage > divider === (sort !== "match")).length, some.length)
  }
  return [{ misses: of("match"), "false accepts, absent": of("absent"), "false accepts, nonsense": of("nonsense") }]
}

/** Generic captions that name no class, with a picture above the divider among all pictures. */
function captions({ dim, vectors, hashes, prompts, classNames }: Data): Record<string, string>[] {
  const names = new Set([...classNames, ...classNames.flatMap(namesOfClass)].flatMap(wordsOf))
  const chosen = backgroundSample(hashes.map((hash, row) => ({ row, hash })))
  const rowAt = (row: number) => vectors.subarray(row * dim, (row + 1) * dim)
  const pictures = Float32Array.from(chosen.flatMap(({ row }) => [...rowAt(row)]))
  const found = backgroundPrompts.flatMap((text, number) => {
    if (wordsOf(text).some((word) => names.has(word))) return []
    const query = prompts.slice(number * dim, (number + 1) * dim)
    const others = prompts.slice()
    others.copyWithin(number * dim, (number + 1) * dim)
    const background = { dim, pictures, prompts: others.subarray(0, others.length - dim) }
    const { zOf, verdict } = calibrationOf(query, "text", background, hashes.length)
    const scores = cosines(query, vectors, dim)
    const isMatch = (row: number) => verdict(zOf(scores[row]!, rowAt(row))) === "match"
    return [[isMatch, firstPage(Float64Array.from(scores))] as const]
  })
  const anywhere = found.filter(([isMatch]) => hashes.some((_, row) => isMatch(row))).length
  const paged = found.filter(([isMatch, page]) => page.some(isMatch)).length
  return [{ "in all pictures": shownPart(anywhere, found.length), "on the first page": shownPart(paged, found.length) }]
}

function namesOfClass(name: string): readonly string[] {
  return (otherNames as Readonly<Record<string, readonly string[]>>)[name] ?? []
}

function tradeOff(held: readonly Outcome[]): Record<string, string>[] {
  return [-1, -0.5, 0, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4].map((strictness) => ({
    strictness: String(strictness),
    misses: shown(errorsAt(held, "match", "calibrated", strictness)),
    "false accepts, absent": shown(errorsAt(held, "absent", "calibrated", strictness)),
    "false accepts, nonsense": shown(errorsAt(held, "nonsense", "calibrated", strictness)),
  }))
}

function print(title: string, rows: readonly Record<string, string>[]): void {
  const names = Object.keys(rows[0] ?? {})
  const columns = names.map((name, i) => ({ title: name, align: i === 0 ? ("left" as const) : ("right" as const) }))
  console.log(
    `\n${title}\n${textTable(
      columns,
      rows.map((row) => names.map((name) => row[name]!)),
    )}`,
  )
}

const data = await load()
const outcomes: Outcome[] = []
for (const search of searches(data)) outcomes.push(outcomeOf(search))
const report = Object.fromEntries(
  (["text", "picture"] as const).map((kind) => {
    const all = outcomes.filter((outcome) => outcome.kind === kind)
    const held = all.filter(({ tune }) => !tune)
    return [
      kind,
      { bySetting: bySetting(held), byMethod: byMethod(all), onPage: onPage(held), tradeOff: tradeOff(held) },
    ]
  }),
)
const accepted = captions(data)
if (options.json) {
  console.log(
    JSON.stringify({ pictures: data.labels.length, classes: data.classNames, draws, report, accepted }, null, 2),
  )
} else {
  console.log(
    `${data.labels.length.toLocaleString("en")} pictures of ${data.classNames.length} classes; half of them tuned, counts of the other half`,
  )
  for (const [kind, { bySetting, byMethod, onPage, tradeOff }] of Object.entries(report)) {
    print(`${kind} queries, calibrated with strictness ${divider}, by index`, bySetting)
    print(`${kind} queries, all indexes together, thresholds tuned on the other half`, byMethod)
    print(`${kind} queries, at the default, among the ${pageLength} pictures of a first page`, onPage)
    print(`${kind} queries, misses and false accepts by strictness`, tradeOff)
  }
  print(
    "generic captions that name no class, each left out of its background, with a picture above the divider",
    accepted,
  )
}
