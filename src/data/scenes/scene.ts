/**
 * The full description of a picture: what `plan.ts` chose, placed in a frame, on a background, in a light. Plain data
 * that goes into each sample's JSON; everything drawn follows from it. Lengths are pixels of the picture.
 */
import { Random } from "../../core/arrays/random.ts"
import { BACKGROUNDS, type BackgroundColour, COLOURS, namesOf, SIZES, TEXTURES, type Texture } from "./attributes.ts"
import { type Plan, planScene, type Split, type Subject } from "./plan.ts"

export interface SceneObject extends Subject {
  /** The centre. */
  readonly x: number
  readonly y: number
  readonly radius: number
  /** Degrees, clockwise. */
  readonly angle: number
  /** Direction of the pattern within the object, degrees. */
  readonly patternAngle: number
}

export interface Background {
  readonly colour: BackgroundColour
  readonly texture: Texture
}

/** How the picture was taken. */
export interface Look {
  /** Brightness rises by `light` (a fraction) across the picture in the direction `lightAngle` (radians). */
  readonly light: number
  readonly lightAngle: number
  /** Standard deviations: of the Gaussian blur in pixels (0: none), and of the noise in levels of 255. */
  readonly blur: number
  readonly noise: number
  /** JPEG quality. */
  readonly quality: number
  /** Seed of everything else: texture details and noise. */
  readonly detail: number
}

export interface Scene extends Omit<Plan, "subjects"> {
  readonly split: Split
  readonly width: number
  readonly height: number
  readonly objects: readonly SceneObject[]
  readonly background: Background
  readonly look: Look
}

/** Side of the cell for one object alone, and for one of several (in a grid of two by two), relative to the short side. */
const ALONE = 0.84
const SHARED = 0.46
/** Distance of the grid's cells from the middle. */
const CELL = 0.24

/** Picture `index` of `split`, described. The same on every machine. */
export function sampleScene(seed: number, split: Split, index: number): Scene {
  const plan = planScene(seed, split, index)
  const random = Random.of(seed, "scenes", split, index)
  const frame = sampleFrame(random)
  return {
    split,
    layout: plan.layout,
    ...frame,
    objects: placeObjects(random, plan, frame),
    relation: plan.relation,
    background: sampleBackground(random, plan.subjects),
    look: sampleLook(random),
  }
}

interface Frame {
  readonly width: number
  readonly height: number
}

/** Sides from 96 to 216 pixels, at most 3:2. */
function sampleFrame(random: Random): Frame {
  const short = 96 + random.int(49)
  const long = Math.round(short * random.uniform(1, 1.5))
  return random.chance(0.5) ? { width: long, height: short } : { width: short, height: long }
}

/** Objects stay within the central square, which is what a centre crop leaves. */
function placeObjects(random: Random, plan: Plan, { width, height }: Frame): SceneObject[] {
  const short = Math.min(width, height)
  const side = plan.layout === "single" ? ALONE : SHARED
  const spots = spotsOf(random, plan)
  return plan.subjects.map((subject, i) => {
    const spot = spots[i]!
    return {
      ...subject,
      x: round(width / 2 + short * spot.x),
      y: round(height / 2 + short * spot.y),
      radius: round(short * side * SIZES[subject.size] * random.uniform(0.47, 0.53)),
      angle: round(random.uniform(-9, 9)),
      patternAngle: random.pick([0, 45, 90, 135]),
    }
  })
}

interface Spot {
  readonly x: number
  readonly y: number
}

/** Centres of the objects, from the middle of the picture, over the short side. */
function spotsOf(random: Random, plan: Plan): Spot[] {
  const near = (reach: number) => random.uniform(-reach, reach)
  if (plan.layout === "single") {
    const reach = (ALONE * (1 - SIZES[plan.subjects[0]!.size])) / 2
    return [{ x: near(reach), y: near(reach) }]
  }
  if (plan.relation === null) {
    return random.shuffle([0, 1, 2, 3]).map((cell) => ({
      x: (cell % 2 ? CELL : -CELL) + near(0.02),
      y: (cell < 2 ? CELL : -CELL) + near(0.02),
    }))
  }
  const sign = plan.relation === "left" || plan.relation === "above" ? -1 : 1
  const horizontal = plan.relation === "left" || plan.relation === "right"
  return [sign, -sign].map((direction) => {
    const along = direction * CELL + near(0.02)
    const across = near(0.1)
    return horizontal ? { x: along, y: across } : { x: across, y: along }
  })
}

function sampleBackground(random: Random, subjects: readonly Subject[]): Background {
  const fitting = namesOf(BACKGROUNDS).filter((colour) => subjects.every((subject) => standsOut(subject, colour)))
  return { colour: random.pick(fitting), texture: random.pick(TEXTURES) }
}

/** Smallest distance of an object's colour from the background; any four colours leave a background (tested). */
const CONTRAST = 170

export function standsOut({ colour }: Pick<Subject, "colour">, background: BackgroundColour): boolean {
  return colourDistance(COLOURS[colour].fill, BACKGROUNDS[background]) >= CONTRAST
}

/** Distance of two `#rrggbb` colours weighted as the eye does: "redmean", https://www.compuphase.com/cmetric.htm */
function colourDistance(a: string, b: string): number {
  const [r1, g1, b1] = channels(a)
  const [r2, g2, b2] = channels(b)
  const red = (r1 + r2) / 512
  return Math.sqrt((2 + red) * (r1 - r2) ** 2 + 4 * (g1 - g2) ** 2 + (3 - red) * (b1 - b2) ** 2)
}

function channels(hex: string): [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16)
  return [value >> 16, (value >> 8) & 255, value & 255]
}

function sampleLook(random: Random): Look {
  return {
    light: round(random.uniform(0, 0.35)),
    lightAngle: round(random.uniform(0, 2 * Math.PI)),
    blur: random.chance(0.4) ? round(random.uniform(0.4, 1)) : 0,
    noise: round(random.uniform(0, 8)),
    quality: 65 + random.int(31),
    detail: random.uint32(),
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
