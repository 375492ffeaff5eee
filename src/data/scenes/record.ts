/** What the dataset says about itself: the `json` member of a sample, and `info.json`. */
import { UserError } from "../../core/errors.ts"
import { COLOURS, isHeldOut, namesOf, SHAPES } from "./attributes.ts"
import type { Split } from "./plan.ts"
import type { Scene } from "./scene.ts"
import { chanceOf, TASKS } from "./tasks.ts"

/** Raised when a seed gives other pictures or captions than before. */
export const SCENES_VERSION = 1

/** The `json` member of a sample. */
export interface SceneRecord extends Scene {
  readonly dataset: "scenes"
  readonly version: number
  readonly seed: number
  /** The precise caption. */
  readonly caption: string
  /** As in `txt`. */
  readonly web_caption: string
}

/** `info.json`. */
export interface ScenesInfo {
  readonly dataset: "scenes"
  readonly version: number
  readonly seed: number
  readonly samplesPerShard: number
  readonly splits: Readonly<Record<Split, SplitInfo>>
  readonly tasks: readonly TaskInfo[]
  /** Colours and shapes that training pictures never show together. */
  readonly heldOut: readonly string[]
}

interface SplitInfo {
  readonly samples: number
  /** File names in the split's folder. */
  readonly shards: readonly string[]
}

/** A zero-shot task as plain data; candidate tasks have neither class names nor templates. */
interface TaskInfo {
  readonly name: string
  readonly chance: number
  readonly classnames?: readonly string[]
  readonly templates?: readonly string[]
}

/** The scene in a sample's metadata. Throws a UserError, naming the sample, if there is none of this version. */
export function sceneOf(metadata: Readonly<Record<string, unknown>> | null, name: string): SceneRecord {
  const version = metadata?.dataset === "scenes" ? metadata.version : undefined
  if (version === SCENES_VERSION) return metadata as unknown as SceneRecord
  const found = version === undefined ? "no scene" : `a scene of version ${version}`
  throw new UserError(`${name}: ${found}, expected version ${SCENES_VERSION}`, "render the dataset again")
}

export function describeTasks(): TaskInfo[] {
  return TASKS.map((task) => ({
    name: task.name,
    chance: chanceOf(task),
    ...(task.kind === "classes" && { classnames: task.classNames, templates: task.templates }),
  }))
}

/** "purple circle", ... */
export function heldOutNames(): string[] {
  return namesOf(SHAPES).flatMap((shape) =>
    namesOf(COLOURS)
      .filter((colour) => isHeldOut(shape, colour))
      .map((colour) => `${colour} ${shape}`),
  )
}
