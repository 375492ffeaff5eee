/** One model: its groups of inputs through all contenders, cold starts, and memory. */
import { mkdtempSync } from "node:fs"
import { join } from "node:path"
import { type Cold, coldStarts } from "./cold.ts"
import type { Pictures, Texts } from "./inputs.ts"
import type { LibraryName } from "./open-library.ts"
import { inOwnProcess, inThisProcess, type Participant, type Task } from "./participant.ts"
import { type Agreement, agreementOf, bestOf, type Contender, type Entry, ownBatches, takeRounds } from "./rounds.ts"

/** Inputs of one kind through all contenders. */
export interface Group {
  readonly name: string
  readonly inputs: number
  readonly entries: readonly Entry[]
  /** Between ours in its own batches and the other library's best entry. */
  readonly agreement: Agreement
  /** The same two, each once in a process that did nothing else; empty for texts, and where all share one process. */
  readonly peakBytes: Readonly<Partial<Record<LibraryName, number>>>
}

export interface ModelRun {
  readonly model: string
  /** What each library is, and how it was set for this model. */
  readonly libraries: Readonly<Record<string, string>>
  readonly images: readonly Group[]
  readonly texts: readonly Group[]
  readonly cold: readonly Cold[]
}

export interface ModelOptions {
  readonly rounds: number
  /** Rounds of cold starts; 0: none. */
  readonly coldRounds: number
  /** All libraries in this process, whose threads then spin against each other. */
  readonly oneProcess: boolean
  readonly say: (line: string) => void
}

interface Surroundings {
  readonly options: ModelOptions
  readonly pictures: readonly Pictures[]
  readonly texts: readonly Texts[]
  /** For what is temporary. */
  readonly folder: string
}

/** The other library's batches: one after the other, and in two sizes, of which the better one counts. */
const theirBatches = [1, 8, 16] as const

const imageContenders: readonly Contender[] = [
  { library: "mobileclip", batch: null },
  ...theirBatches.map((batch) => ({ library: "transformers.js", batch }) as const),
  { library: "mobileclip", batch: 1 },
  ...([1, 8] as const).map((batch) => ({ library: "tower alone", batch }) as const),
  { library: "decode alone", batch: null },
]

const textContenders = imageContenders.filter(
  ({ library }) => library === "mobileclip" || library === "transformers.js",
)

/** @param directory of the model, in transformers.js' layout */
export async function measureModel(model: string, directory: string, given: Surroundings): Promise<ModelRun> {
  const { options, pictures, texts, folder } = given
  const subject = { model, directory, options }
  const [images, libraries] = await inTurn(
    subject,
    imageContenders,
    "files",
    pictures.map(({ size, files }) => [size.name, files]),
  )
  const [encodedTexts] = await inTurn(
    subject,
    textContenders,
    "texts",
    texts.map(({ name, texts }) => [name, texts]),
  )
  return {
    ...{ model, libraries, texts: encodedTexts },
    images: await withPeaks(images, subject, pictures),
    cold: await coldOf(subject, pictures[0]!.files[0]!, folder),
  }
}

async function coldOf(
  { model, directory, options: { coldRounds, say } }: Subject,
  picture: string,
  folder: string,
): Promise<Cold[]> {
  if (coldRounds === 0) return []
  say(`${model}: cold starts`)
  return coldStarts(directory, picture, mkdtempSync(join(folder, "cold-")), coldRounds)
}

interface Subject extends Pick<Surroundings, "options"> {
  readonly model: string
  readonly directory: string
}

/** Groups of inputs, with their names, through libraries that are open for all of them; and the libraries' descriptions. */
function inTurn(
  { model, directory, options }: Subject,
  contenders: readonly Contender[],
  what: Task["what"],
  groups: readonly (readonly [name: string, inputs: readonly string[]])[],
): Promise<[Group[], Record<string, string>]> {
  const { rounds, say } = options
  return withParticipants(contenders, directory, options, async (open) => {
    const found: Group[] = []
    for (const [name, inputs] of groups) {
      say(`${model}: ${inputs.length} ${what}, ${name}, ${rounds} rounds`)
      found.push(await measureGroup(name, contenders, open, { what, inputs }, rounds))
    }
    return [found, Object.fromEntries([...open].map(([name, { description }]) => [name, description]))]
  })
}

async function measureGroup(
  name: string,
  contenders: readonly Contender[],
  open: ReadonlyMap<LibraryName, Participant>,
  task: Omit<Task, "batch">,
  rounds: number,
): Promise<Group> {
  const { entries, vectors } = await takeRounds(contenders, open, task, rounds)
  const [ours, theirs] = [ownBatches(entries), bestOf(entries, "transformers.js")]
  const agreement = agreementOf(vectors.get(ours)!, vectors.get(theirs)!, open.get("mobileclip")!.embedDim)
  return { name, inputs: task.inputs.length, entries, agreement, peakBytes: {} }
}

/** What each library takes for all pictures of a size, in a new process that does nothing else. */
async function withPeaks(
  groups: readonly Group[],
  { directory, options }: Subject,
  pictures: readonly Pictures[],
): Promise<Group[]> {
  if (options.oneProcess) return [...groups]
  const found: Group[] = []
  for (const [i, group] of groups.entries()) {
    const peakBytes: Partial<Record<LibraryName, number>> = {}
    for (const { library: name, batch } of [ownBatches(group.entries), bestOf(group.entries, "transformers.js")]) {
      await using participant = await inOwnProcess({ name, folder: directory })
      await participant.run({ what: "files", inputs: pictures[i]!.files, batch })
      peakBytes[name] = participant.peakBytes()!
    }
    found.push({ ...group, peakBytes })
  }
  return found
}

async function withParticipants<T>(
  contenders: readonly Contender[],
  folder: string,
  { oneProcess }: ModelOptions,
  use: (open: ReadonlyMap<LibraryName, Participant>) => Promise<T>,
): Promise<T> {
  const open = new Map<LibraryName, Participant>()
  try {
    for (const name of new Set(contenders.map(({ library }) => library))) {
      open.set(name, await (oneProcess ? inThisProcess : inOwnProcess)({ name, folder }))
    }
    return await use(open)
  } finally {
    for (const participant of open.values()) await participant[Symbol.asyncDispose]()
  }
}
