/** How true captions of scenes are: the quality of a captioner, measured without another model. */
import { COLOURS, COUNT_WORDS, namesOf, PATTERNS, RELATIONS, type Relation, SHAPES } from "./attributes.ts"
import type { Scene, SceneObject } from "./scene.ts"

/** Shares of captions that are right, 0..1; NaN where no picture or caption could be judged. */
export interface CaptionAccuracy {
  /** Names all shapes in the picture and no other. */
  readonly shape: number
  /** Captions that name a colour: every colour named is in the picture. */
  readonly colour: number
  /** The same for patterns. */
  readonly pattern: number
  /** Pictures of equal objects: the caption says how many. */
  readonly count: number
  /** Pictures of a pair: the caption says correctly where the object that it names first is. */
  readonly relation: number
  /** Mean of these. */
  readonly average: number
}

/** Judges `captions[i]` by what is in `scenes[i]`. */
export function captionAccuracy(scenes: readonly Scene[], captions: readonly string[]): CaptionAccuracy {
  const judged = scenes.map((scene, i) => judge(scene, withoutBackground(captions[i]!.toLowerCase())))
  const [shape, colour, pattern, count, relation] = (["shape", "colour", "pattern", "count", "relation"] as const).map(
    (name) => shareOf(judged.map((verdict) => verdict[name])),
  ) as [number, number, number, number, number]
  const average = (shape + colour + pattern + count + relation) / 5
  return { shape, colour, pattern, count, relation, average }
}

/** Null where there is nothing to judge. */
type Verdict = boolean | null

function judge(scene: Scene, caption: string) {
  const { layout, objects, relation } = scene
  const shapes = new Set(objects.map(({ shape }) => shape))
  const named = namesOf(SHAPES).filter((name) => says(caption, name))
  return {
    shape: named.length === shapes.size && named.every((name) => shapes.has(name)),
    colour: allTrue(namesOf(COLOURS), caption, (name) => objects.some(({ colour }) => colour === name)),
    pattern: allTrue(PATTERNS, caption, (name) => objects.some(({ pattern }) => pattern === name)),
    count: layout === "group" ? countIn(caption) === objects.length : null,
    relation: relation === null ? null : isTrueRelation(objects, relation, caption),
  } satisfies Record<string, Verdict>
}

function allTrue<Name extends string>(
  names: readonly Name[],
  caption: string,
  isTrue: (name: Name) => boolean,
): Verdict {
  const named = names.filter((name) => says(caption, name))
  return named.length === 0 ? null : named.every(isTrue)
}

function countIn(caption: string): number | null {
  if (says(caption, "single")) return 1
  const index = COUNT_WORDS.findIndex((word) => says(caption, word))
  return index === -1 ? null : index + 1
}

/** The words before the relation tell which object comes first; where they fit both, the relation counts as wrong. */
function isTrueRelation([first, second]: readonly SceneObject[], relation: Relation, caption: string): boolean {
  const said = namesOf(RELATIONS).find((name) => RELATIONS[name].phrases.some((phrase) => says(caption, phrase)))
  if (!said) return false
  const start = caption.slice(0, Math.min(...RELATIONS[said].phrases.map((phrase) => positionOf(caption, phrase))))
  const preference = fit(first!, start) - fit(second!, start)
  return preference !== 0 && said === (preference > 0 ? relation : RELATIONS[relation].inverse)
}

function fit({ shape, colour }: SceneObject, text: string): number {
  return Number(says(text, shape)) + Number(says(text, colour))
}

function positionOf(text: string, phrase: string): number {
  const position = text.indexOf(phrase)
  return position === -1 ? text.length : position
}

/** Whether the text has the name as a word, singular or plural. */
function says(text: string, word: string): boolean {
  return new RegExp(`\\b${word}(s|es)?\\b`).test(text)
}

function withoutBackground(caption: string): string {
  return caption.replace(/ on an? [a-z ]+ background/, "")
}

function shareOf(verdicts: readonly Verdict[]): number {
  const known = verdicts.filter((verdict) => verdict !== null)
  return known.filter(Boolean).length / known.length
}
