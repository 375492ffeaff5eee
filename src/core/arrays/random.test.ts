import { expect, test } from "vitest"
import { Random } from "./random.ts"

test("shuffles are those of all versions: jobs that go on depend on them", () => {
  const order = [7, 5, 0, 6, 2, 4, 3, 1, 8, 9]
  expect([...Random.of(3, "x").permutation(10)]).toEqual(order)
  expect(
    Random.of(3, "x")
      .shuffle([..."abcdefghij"])
      .join(""),
  ).toBe(order.map((i) => "abcdefghij"[i]).join(""))
  expect([...Random.of(3, "x").permutation(0)]).toEqual([])
})
