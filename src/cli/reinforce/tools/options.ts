/** Parsers that the tools share. */
import { InvalidArgumentError } from "commander"

/** `768,768` -> [768, 768] */
export function widths(text: string): number[] {
  const values = text.split(",").map(Number)
  if (values.every((value) => Number.isInteger(value) && value > 0)) return values
  throw new InvalidArgumentError("expected the teachers' widths, such as 768,768")
}

/** `a,b` -> ["a", "b"] */
export function list(text: string): string[] {
  return text.split(",").filter(Boolean)
}
