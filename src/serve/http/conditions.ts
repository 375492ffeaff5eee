/**
 * What a GET or HEAD of a file asks for: conditions first (RFC 9110, 13.2.2), then a range (14.2). Files have strong tags and no
 * date, so that conditions on dates are ignored, as the RFC has it. Several ranges at once are answered with the whole file, which
 * it allows.
 */

export type Asked =
  | { readonly what: "whole" }
  | { readonly what: "unchanged" }
  | { readonly what: "failed" }
  | { readonly what: "unsatisfiable" }
  /** Both ends are included. */
  | { readonly what: "part"; readonly start: number; readonly end: number }

interface Asking {
  readonly method: string
  readonly headers: Pick<Headers, "get">
}

/**
 * @param tag in its quotes
 * @param size bytes
 */
export function askedOf({ method, headers }: Asking, tag: string, size: number): Asked {
  const [match, noneMatch] = [headers.get("if-match"), headers.get("if-none-match")]
  if (match !== null && !names(match, [tag])) return { what: "failed" }
  // A weak tag is of the same contents for who wants to know whether to fetch them at all.
  if (noneMatch !== null && names(noneMatch, [tag, `W/${tag}`])) return { what: "unchanged" }
  const isOther = (headers.get("if-range") ?? tag) !== tag
  const range = method === "GET" && !isOther ? headers.get("range") : null
  return range === null ? { what: "whole" } : partOf(range, size)
}

/** Whether a list of tags has one of these; "*" has all. */
function names(list: string, tags: readonly string[]): boolean {
  return list.trim() === "*" || [...list.matchAll(/(?:W\/)?"[^"]*"/g)].some(([tag]) => tags.includes(tag))
}

/** What is not a range of bytes as the RFC writes it is ignored. */
function partOf(range: string, size: number): Asked {
  const [, first, last] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(range) ?? []
  if (first === undefined || last === undefined || (first === "" && last === "")) return { what: "whole" }
  if (first === "") return lastBytes(Number(last), size)
  const [start, end] = [Number(first), last === "" ? size - 1 : Math.min(Number(last), size - 1)]
  if (last !== "" && Number(last) < start) return { what: "whole" }
  return start < size ? { what: "part", start, end } : { what: "unsatisfiable" }
}

function lastBytes(count: number, size: number): Asked {
  if (count === 0) return { what: "unsatisfiable" }
  return size === 0 ? { what: "whole" } : { what: "part", start: Math.max(0, size - count), end: size - 1 }
}
