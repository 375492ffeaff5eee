/**
 * What scenes are made of, as tables. The names are the words of captions and of zero-shot prompts. Shapes start with a
 * consonant, so that "a {shape}" is always right.
 */

/** Outlines as SVG paths (fill rule evenodd) about the origin, y down, reaching about 1 in each direction. */
export const SHAPES = {
  circle: "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1-1 0Z",
  square: "M-.88-.88H.88V.88H-.88Z",
  triangle: "M0-1L1 .82H-1Z",
  star: "M0-1.1L.32-.41L1.08-.33L.5.18L.68.95L0 .56L-.68.95L-.5.18L-1.08-.33L-.32-.41Z",
  heart:
    "M0 .98C-.3.66-1.02.24-1.02-.38C-1.02-.78-.75-.98-.5-.98C-.26-.98-.08-.82 0-.58C.08-.82.26-.98.5-.98C.75-.98 1.02-.78 1.02-.38C1.02.24.3.66 0 .98Z",
  cross: "M-.34-1H.34V-.34H1V.34H.34V1H-.34V.34H-1V-.34H-.34Z",
  ring: "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1-1 0ZM-.46 0A.46.46 0 1 0 .46 0A.46.46 0 1 0-.46 0Z",
  crescent: "M.4-1A1.03 1.03 0 1 0 .4 1A.98 1.12 0 0 1 .4-1Z",
  diamond: "M0-1.1L.74 0L0 1.1L-.74 0Z",
  cloud: "M-.6.62A.44.44 0 0 1-.8-.22A.42.42 0 0 1-.28-.5A.5.5 0 0 1 .6-.34A.48.48 0 0 1 .66.62Z",
  bolt: "M.42-1.12L-.84.22H-.14L-.46 1.12L.84-.34H.16Z",
  drop: "M0-1.12C.22-.62.8-.16.8.36A.8.76 0 0 1-.8.36C-.8-.16-.22-.62 0-1.12Z",
} as const satisfies Record<string, string>

/** Fill colours, and the second colour of a pattern: light on dark colours, dark on light ones. */
export const COLOURS = {
  red: { fill: "#d6202b", accent: "#ffffff" },
  orange: { fill: "#f6861a", accent: "#402000" },
  yellow: { fill: "#f8dc1e", accent: "#403800" },
  green: { fill: "#22963a", accent: "#ffffff" },
  blue: { fill: "#2058d8", accent: "#ffffff" },
  purple: { fill: "#8a2cc0", accent: "#ffffff" },
  pink: { fill: "#f789c1", accent: "#501030" },
  brown: { fill: "#77451c", accent: "#ffffff" },
  black: { fill: "#161618", accent: "#ffffff" },
  white: { fill: "#fafafa", accent: "#808088" },
} as const satisfies Record<string, { readonly fill: string; readonly accent: string }>

export const PATTERNS = ["solid", "striped", "dotted", "checkered"] as const

/** Diameter relative to the side of the object's cell (see `scene.ts`): alone in the picture, or one of several. */
export const SIZES = { small: 0.56, medium: 0.73, large: 0.9 } as const satisfies Record<string, number>

/** Where the first object of a pair is, seen from the second. */
export const RELATIONS = {
  left: { phrases: ["to the left of", "left of"], inverse: "right" },
  right: { phrases: ["to the right of", "right of"], inverse: "left" },
  above: { phrases: ["above", "over"], inverse: "below" },
  below: { phrases: ["below", "under"], inverse: "above" },
} as const satisfies Record<string, { readonly phrases: readonly string[]; readonly inverse: string }>

export const BACKGROUNDS = {
  grey: "#999999",
  "light grey": "#d2d2d2",
  "dark grey": "#484848",
  beige: "#e4d2ab",
  teal: "#2b8b88",
  navy: "#1d2a55",
  lavender: "#cbc0ea",
  mint: "#bde8d0",
} as const satisfies Record<string, string>

export const TEXTURES = ["plain", "gradient", "tiled", "blotchy", "scribbled"] as const

export const COUNT_WORDS = ["one", "two", "three", "four"] as const

export type Shape = keyof typeof SHAPES
export type Colour = keyof typeof COLOURS
export type Pattern = (typeof PATTERNS)[number]
export type Size = keyof typeof SIZES
export type Relation = keyof typeof RELATIONS
export type BackgroundColour = keyof typeof BACKGROUNDS
export type Texture = (typeof TEXTURES)[number]

/** The names of a table, in its order. */
export function namesOf<T extends object>(table: T): readonly (keyof T & string)[] {
  return Object.keys(table) as (keyof T & string)[]
}

/** Whether training pictures never show this shape in this colour: one colour per shape, each colour at least once. */
export function isHeldOut(shape: Shape, colour: Colour): boolean {
  return namesOf(COLOURS).indexOf(colour) === (7 * namesOf(SHAPES).indexOf(shape) + 3) % 10
}
