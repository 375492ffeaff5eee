import { expect, test } from "vitest"
import { judge, parkedBefore } from "./parking.ts"
import type { Attempts } from "./records.ts"

const policy = { maxTries: 2, stallSeconds: 600, retrySeconds: 5 }
const none: Attempts = { released: 0, failures: [], outages: 0, outagesBy: [] }

const failed = (cause: "input" | "environment" | "fault", machine = "a") => ({
  ...{ cause, machine, reason: "broken", worker: `${machine}-1` },
})

test("a shard that fails is tried again, later every time, and parked after the last try", () => {
  const first = judge(none, 1, failed("input"), policy)
  expect(first).toMatchObject({ verdict: { kind: "failed", tries: 1, cause: "input" }, retrySeconds: 5 })
  const last = judge(first.attempts, 2, failed("fault"), policy)
  expect(last.verdict).toEqual({ kind: "parked", reason: "broken", tries: 2, cause: "fault" })
  expect(last.attempts.failures).toHaveLength(2)
})

test("a delivery that a worker gave back is not a try", () => {
  expect(judge({ ...none, released: 3 }, 4, failed("input"), policy).verdict).toMatchObject({
    kind: "failed",
    tries: 1,
  })
})

test("deliveries that ended without a word park a shard before it is begun once more", () => {
  expect(parkedBefore(none, 2, policy)).toBeNull()
  expect(parkedBefore(none, 3, policy)).toEqual({
    ...{ kind: "parked", tries: 2, cause: "input" },
    reason: "2 of 2 tries ended without a word: the worker died or lost its connection",
  })
})

/** The verdicts on failures of these machines, one after the other. */
function outagesOn(machines: readonly string[]): string[] {
  let attempts = none
  return machines.map((machine, i) => {
    const judged = judge(attempts, i + 1, failed("environment", machine), policy)
    attempts = judged.attempts
    return judged.verdict.kind
  })
}

test("failures of machines park a shard where three of them had some, or one of them twenty", () => {
  expect(outagesOn(["a", "b", "a", "c"])).toEqual(["returned", "returned", "returned", "parked"])
  expect(outagesOn(Array(20).fill("a"))).toEqual([...Array(19).fill("returned"), "parked"])
})
