/** The zero-shot tasks of the test split. Each applies to the pictures made for it, whose classes are balanced. */
import { COLOURS, COUNT_WORDS, namesOf, PATTERNS, RELATIONS, SHAPES } from "./attributes.ts"
import { plural, relationCaption } from "./captions.ts"
import type { Scene, SceneObject } from "./scene.ts"

/** One list of classes for all pictures. */
interface ClassTask {
  readonly kind: "classes"
  readonly name: string
  readonly classNames: readonly string[]
  /** Prompts in which `{}` stands for the class name; the vector of a class is the mean over them. */
  readonly templates: readonly string[]
  /** Index of the right class, or null when the task does not apply to the picture. */
  label(scene: Scene): number | null
}

/** Captions of its own for each picture, one of which is right. */
interface CandidateTask {
  readonly kind: "candidates"
  readonly name: string
  /** How many captions a picture has. */
  readonly choices: number
  candidates(scene: Scene): readonly string[]
  /** Index of the right caption, or null when the task does not apply to the picture. */
  label(scene: Scene): number | null
}

export type Task = ClassTask | CandidateTask

const relations = namesOf(RELATIONS)

const shape: ClassTask = {
  kind: "classes",
  name: "shape",
  classNames: namesOf(SHAPES),
  templates: [
    "a {}",
    "a picture of a {}",
    "a photo of a {}",
    ...namesOf(COLOURS).map((colour) => `a large ${colour} {}`),
  ],
  label: (scene) => labelOfSingle(scene, ({ shape }) => namesOf(SHAPES).indexOf(shape)),
}

const colour: ClassTask = {
  kind: "classes",
  name: "colour",
  classNames: namesOf(COLOURS),
  templates: ["{}", "one {} object", ...namesOf(SHAPES).map((shape) => `a large {} ${shape}`)],
  label: (scene) => labelOfSingle(scene, ({ colour }) => namesOf(COLOURS).indexOf(colour)),
}

const pattern: ClassTask = {
  kind: "classes",
  name: "pattern",
  classNames: PATTERNS,
  templates: namesOf(SHAPES).map((shape) => `a {} ${shape}`),
  label: (scene) => labelOfSingle(scene, ({ pattern }) => PATTERNS.indexOf(pattern)),
}

const count: ClassTask = {
  kind: "classes",
  name: "count",
  classNames: COUNT_WORDS,
  templates: ["{} objects", "a picture of {} objects", ...namesOf(SHAPES).map((shape) => `{} ${plural(shape)}`)],
  label: ({ layout, objects }) => (layout === "group" ? objects.length - 1 : null),
}

const relation: CandidateTask = {
  kind: "candidates",
  name: "relation",
  choices: relations.length,
  candidates: ({ objects: [first, second], relation }) =>
    relation === null ? [] : relations.map((name) => relationCaption(first!, name, second!)),
  label: ({ relation }) => (relation === null ? null : relations.indexOf(relation)),
}

export const TASKS: readonly Task[] = [shape, colour, pattern, count, relation]

/** The accuracy of guessing. */
export function chanceOf(task: Task): number {
  return 1 / (task.kind === "classes" ? task.classNames.length : task.choices)
}

function labelOfSingle({ layout, objects }: Scene, label: (object: SceneObject) => number): number | null {
  return layout === "single" ? label(objects[0]!) : null
}
