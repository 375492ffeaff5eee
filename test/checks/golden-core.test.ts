import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import type { Checker } from "./check.ts"
import { checkFill } from "./fill.ts"
import { checkPreprocess } from "./preprocess.ts"
import { checkTokenizer } from "./tokenizer.ts"

const checkers: [string, Checker][] = [
  ["fill.json", checkFill],
  ["tokenizer.json", checkTokenizer],
  ["preprocess.json", checkPreprocess],
]

test.each(checkers)("%s", async (name, check) => {
  const failed = []
  let count = 0
  for await (const result of check(fileURLToPath(new URL(`../golden/${name}`, import.meta.url)))) {
    if (!(result.error <= result.tolerance)) failed.push(result)
    count++
  }
  expect(failed).toEqual([])
  expect(count).toBeGreaterThan(0)
})
