/** A scene as an SVG document: background, texture, objects. Light, blur and noise come later, on pixels (`render.ts`). */
import { Random } from "../../core/arrays/random.ts"
import { BACKGROUNDS, COLOURS, type Pattern, SHAPES } from "./attributes.ts"
import type { Scene, SceneObject } from "./scene.ts"

/** The SVG text of `scene`, in its pixels. */
export function sceneToSvg(scene: Scene): string {
  const { width, height, objects } = scene
  const patterns = objects.map(patternOf).join("")
  const body = background(scene) + objects.map(drawObject).join("")
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><defs>${patterns}</defs>${body}</svg>`
}

/** The outline is stroked in the object's own colour, so that a pattern does not fray it. */
function drawObject(object: SceneObject, index: number): string {
  const { fill } = COLOURS[object.colour]
  const paint = object.pattern === "solid" ? fill : `url(#p${index})`
  const move = `translate(${object.x} ${object.y}) rotate(${object.angle}) scale(${object.radius})`
  const stroke = `stroke="${fill}" stroke-width=".12" stroke-linejoin="round"`
  return `<path transform="${move}" d="${SHAPES[object.shape]}" fill="${paint}" fill-rule="evenodd" ${stroke}/>`
}

/** One tile of each pattern in units of the object's radius: its side, and what is drawn on it in the second colour. */
const TILES = {
  striped: { side: 0.62, mark: `<path d="M0 0H.62V.29H0Z"/>` },
  dotted: { side: 0.6, mark: `<circle cx=".3" cy=".3" r=".18"/>` },
  checkered: { side: 0.84, mark: `<path d="M0 0H.42V.42H0ZM.42.42H.84V.84H.42Z"/>` },
} as const satisfies Record<Exclude<Pattern, "solid">, { readonly side: number; readonly mark: string }>

function patternOf({ pattern, colour, patternAngle }: SceneObject, index: number): string {
  if (pattern === "solid") return ""
  const { side, mark } = TILES[pattern]
  const { fill, accent } = COLOURS[colour]
  const angle = pattern === "striped" ? patternAngle : 0
  const tile = `width="${side}" height="${side}" patternUnits="userSpaceOnUse" patternTransform="rotate(${angle})"`
  const ground = `<path d="M0 0H${side}V${side}H0Z" fill="${fill}"/>`
  return `<pattern id="p${index}" ${tile}>${ground}<g fill="${accent}">${mark}</g></pattern>`
}

function background(scene: Scene): string {
  const { width, height } = scene
  const random = Random.of(scene.look.detail, "texture")
  const ground = `<rect width="${width}" height="${height}" fill="${BACKGROUNDS[scene.background.colour]}"/>`
  return ground + texture(scene, random)
}

/** Faint marks in black or white, drawn so as not to be taken for an object or its pattern. */
function texture(scene: Scene, random: Random): string {
  const { width, height, background } = scene
  const ink = () => (random.chance(0.5) ? "#fff" : "#000")
  const point = () => `${random.int(width)} ${random.int(height)}`
  switch (background.texture) {
    case "plain":
      return ""
    case "gradient":
      return gradient(width, height, random)
    case "tiled":
      return grid(width, height, 10 + random.int(12), ink())
    case "blotchy":
      return repeat(9, () => blotch(random.int(width), random.int(height), 10 + random.int(width / 4), ink()))
    case "scribbled":
      return repeat(
        7,
        () => `<path d="M${point()}Q${point()} ${point()}" fill="none" stroke="${ink()}" opacity=".16"/>`,
      )
    default:
      return background.texture satisfies never
  }
}

function gradient(width: number, height: number, random: Random): string {
  const [dark, light] = random.chance(0.5) ? ["0%", "100%"] : ["100%", "0%"]
  const direction = random.pick([`x2="1" y2="0"`, `x2="0" y2="1"`, `x2="1" y2="1"`])
  const stops = `<stop offset="${dark}" stop-opacity=".3"/><stop offset="${light}" stop-color="#fff" stop-opacity=".3"/>`
  const fill = `<linearGradient id="g" x1="0" y1="0" ${direction}>${stops}</linearGradient>`
  return `${fill}<rect width="${width}" height="${height}" fill="url(#g)"/>`
}

function grid(width: number, height: number, step: number, ink: string): string {
  const columns = repeat(width / step, (i) => `M${(i + 1) * step} 0V${height}`)
  const rows = repeat(height / step, (i) => `M0 ${(i + 1) * step}H${width}`)
  return `<path d="${columns}${rows}" stroke="${ink}" opacity=".2"/>`
}

function blotch(x: number, y: number, radius: number, ink: string): string {
  return `<circle cx="${x}" cy="${y}" r="${radius}" fill="${ink}" opacity=".06"/>`
}

function repeat(count: number, make: (index: number) => string): string {
  return Array.from({ length: Math.floor(count) }, (_, i) => make(i)).join("")
}
