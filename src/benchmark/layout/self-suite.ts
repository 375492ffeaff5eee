/**
 * A suite that needs no network: pictures of shapes (`data/scenes`) in the benchmark's own layout, with every kind of task that
 * the published suite has. The same seed and size give the same bytes.
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { isInside } from "../../core/inside.ts"
import { isObject, jsonOrNull } from "../../core/json.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { namesOf, RELATIONS, SHAPES, SIZES } from "../../data/scenes/attributes.ts"
import { captionsOf, relationCaption } from "../../data/scenes/captions.ts"
import { MAX_RETRIEVAL, type Split } from "../../data/scenes/plan.ts"
import { SCENES_VERSION } from "../../data/scenes/record.ts"
import { inSingleThreads, renderScene } from "../../data/scenes/render.ts"
import { type Scene, sampleScene } from "../../data/scenes/scene.ts"
import { TASKS } from "../../data/scenes/tasks.ts"
import type { SuiteTask } from "../../evaluate/suite/suite-task.ts"
import { readBytesIfThere, writeAtomically } from "../../host/files/files.ts"
import { writeDirectoryAtomically } from "../../host/files/folder.ts"
import { lockPath } from "../../host/locks/lock.ts"
import { usableProcessors } from "../../host/processors.ts"
import { ownCacheDir } from "../../native/own-cache.ts"
import { templateFile } from "./class-texts.ts"
import { type Members, npyOf, type SideFiles, textBytes, writeSideFiles, writeSplit } from "./write-layout.ts"

export interface SelfSuiteOptions {
  readonly seed?: number
  /** Pictures of each task: 48 to 20,000. The association has a quarter as many instances of 5 to 12 pictures. */
  readonly size?: number
  readonly startProgress?: StartProgress
  readonly signal?: AbortSignal
}

export const selfSuiteDefaults = {
  ...{ seed: 0, size: 240, startProgress: noProgress },
} as const satisfies Partial<SelfSuiteOptions>

type Resolved = SelfSuiteOptions & Required<Pick<SelfSuiteOptions, keyof typeof selfSuiteDefaults>>

/**
 * Makes the suite where it is not there yet, or is not as it was made, in some seconds.
 *
 * @param folder null: in the user's cache
 * @returns the root of the tasks in `selfSuite`
 * @throws UserError where the folder has other content, or the size is out of range; the signal's reason. Then nothing is left
 */
export async function makeSelfSuite(folder: string | null = null, given: SelfSuiteOptions = {}): Promise<string> {
  const options: Resolved = { ...selfSuiteDefaults, ...given }
  const { seed, size, signal } = options
  if (!Number.isInteger(size) || size < smallest || size > largest)
    throw new UserError(`size is ${size}, expected a whole number from ${smallest} to ${largest}`)
  const root = folder ?? join(ownCacheDir(process.env), "self-suite", `v${version}-seed${seed}-size${size}`)
  const isMade = async () => {
    const marker = await readMarker(root)
    return marker?.id === idOf(options) && marker.sha256 === (await digestOf(root, marker.files))
  }
  // Several processes may read it at the same time.
  if (await isMade()) return root
  using _ = await lockPath(root, "mobileclip evaluate", signal)
  if (await isMade()) return root
  await writeDirectoryAtomically(
    root,
    async (staging) => {
      const files = await writeTasks(staging, await renderAll(options), options)
      const marker: Marker = { id: idOf(options), sha256: await digestOf(staging, files), files }
      const text = JSON.stringify({ format: markerFormat, ...marker }, null, 2)
      await writeAtomically(join(staging, markerFile), [`${text}\n`])
    },
    async (old) => {
      const before = await readMarker(old)
      return before ? [...before.files, markerFile] : []
    },
  )
  return root
}

/** Raised when a seed gives other files than before. */
const version = 1
/** Every shape is in four pictures then. */
const smallest = 48
const largest = 20_000
/** Samples of a shard, so that tasks of the usual size have several. */
const perShard = 100

// ------------------------------------------------------------------------------------------------------ the rows

type ClassTask = Extract<(typeof TASKS)[number], { readonly kind: "classes" }>

const classTasks = TASKS.filter((task): task is ClassTask => task.kind === "classes")
const shapeTask = classTasks.find(({ name }) => name === "shape")!

/** The tasks, as rows of a suite. */
export const selfSuite: readonly SuiteTask[] = [
  ...classTasks.map((task) => row(task.name, "classification", "acc1", task)),
  row("shape-by-size", "classification", "acc_wg", shapeTask),
  row("retrieval", "retrieval", "mean_recall@1", null),
  { ...row("relation", "caption-selection", "acc", null), chance: 0.5 },
  row("association", "association", "jaccard_score_10-12", null),
]

function row(name: string, kind: SuiteTask["kind"], mainMetric: string, task: ClassTask | null): SuiteTask {
  const key = `self/${name}`
  const classes = task?.classNames.length ?? null
  const chance = classes === null || mainMetric === "acc_wg" ? null : 1 / classes
  return { key, name: `Scenes: ${name}`, kind, mainMetric, folders: [key], size: null, classes, chance, counted: false }
}

// ---------------------------------------------------------------------------------------------- what was made before

const markerFile = "self-suite.json"
const markerFormat = "mobileclip-self-suite"

interface Marker {
  readonly id: string
  /** The digest of all files in their order: a file that was damaged or removed since is made again. */
  readonly sha256: string | null
  /** All that was written beside it. */
  readonly files: readonly string[]
}

/** Null where the folder is not a suite. */
async function readMarker(root: string): Promise<Marker | null> {
  const bytes = await readBytesIfThere(join(root, markerFile))
  const value = bytes && jsonOrNull(new TextDecoder().decode(bytes))
  if (!isObject(value) || value.format !== markerFormat) return null
  const { id, sha256, files } = value
  if (typeof id !== "string" || !Array.isArray(files) || !files.every(isPathInside)) return null
  return { id, sha256: typeof sha256 === "string" ? sha256 : null, files }
}

function isPathInside(name: unknown): name is string {
  return typeof name === "string" && isInside(name)
}

/** Null where a file is missing. */
async function digestOf(root: string, files: readonly string[]): Promise<string | null> {
  const hash = createHash("sha256")
  for (const file of files) {
    const bytes = await readBytesIfThere(join(root, file))
    if (!bytes) return null
    hash.update(`${file} ${bytes.length}\n`).update(bytes)
  }
  return hash.digest("hex")
}

function idOf({ seed, size }: Resolved): string {
  return `version ${version}, scenes ${SCENES_VERSION}, seed ${seed}, size ${size}`
}

// ---------------------------------------------------------------------------------------------------- the pictures

interface Picture {
  readonly scene: Scene
  readonly jpeg: Uint8Array
}

/** One object, one to four equal ones, two, and pairs for retrieval: `size` of each. */
type Pictures = Readonly<Record<"single" | "group" | "pair" | "retrieval", readonly Picture[]>>

async function renderAll(options: Resolved): Promise<Pictures> {
  const { size, startProgress } = options
  const progress = startProgress("suite", 4 * size, { unit: "pictures" })
  let done = 0
  const some = (split: Split, indexOf: (i: number) => number) =>
    render(
      split,
      Array.from({ length: size }, (_, i) => indexOf(i)),
      options,
      () => progress.update(++done),
    )
  const pictures: Pictures = {
    // In the test split, two of four pictures show one object, one a group and one a pair (`data/scenes/plan.ts`).
    single: await some("test", (i) => 4 * Math.floor(i / 2) + (i % 2)),
    group: await some("test", (i) => 4 * i + 2),
    pair: await some("test", (i) => 4 * i + 3),
    retrieval: await some("retrieval", (i) => i % MAX_RETRIEVAL),
  }
  progress.done()
  return pictures
}

async function render(
  split: Split,
  indices: readonly number[],
  { seed, signal }: Resolved,
  onPicture: () => void,
): Promise<Picture[]> {
  const pictures: Picture[] = []
  const one = async (index: number): Promise<Picture> => {
    const scene = sampleScene(seed, split, index)
    return { scene, jpeg: await renderScene(scene) }
  }
  await inSingleThreads(async () => {
    for await (const picture of mapOrdered(indices, 2 * usableProcessors().count, one)) {
      signal?.throwIfAborted()
      pictures.push(picture)
      onPicture()
    }
  })
  return pictures
}

// ------------------------------------------------------------------------------------------------------- the tasks

/** Returns the paths of what was written. */
async function writeTasks(root: string, pictures: Pictures, { seed, size }: Resolved): Promise<string[]> {
  const files: string[] = []
  const write = async (name: string, side: SideFiles, samples: readonly Members[]) => {
    const folder = join(root, "self", name)
    const { shards } = await writeSplit(join(folder, "test"), samples, perShard)
    await writeSideFiles(folder, side)
    const tars = Array.from({ length: shards }, (_, i) => `test/${i}.tar`)
    files.push(...[...tars, "test/nshards.txt", ...namesOfSide(side)].map((file) => `self/${name}/${file}`))
  }
  for (const task of classTasks)
    await write(task.name, sideOf(task), labelled(task, pictures[task.name === "count" ? "group" : "single"]))
  const groups = [{ name: "size", groups: namesOf(SIZES) }]
  const bySize = labelled(shapeTask, pictures.single).map((members, i) =>
    new Map(members).set("npy", npyOf([namesOf(SIZES).indexOf(pictures.single[i]!.scene.objects[0]!.size)])),
  )
  await write("shape-by-size", { ...sideOf(shapeTask), groups }, bySize)
  await write("retrieval", { kind: "retrieval" }, pictures.retrieval.map(captioned))
  await write("relation", { kind: "caption-selection" }, pictures.pair.map(relationChoice))
  await write("association", { kind: "association" }, associations(pictures.single, seed, Math.ceil(size / 4)))
  return files
}

function namesOfSide({ kind, classNames, templates, groups }: SideFiles): string[] {
  return [
    ...(kind === "classification" ? [] : ["dataset_type.txt"]),
    ...(classNames ? ["classnames.txt"] : []),
    ...(templates ? [templateFile] : []),
    ...(groups ? ["groups.json"] : []),
  ]
}

function sideOf({ classNames, templates }: ClassTask): SideFiles {
  return { kind: "classification", classNames, templates }
}

function labelled(task: ClassTask, pictures: readonly Picture[]): Members[] {
  return pictures.map(({ scene, jpeg }) => members(jpeg, "cls", String(task.label(scene))))
}

function members(jpeg: Uint8Array, extension: string, text: string): Members {
  return new Map([
    ["jpg", jpeg],
    [extension, textBytes(text)],
  ] as const)
}

/** Two true captions, in words of their own. */
function captioned({ scene, jpeg }: Picture): Members {
  const other = { ...scene, look: { ...scene.look, detail: scene.look.detail ^ 1 } }
  return members(jpeg, "txt", [scene, other].map((each) => captionsOf(each).caption).join("\n"))
}

/** The right caption, and the one with both objects exchanged. */
function relationChoice({ scene, jpeg }: Picture): Members {
  const [first, second] = scene.objects
  const relation = scene.relation!
  const captions = [relation, RELATIONS[relation].inverse].map((name) => relationCaption(first!, name, second!))
  return members(jpeg, "txt", captions.join("\n"))
}

/** Numbers of candidates, as WinoGAViL has them. */
const candidateCounts = [5, 6, 10, 12]

/** A shape as the cue; two to four of the candidates are of it. */
function associations(pictures: readonly Picture[], seed: number, count: number): Members[] {
  return Array.from({ length: count }, (_, i) => {
    const random = Random.of(seed, "self-suite", "association", i)
    const cue = random.pick(namesOf(SHAPES))
    const numbers = random.shuffle([...pictures.keys()])
    const isOf = (n: number) => pictures[n]!.scene.objects[0]!.shape === cue
    const right = numbers.filter(isOf).slice(0, 2 + random.int(3))
    const wrong = numbers.filter((n) => !isOf(n)).slice(0, candidateCounts[i % candidateCounts.length]! - right.length)
    const candidates = random.shuffle([...right, ...wrong])
    const nameOf = (n: number) => `picture ${n}`
    const json = { cue, candidates: candidates.map(nameOf), associations: right.map(nameOf) }
    const images = candidates.map((n, at) => [`${at}.jpg`, pictures[n]!.jpeg] as const)
    return new Map([["json", textBytes(JSON.stringify(json))], ...images])
  })
}
