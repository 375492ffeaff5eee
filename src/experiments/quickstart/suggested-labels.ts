/**
 * Labels for the first answers that a newcomer sees: those that the student tells apart well, and a row for pictures that
 * are none of them where it helps. They are chosen on one half of the test pictures and measured on the other one; where
 * on either half most answers are wrong, or it stays open whether the student only guesses, there are none.
 */

import { Random } from "../../core/arrays/random.ts"
import { cosines } from "../../core/arrays/similarity.ts"
import type { Encoder } from "../../core/inference/encoder.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { labelVectors } from "../../core/text/prompts.ts"
import { COLOURS, namesOf, SHAPES } from "../../data/scenes/attributes.ts"
import { imageVectors } from "../../evaluate/encode.ts"
import type { Scene } from "../../evaluate/scenes.ts"
import { wilson } from "../../evaluate/wilson.ts"
import { decodeImage } from "../../host/image/images.ts"
import { usableProcessors } from "../../host/processors.ts"

export interface SuggestedLabels {
  readonly labels: readonly string[]
  /** The label for pictures that show none of them; null where the labels name every picture, or such a row does not help. */
  readonly none: string | null
  /** What the labels are put into. */
  readonly template: string
  /** Pictures on which they were chosen: others than those that they were measured on. */
  readonly chosenOn: number
  /**
   * Pictures that the labels name, the share of them that is labelled rightly, and what is right by chance: the share of
   * the most frequent label.
   */
  readonly named: { readonly pictures: number; readonly right: number; readonly chance: number }
  /** Pictures that show something else, and the share of them for which `none` comes first; null where there are none. */
  readonly others: { readonly pictures: number; readonly right: number } | null
}

/** What may be asked about a picture of one object. */
interface Question {
  readonly classes: readonly string[]
  readonly template: string
  /** Wordings for "none of these", in that template. */
  readonly nones: readonly string[]
  answer(scene: Scene["record"]): string
}

const questions: readonly Question[] = [
  {
    classes: namesOf(SHAPES),
    template: "a {}",
    nones: ["different shape", "thing", "picture of something else"],
    answer: ({ objects }) => objects[0]!.shape,
  },
  {
    classes: namesOf(COLOURS),
    template: "one {} object",
    nones: ["other", "differently coloured"],
    answer: ({ objects }) => objects[0]!.colour,
  },
]

/** A label is suggested where at least this share of its pictures gets it, and of those that get it shows it. */
const goodEnough = 0.8

/** At least this share must be labelled rightly: of the pictures that the labels name, and of the others where they have a label. */
const mostly = 2 / 3

/** Where fewer than two labels are that good, so many of the best are tried. */
const triedLabels = 3

/** Pictures of one object, encoded. */
interface Half {
  readonly vectors: Float32Array
  readonly scenes: readonly Scene["record"][]
}

interface Candidate {
  readonly question: Question
  readonly labels: readonly string[]
  readonly none: string | null
}

/**
 * @param scenes pictures that the model was not trained on
 * @returns null where it labels no choice of them rightly for the most part, and measurably better than always saying the same does
 */
export async function suggestLabels(encoder: Encoder, scenes: readonly Scene[]): Promise<SuggestedLabels | null> {
  const [choice, measure] = await Promise.all(halvesOf(scenes).map((half) => encoded(encoder, half)))
  const best = await bestCandidate(encoder, choice!)
  if (!best) return null
  const found = await measured(encoder, best, measure!)
  const { question, labels, none } = best
  const { template } = question
  return isGood(found) ? { labels, none, template, chosenOn: choice!.scenes.length, ...found } : null
}

/** What a picture of one object gets where the answer is right; null where no label is. */
export function rightLabel({ labels, none, template }: SuggestedLabels, scene: Scene["record"]): string | null {
  const question = questions.find((one) => one.template === template)!
  const truth = question.answer(scene)
  return labels.includes(truth) ? truth : none
}

/** The pictures of one object in two halves, the same at each call: to choose with, and to measure with. */
export function halvesOf(scenes: readonly Scene[]): readonly [choice: Scene[], measure: Scene[]] {
  // Classes come in turns in the split, so that halves by position would have different ones.
  const single = Random.of(0, "suggested labels").shuffle(scenes.filter(({ record }) => record.layout === "single"))
  const half = (which: number) => single.filter((_, i) => i % 2 === which)
  return [half(0), half(1)]
}

async function bestCandidate(encoder: Encoder, half: Half): Promise<Candidate | null> {
  let best: Candidate | null = null
  let bestScore = -1
  for (const candidate of await candidatesOf(encoder, half)) {
    const found = await measured(encoder, candidate, half)
    const score = balanced(found)
    const isHelpful = candidate.none === null || found.others === null || found.others.right >= mostly
    if (score > bestScore && isHelpful && isGood(found)) [best, bestScore] = [candidate, score]
  }
  return best
}

async function candidatesOf(encoder: Encoder, half: Half): Promise<Candidate[]> {
  const found = await Promise.all(
    questions.map(async (question) => {
      const labels = await goodLabels(encoder, question, half)
      const nones = labels.length < question.classes.length ? [null, ...question.nones] : [null]
      return nones.map((none) => ({ question, labels, none }))
    }),
  )
  return found.flat()
}

/** Whether most is right, and more than chance by more than luck: 1 in 40 students who guess would be that lucky. */
function isGood({ named: { pictures, right, chance } }: Measured): boolean {
  return pictures > 0 && right >= mostly && wilson(right, pictures).low > chance
}

async function encoded(encoder: Encoder, scenes: readonly Scene[]): Promise<Half> {
  const images = mapOrdered(scenes, 2 * usableProcessors().count, ({ jpeg }) => decodeImage(jpeg))
  return { vectors: await imageVectors(encoder, images), scenes: scenes.map(({ record }) => record) }
}

/** The classes whose recall and precision among all classes are best, by the lower one of both; in their order. */
async function goodLabels(encoder: Encoder, question: Question, half: Half): Promise<string[]> {
  const answers = await answersOf(encoder, question, question.classes, half)
  const truth = half.scenes.map((scene) => question.answer(scene))
  const quality = question.classes.map((name) => {
    const [shown, said] = [truth, answers].map((list) => list.filter((one) => one === name).length)
    const both = truth.filter((one, i) => one === name && answers[i] === name).length
    return both / Math.max(shown!, said!, 1)
  })
  const good = quality.filter((share) => share >= goodEnough).length
  const count = good > 1 ? good : triedLabels
  const best = [...quality.keys()].sort((a, b) => quality[b]! - quality[a]!).slice(0, count)
  return question.classes.filter((_, i) => best.includes(i))
}

type Measured = Pick<SuggestedLabels, "named" | "others">

async function measured(encoder: Encoder, { question, labels, none }: Candidate, half: Half): Promise<Measured> {
  const answers = await answersOf(encoder, question, none === null ? labels : [...labels, none], half)
  const pairs = half.scenes.map((scene, i) => ({ truth: question.answer(scene), answer: answers[i]! }))
  const named = pairs.filter(({ truth }) => labels.includes(truth))
  const others = pairs.filter(({ truth }) => !labels.includes(truth))
  const shares = labels.map((label) => shareOf(named, ({ truth }) => truth === label))
  return {
    named: {
      pictures: named.length,
      right: shareOf(named, ({ truth, answer }) => truth === answer),
      chance: Math.max(...shares),
    },
    others:
      others.length === 0 ? null : { pictures: others.length, right: shareOf(others, ({ answer }) => answer === none) },
  }
}

/** The share of all pictures that gets what is right. */
function balanced({ named, others }: Measured): number {
  const [first, second] = [named, others ?? { pictures: 0, right: 0 }]
  return (first.pictures * first.right + second.pictures * second.right) / (first.pictures + second.pictures)
}

/** The best label of each picture. */
async function answersOf(
  encoder: Encoder,
  { template }: Question,
  labels: readonly string[],
  { vectors, scenes }: Half,
): Promise<string[]> {
  const scores = cosines(vectors, await labelVectors(encoder, labels, [template]), encoder.embedDim)
  return scenes.map((_, i) => {
    const row = scores.subarray(i * labels.length, (i + 1) * labels.length)
    return labels[row.indexOf(Math.max(...row))]!
  })
}

function shareOf<T>(items: readonly T[], isRight: (item: T) => boolean): number {
  return items.length === 0 ? 0 : items.filter(isRight).length / items.length
}
