import { describe, expect, test } from "vitest"
import { fromMessage, toMessage } from "./error-message.ts"
import * as errors from "./errors.ts"

/** What threads and processes do to a message. */
const ways = [
  ["a structured clone", (message: unknown) => structuredClone(message)],
  ["JSON", (message: unknown) => JSON.parse(JSON.stringify(message))],
] as const

const classes = Object.entries(errors).filter(
  (entry): entry is [string, typeof errors.UserError] =>
    (entry[1] as { prototype?: unknown }).prototype instanceof Error,
)

test("all classes are tried", () => {
  expect(classes.map(([name]) => name)).toEqual(expect.arrayContaining(["UserError", "EnvironmentError"]))
})

describe.each(ways)("after %s", (_, way) => {
  const crossed = (thrown: unknown) => fromMessage(way(toMessage(thrown)))

  test.each(classes)("%s is one of its class, with its hint, stack and cause", (_, Class) => {
    const sent = new Class("disk full", "free some space", { cause: new Class("inner") })
    const error = crossed(sent) as errors.UserError
    expect(error.constructor).toBe(Class)
    expect(error).toEqual(sent)
    const { name, message, hint, stack } = sent
    expect({ name: error.name, message: error.message, hint: error.hint, stack: error.stack }).toEqual({ name, message, hint, stack }) // biome-ignore format: a row
    expect((error.cause as Error).constructor).toBe(Class)
    expect(error.cause).toEqual(sent.cause)
    expect((crossed(new Class("without")) as errors.UserError).hint).toBeUndefined()
  })

  test("a class that is derived from one of them is that one", () => {
    class NoSuchFile extends errors.EnvironmentError {}
    expect(crossed(new NoSuchFile("away")).constructor).toBe(errors.EnvironmentError)
  })

  test("another error keeps its name, message, stack, code and cause", () => {
    class Odd extends TypeError {
      override readonly name = "Odd"
    }
    const system = Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" })
    const sent = new Odd("odd", { cause: system })
    const error = crossed(sent)
    expect(error).not.toBeInstanceOf(errors.UserError)
    expect([error.name, error.message, error.stack]).toEqual(["Odd", "odd", sent.stack])
    expect(error.cause).toMatchObject({ message: system.message, code: "ENOSPC", stack: system.stack })
    const abort = crossed(new DOMException("This operation was aborted", "AbortError"))
    expect([abort.name, abort.message]).toEqual(["AbortError", "This operation was aborted"])
  })

  test("what is thrown and no error is one with its text", () => {
    expect(crossed("just so")).toEqual(new Error("just so"))
    expect(crossed(undefined).message).toBe("undefined")
  })
})
