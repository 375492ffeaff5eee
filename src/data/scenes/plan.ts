/**
 * What a picture shows, before anything is placed: its objects and how they stand to each other. Each split plans in its
 * own way; picture `index` of a split depends on (seed, split, index) only.
 */

import { Random } from "../../core/arrays/random.ts"
import { assert } from "../../core/errors.ts"
import {
  COLOURS,
  type Colour,
  isHeldOut,
  namesOf,
  PATTERNS,
  type Pattern,
  RELATIONS,
  type Relation,
  SHAPES,
  type Shape,
  SIZES,
  type Size,
} from "./attributes.ts"

export type Split = "train" | "test" | "retrieval"

export const SPLITS = ["train", "test", "retrieval"] as const satisfies readonly Split[]

/** `group`: one to four equal objects. `mixed`: three or four different ones. */
type Layout = "single" | "pair" | "group" | "mixed"

export interface Subject {
  readonly shape: Shape
  readonly colour: Colour
  readonly pattern: Pattern
  readonly size: Size
}

export interface Plan {
  readonly layout: Layout
  readonly subjects: readonly Subject[]
  /** Where the first subject is, seen from the second; null unless `layout` is "pair". */
  readonly relation: Relation | null
}

const shapes = namesOf(SHAPES)
const colours = namesOf(COLOURS)
const sizes = namesOf(SIZES)
const relations = namesOf(RELATIONS)

const heldOut = shapes.flatMap((shape) =>
  colours.filter((colour) => isHeldOut(shape, colour)).map((colour) => ({ shape, colour })),
)
const trained = shapes.flatMap((shape) =>
  colours.filter((colour) => !isHeldOut(shape, colour)).map((colour) => ({ shape, colour })),
)

/** What picture `index` of `split` shows. */
export function planScene(seed: number, split: Split, index: number): Plan {
  const random = Random.of(seed, "scenes", split, index, "plan")
  switch (split) {
    case "train":
      return planTrain(random)
    case "test":
      return planTest(random, seed, index)
    case "retrieval":
      return planRetrieval(random, seed, index)
    default:
      return split satisfies never
  }
}

/** Mostly one or two objects, which a small model learns from soonest; never a held-out combination. */
function planTrain(random: Random): Plan {
  const draw = random.uniform()
  if (draw < 0.55) return { layout: "single", subjects: [trainSubject(random)], relation: null }
  if (draw < 0.77) return { layout: "pair", subjects: differing(random, 2), relation: random.pick(relations) }
  if (draw < 0.92) return group(trainSubject(random), 1 + random.int(4))
  return { layout: "mixed", subjects: differing(random, 3 + random.int(2)), relation: null }
}

/**
 * Two of every four pictures show one object, one a group and one a pair. Classes are balanced: every round of a task
 * takes each of its classes once. All combinations occur, held-out ones too.
 */
function planTest(random: Random, seed: number, index: number): Plan {
  const round = Math.floor(index / 4)
  const role = index % 4
  if (role === 3) return { layout: "pair", subjects: differing(random, 2), relation: balanced(seed, relations, round) }
  if (role === 2) return group(trainSubject(random), balanced(seed, [1, 2, 3, 4], round))
  const turn = 2 * round + role
  const shape = balanced(seed, shapes, turn)
  const colour = balanced(seed, colours, turn)
  const pattern = balanced(seed, PATTERNS, turn)
  return { layout: "single", subjects: [{ shape, colour, pattern, size: random.pick(sizes) }], relation: null }
}

/** Numbers of distinct pictures of the retrieval split: two kinds of object, two patterns, one relation. */
export const MAX_RETRIEVAL = heldOut.length * relations.length * PATTERNS.length * trained.length * PATTERNS.length

/** Coprime to MAX_RETRIEVAL = 2^10 * 3^4, so that indices visit all descriptions in a scattered order, each once. */
const STRIDE = 47_777

/** Pairs of a held-out combination and a trained one, each description once, so each caption has one right picture. */
function planRetrieval(random: Random, seed: number, index: number): Plan {
  assert(index < MAX_RETRIEVAL, `retrieval picture ${index} of ${MAX_RETRIEVAL}`)
  let rest = (Random.of(seed, "scenes", "retrieval").int(MAX_RETRIEVAL) + index * STRIDE) % MAX_RETRIEVAL
  const take = <T>(items: readonly T[]): T => {
    const item = items[rest % items.length]!
    rest = Math.floor(rest / items.length)
    return item
  }
  const first = take(heldOut)
  const relation = take(relations)
  const patterns = [take(PATTERNS), take(PATTERNS)] as const
  const subjects = [first, take(trained)].map((kind, i) => ({
    ...kind,
    pattern: patterns[i]!,
    size: random.pick(sizes),
  }))
  return { layout: "pair", subjects, relation }
}

function trainSubject(random: Random): Subject {
  return { ...random.pick(trained), pattern: random.pick(PATTERNS), size: random.pick(sizes) }
}

function group(subject: Subject, count: number): Plan {
  return { layout: "group", subjects: Array.from({ length: count }, () => subject), relation: null }
}

/** Subjects no two of which share shape and colour. */
function differing(random: Random, count: number): Subject[] {
  const subjects: Subject[] = []
  while (subjects.length < count) {
    const next = trainSubject(random)
    if (!subjects.some(({ shape, colour }) => shape === next.shape && colour === next.colour)) subjects.push(next)
  }
  return subjects
}

/** Item `turn` of an endless list that is made of shuffled rounds of `items`. */
function balanced<T extends string | number>(seed: number, items: readonly T[], turn: number): T {
  const round = Math.floor(turn / items.length)
  return Random.of(seed, "scenes", "test", items.join(), round).shuffle(items)[turn % items.length]!
}
