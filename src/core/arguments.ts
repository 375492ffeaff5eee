/** Arguments of another type than TypeScript would allow, which programs in plain JavaScript give: refused where they enter. */
import { quoted, UserError } from "./errors.ts"
import { type Image8, withoutAlpha } from "./image/pixels.ts"

/** Throws UserError that names `what` and the first value which is not a text. */
export function requireTexts(values: unknown, what: string, hint: string): asserts values is readonly string[] {
  requireList(values, what, "texts", hint)
  const wrong = values.findIndex((value) => typeof value !== "string")
  if (wrong >= 0) throw new UserError(`${what}: number ${wrong + 1} is ${kindOf(values[wrong])}, not a text`, hint)
}

/** Throws UserError that names the first value which is not an image of RGB bytes. */
export function requireImages(values: unknown): asserts values is readonly Image8[] {
  requireList(values, "images", "images", "write [image], with what decodeImage gives")
  values.forEach((value, i) => {
    requireImage(value, `images: number ${i + 1}`, imageHint)
  })
}

function requireImage(value: unknown, name: string, hint: string): asserts value is Image8 {
  const fault = faultOfImage(value)
  if (fault !== null) throw new UserError(`${name} is ${fault}`, hint)
}

/** RGB pixels of an image, or of RGBA as a canvas gives them. Throws UserError that begins with `name` for anything else. */
export function pixelsOf(value: unknown, name: string, hint: string): Image8 {
  const { width, height, data, channels } = Object(value) as Partial<Image8>
  if (!isBytes(data)) throw new UserError(`${name} is ${kindOf(value)}`, hint)
  const isRgba = channels === undefined && data.length > 0 && data.length === 4 * width! * height!
  if (isRgba) return withoutAlpha({ width: width!, height: height!, data })
  requireImage(value, name, hint)
  return value
}

function isBytes(data: unknown): data is Image8["data"] {
  return data instanceof Uint8Array || data instanceof Uint8ClampedArray
}

const imageHint = "give what `await decodeImage(path)` gives, or { width, height, channels: 3, data } with RGB bytes"

/** Throws UserError where `value` lacks one of the methods. */
export function requireMethods(value: unknown, methods: readonly string[], what: string, hint: string): void {
  const object = Object(value) as Readonly<Record<string, unknown>>
  if (methods.every((name) => typeof object[name] === "function")) return
  throw new UserError(`${what} was expected, not ${kindOf(value)}`, hint)
}

/** Throws UserError where `value` is given and is not an AbortSignal: a controller, above all. */
export function requireSignal(value: unknown): void {
  if (value === undefined || typeof Object(value).throwIfAborted === "function") return
  throw new UserError(`signal must be an AbortSignal, not ${kindOf(value)}`, "write controller.signal")
}

/** Throws UserError where `value` is not a list. */
export function requireList(
  value: unknown,
  what: string,
  items: string,
  hint: string,
): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw new UserError(`${what} must be a list of ${items}, not ${kindOf(value)}`, hint)
}

/** Throws UserError that lists the choices where `value` is given and is none of them. */
export function requireOneOf(name: string, value: unknown, choices: readonly string[]): void {
  if (value === undefined || (choices as readonly unknown[]).includes(value)) return
  throw new UserError(`${name} must be one of ${choices.join(", ")}, not ${kindOf(value)}`)
}

/** Throws UserError where `value` is given and is not a whole number from 1 on. */
export function requireCount(name: string, value: unknown): void {
  if (value === undefined || (Number.isInteger(value) && (value as number) > 0)) return
  throw new UserError(`${name} must be a whole number from 1 on, not ${kindOf(value)}`)
}

/** Throws UserError where `value` is given and is neither true nor false. */
export function requireSwitch(name: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return
  throw new UserError(`${name} must be true or false, not ${kindOf(value)}`)
}

/** Throws UserError for an option of another name, which would be passed over in silence. */
export function requireOptionNames(options: object, known: Readonly<Record<string, true>>): void {
  const other = Object.keys(options).find((name) => !Object.hasOwn(known, name))
  if (other === undefined) return
  throw new UserError(`there is no option ${quoted(other)}`, `options are ${Object.keys(known).join(", ")}`)
}

/** What is wrong with a value that should be an image; null: nothing. */
function faultOfImage(value: unknown): string | null {
  const { width, height, data } = Object(value) as Partial<Image8>
  if (!(Number.isInteger(width) && Number.isInteger(height) && isBytes(data))) return `${kindOf(value)}, not an image`
  const pixels = width! * height!
  if (!(width! > 0 && height! > 0)) return `an image of ${width} x ${height} pixels`
  if (data.length === 3 * pixels) return null
  const found = data.length === 4 * pixels ? "4 bytes for each (with alpha)" : `${data.length} bytes in all`
  return `an image of ${width} x ${height} pixels with ${found}; 3 bytes for each were expected`
}

/** In words: "a promise", `the text "cat.jpg"`, "a list". */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value)
  if (typeof value === "string") return `the text ${quoted(value)}`
  if (typeof value === "function") return "a function"
  if (typeof value !== "object") return `the ${typeof value} ${String(value)}`
  if (Array.isArray(value)) return "a list"
  if (value instanceof Promise) return "a promise (await it)"
  const name = Object.getPrototypeOf(value)?.constructor?.name
  return typeof name === "string" && name !== "Object" && name !== "" ? `a value of type ${name}` : "an object"
}
