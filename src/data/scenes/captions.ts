/**
 * Two captions per scene. The precise one is true: it names every object by size, colour, pattern and shape, with its
 * relation or count; one in four names the background too, and where all objects are alike two in five are brief. The web
 * caption is what such a picture might carry on the web: incomplete, sometimes wrong, buried in boilerplate or unrelated.
 */
import { Random } from "../../core/arrays/random.ts"
import { COLOURS, COUNT_WORDS, namesOf, RELATIONS, type Relation, SHAPES, type Size } from "./attributes.ts"
import type { Subject } from "./plan.ts"
import type { Background, Scene } from "./scene.ts"

interface Captions {
  readonly caption: string
  readonly webCaption: string
}

/** The captions of `scene`; they follow from it alone. */
export function captionsOf(scene: Scene): Captions {
  return {
    caption: preciseCaption(scene, Random.of(scene.look.detail, "caption")),
    webCaption: webCaption(scene, Random.of(scene.look.detail, "web caption")),
  }
}

/** "a red star to the left of a blue circle" */
export function relationCaption(first: Subject, relation: Relation, second: Subject): string {
  return `${withArticle(plainName(first))} ${RELATIONS[relation].phrases[0]} ${withArticle(plainName(second))}`
}

const OPENINGS = ["", "", "", "", "a picture of ", "an image of ", "a photo of ", "a drawing of "]

function preciseCaption(scene: Scene, random: Random): string {
  const ending = random.chance(0.25) ? ` on ${backgroundName(scene.background)}` : ""
  return random.pick(OPENINGS) + contents(scene, random) + ending
}

function contents({ layout, objects, relation }: Scene, random: Random): string {
  const [first, second] = objects
  switch (layout) {
    case "single":
      return withArticle(nameAlone(first!, random))
    case "pair":
      return related(first!, relation!, second!, random)
    case "group":
      return counted(objects, random)
    case "mixed":
      return listed(objects, random)
    default:
      return layout satisfies never
  }
}

/** The relation, seen from the second object as often as from the first. */
function related(first: Subject, relation: Relation, second: Subject, random: Random): string {
  const [one, seen, other] = random.chance(0.5)
    ? [first, relation, second]
    : [second, RELATIONS[relation].inverse, first]
  const phrase = random.pick(RELATIONS[seen].phrases)
  return `${withArticle(fullName(one, random))} ${phrase} ${withArticle(fullName(other, random))}`
}

function counted(objects: readonly Subject[], random: Random): string {
  const count = COUNT_WORDS[objects.length - 1]!
  const name = nameAlone(objects[0]!, random)
  if (objects.length === 1) return random.pick([`one ${name}`, `a single ${name}`, `one object, ${withArticle(name)}`])
  return random.pick([`${count} ${plural(name)}`, `${count} ${plural(name)}`, `${count} objects, all ${plural(name)}`])
}

function listed(objects: readonly Subject[], random: Random): string {
  const names = objects.map((object) => withArticle(fullName(object, random)))
  const list = `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`
  return random.chance(0.5) ? list : `${COUNT_WORDS[objects.length - 1]} objects: ${list}`
}

const SIZE_WORDS = {
  small: ["small", "small", "little"],
  medium: ["medium", "medium-sized"],
  large: ["large", "large", "big"],
} as const satisfies Record<Size, readonly string[]>

/** "large red striped star"; "solid" is left out now and then, as people do. */
function fullName({ shape, colour, pattern, size }: Subject, random: Random): string {
  const fill = pattern === "solid" && random.chance(0.25) ? "" : pattern
  const looks = random.chance(0.65) ? [colour, fill] : [fill, colour]
  return words(random.pick(SIZE_WORDS[size]), ...looks, shape)
}

/**
 * The name where all objects are alike: a brief one in two of five, "red star", "striped star" or "star". Size and
 * colour soon tell the pictures of a batch apart; these ask for shape and pattern.
 */
function nameAlone(subject: Subject, random: Random): string {
  if (!random.chance(0.4)) return fullName(subject, random)
  return words(random.pick([subject.colour, subject.pattern, subject.pattern, ""]), subject.shape)
}

function plainName({ colour, shape }: Pick<Subject, "colour" | "shape">): string {
  return `${colour} ${shape}`
}

function backgroundName({ colour, texture }: Background): string {
  return withArticle(`${texture === "gradient" ? "shaded" : texture} ${colour} background`)
}

type WebStyle = (scene: Scene, random: Random) => string

/** Styles and how many of a hundred captions have them. */
const WEB_STYLES: readonly (readonly [WebStyle, number])[] = [
  [partial, 32],
  [boilerplate, 20],
  [shuffled, 15],
  [mistaken, 12],
  [fileName, 15],
  [unrelated, 6],
]

/** A style, drawn by the weights. */
const WEB_MIX = WEB_STYLES.flatMap(([style, weight]) => Array.from({ length: weight }, () => style))

const BOILERPLATE = [
  "{} | buy now | free shipping",
  "Buy {} online - best price",
  "{} stock vector. Illustration of design",
  "{} clipart, royalty free",
  "{} sticker (pack of 10)",
  "New! {} wall art - 20% off",
  "Amazing {} wallpaper HD download",
  "{} - page 3 of 12",
]

const UNRELATED = [
  "Summer sale ends Sunday",
  "Click to enlarge",
  "Notes from our monthly meeting",
  "Photo of the day",
  "image may be subject to copyright",
  "Our new office is open",
  "Related products",
  "thumbnail",
]

function webCaption(scene: Scene, random: Random): string {
  return random.pick(WEB_MIX)(scene, random)
}

/** One object of the scene, with some of its attributes. */
function partial({ objects }: Scene, random: Random): string {
  return partialName(random.pick(objects), random)
}

function partialName({ shape, colour, pattern, size }: Subject, random: Random): string {
  const kept = (word: string, probability: number) => (random.chance(probability) ? word : "")
  return words(kept(size, 0.3), kept(colour, 0.8), kept(pattern, 0.5), random.chance(0.85) ? shape : "object")
}

function shuffled({ objects }: Scene, random: Random): string {
  const { shape, colour, pattern } = random.pick(objects)
  return random.shuffle([shape, colour, pattern]).join(random.pick([" ", ", ", " / "]))
}

/** The object with another colour or shape. */
function mistaken({ objects }: Scene, random: Random): string {
  const subject = random.pick(objects)
  const other = <T>(names: readonly T[], name: T) => random.pick(names.filter((candidate) => candidate !== name))
  const wrong = random.chance(0.5)
    ? { ...subject, colour: other(namesOf(COLOURS), subject.colour) }
    : { ...subject, shape: other(namesOf(SHAPES), subject.shape) }
  return partialName(wrong, random)
}

function boilerplate(scene: Scene, random: Random): string {
  return random.pick(BOILERPLATE).replace("{}", partial(scene, random))
}

/** A file name as from a web shop or a camera. */
function fileName(scene: Scene, random: Random): string {
  if (random.chance(0.5)) return `${partial(scene, random).replaceAll(" ", random.pick(["-", "_"]))}.jpg`
  return random.pick(["IMG_", "DSC0", "P10", "image"]) + (1000 + random.int(9000)) + random.pick([".jpg", ".JPG", ""])
}

function unrelated(_: Scene, random: Random): string {
  return random.pick(UNRELATED)
}

function words(...parts: readonly string[]): string {
  return parts.filter(Boolean).join(" ")
}

function withArticle(name: string): string {
  return /^[aeiou]/.test(name) ? `an ${name}` : `a ${name}`
}

/** "stars", "crosses" */
export function plural(name: string): string {
  return name.endsWith("s") ? `${name}es` : `${name}s`
}
