/**
 * The groups of Teach: names, pictures and their vectors. They outlive a reload where the browser keeps them, and are the same in
 * all tabs in which the page is open.
 */
import { signal } from "@preact/signals"
import { UserError } from "mobileclip/browser"
import type { Ready } from "../model/state.ts"
import { encodeKept } from "../model/vectors.ts"
import { forget, keep, kept } from "../shared/database.ts"

export interface Example {
  readonly id: number
  readonly file: File
  /** Null: not yet, by the model that is open. */
  readonly vector: Float32Array | null
  /** Why it cannot be read. */
  readonly reason: string | null
}

export interface Group {
  readonly id: number
  readonly name: string
  readonly examples: readonly Example[]
}

let lastId = 0
const newGroup = (name: string): Group => ({ id: ++lastId, name, examples: [] })

const beginning = () => [newGroup("one"), newGroup("another")]

export const groups = signal<readonly Group[]>(beginning())
/** Pictures that are encoded now. */
export const isEncoding = signal(false)

interface KeptGroup {
  readonly name: string
  readonly files: readonly File[]
}

/** Says to other tabs of this browser that the groups were kept anew: each would overwrite the others' otherwise. */
let tabs: BroadcastChannel | null = null

/** What is kept of the last visit, and from then on what other tabs keep. Called once. */
export async function restore(): Promise<void> {
  tabs = new BroadcastChannel("mobileclip page: groups")
  tabs.onmessage = () => void take()
  if (groups.value.every(({ examples }) => examples.length === 0)) await take()
}

async function take(): Promise<void> {
  const all = await kept<readonly KeptGroup[]>("states", "groups")
  if (!Array.isArray(all)) groups.value = beginning()
  else if (all.length >= 2) groups.value = all.map((one, i) => taken(one, groups.value[i]))
}

/** What did not change stays the same, with its vectors. */
function taken({ name, files }: KeptGroup, before: Group = newGroup(name)): Group {
  const rest = [...before.examples]
  const examples = files.map((file) => {
    const place = rest.findIndex((example) => isSame(example.file, file))
    return place < 0 ? exampleOf(file) : rest.splice(place, 1)[0]!
  })
  return { ...before, name, examples }
}

function isSame(a: File, b: File): boolean {
  return a.name === b.name && a.size === b.size && a.lastModified === b.lastModified
}

export function countExamples(): number {
  return groups.value.reduce((sum, { examples }) => sum + examples.length, 0)
}

/** In all tabs, and for good. */
export async function removeAll(): Promise<void> {
  groups.value = beginning()
  await forget("states", "groups")
  tabs?.postMessage("changed")
}

export function addGroup(): void {
  groups.value = [...groups.value, newGroup(`group ${groups.value.length + 1}`)]
  save()
}

export function removeGroup(id: number): void {
  groups.value = groups.value.filter((group) => group.id !== id)
  save()
}

export function rename(id: number, name: string): void {
  groups.value = groups.value.map((group) => (group.id === id ? { ...group, name } : group))
  save()
}

export function addExamples(id: number, files: readonly File[]): void {
  const more = files.map(exampleOf)
  groups.value = groups.value.map((group) =>
    group.id === id ? { ...group, examples: [...group.examples, ...more] } : group,
  )
  save()
}

export function removeExample(id: number): void {
  groups.value = groups.value.map((group) => ({
    ...group,
    examples: group.examples.filter((example) => example.id !== id),
  }))
  save()
}

function exampleOf(file: File): Example {
  return { id: ++lastId, file, vector: null, reason: null }
}

function save(): void {
  const plain = groups.value.map(({ name, examples }) => ({ name, files: examples.map(({ file }) => file) }))
  void keep("states", "groups", plain).then((isKept) => isKept && tabs?.postMessage("changed"))
}

/** The model that is to encode; another one may come at any time. */
let wanted: Ready | null = null
let running: Promise<void> | null = null

/** Gives every picture its vector, some at a time; ends when all have one. */
export function encodeExamples(model: Ready): Promise<void> {
  if (wanted !== null && wanted.key !== model.key)
    change(
      () => true,
      () => ({ vector: null, reason: null }),
    )
  wanted = model
  running ??= encodeWaiting().finally(() => {
    running = null
    isEncoding.value = false
  })
  return running
}

async function encodeWaiting(): Promise<void> {
  for (;;) {
    const model = wanted!
    const waiting = groups
      .peek()
      .flatMap(({ examples }) => examples)
      .filter(isWaiting)
      .slice(0, 8)
    if (waiting.length === 0) return
    isEncoding.value = true
    const files = waiting.map(({ file }) => file)
    const encoded = await encodeKept(files, model).catch((error: unknown) => {
      if (wanted === model) throw error
      return null
    })
    if (encoded === null || wanted !== model) continue
    const found = new Map(waiting.map(({ id }, i) => [id, encoded[i]!]))
    change(
      ({ id }) => found.has(id),
      ({ id }) => {
        const one = found.get(id)!
        return "reason" in one ? { reason: one.reason } : { vector: one.vector }
      },
    )
  }
}

function isWaiting({ vector, reason }: Example): boolean {
  return vector === null && reason === null
}

function change(which: (example: Example) => boolean, how: (example: Example) => Partial<Example>): void {
  groups.value = groups.value.map((group) => ({
    ...group,
    examples: group.examples.map((example) => (which(example) ? { ...example, ...how(example) } : example)),
  }))
}

/** What a head is trained on. Throws UserError that says what is missing. */
export function trainingSet(): { vectors: Float32Array[]; places: number[]; names: string[]; examples: Example[] } {
  const names = groups.value.map(({ name }) => name.trim())
  const double = names.find((name, i) => names.indexOf(name) !== i)
  if (names.length < 2) throw new UserError("there is one group alone", "add another: something to tell it from")
  if (names.includes("")) throw new UserError("a group has no name", "name it")
  if (double !== undefined) throw new UserError(`two groups are called “${double}”`, "give them different names")
  const examples: Example[] = []
  const places: number[] = []
  groups.value.forEach((group, place) => {
    const usable = group.examples.filter(({ vector }) => vector !== null)
    if (usable.length < 2)
      throw new UserError(
        `“${group.name}” has ${usable.length === 0 ? "no picture" : "one picture"}, and two are needed to leave one out`,
        "add pictures; about ten in each group make a test that says something",
      )
    examples.push(...usable)
    places.push(...usable.map(() => place))
  })
  return { vectors: examples.map(({ vector }) => vector!), places, names, examples }
}

/** Whether names or pictures are not those that a head was trained with any more. */
export function isChangedSince(names: readonly string[], examples: readonly Example[]): boolean {
  const now = groups.value.map(({ name }) => name.trim())
  const ids = groups.value.flatMap(({ examples }) =>
    examples.filter(({ reason }) => reason === null).map(({ id }) => id),
  )
  return JSON.stringify([names, examples.map(({ id }) => id)]) !== JSON.stringify([now, ids])
}
