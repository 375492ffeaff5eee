import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { count, SmallIndex } from "../../../test/small-index.ts"
import { main } from "../main.ts"

let small: SmallIndex
beforeAll(async () => {
  small = await SmallIndex.make()
})
afterAll(() => small[Symbol.dispose]())

async function run(...words: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const output = { out: (part: string) => void out.push(part), err: (part: string) => void err.push(part) }
  const code = await main(["search", ...words], undefined, output)
  return { code, out: out.join(""), err: err.join("") }
}

test("the command: a table, JSON, paths, all pages, wrong usage", async () => {
  const index = ["--index", small.path]
  const table = await run("red", "car", "-people", "--limit", "3", ...index)
  expect([table.code, table.out.match(/\[missing\]/g)?.length]).toEqual([0, 3])
  const json = await run("dog", "--json", "--explain", "--limit", "7", ...index)
  const page = JSON.parse(json.out)
  expect([page.query, page.hits.length, page.explanation.hits.length]).toEqual(['"dog"', 7, 7])
  const pages = await run("dog", "-0", "--page-all", "--limit", "90", ...index)
  expect(new Set(pages.out.split("\0").slice(0, -1)).size).toBe(count)
  const whole = JSON.parse((await run("dog", "--json", "--explain", "--page-all", ...index)).out)
  expect(whole.hits.map(({ rank }: { rank: number }) => rank)).toEqual(Array.from({ length: count }, (_, i) => i + 1))
  expect(whole.explanation.hits.map(({ cosine }: { cosine: number }) => Number(cosine.toPrecision(7)))).toEqual(
    whole.hits.map(({ cosine }: { cosine: number }) => cosine),
  )
  expect((await run("--duplicates", "--threshold", "0.7", "--json", "--progress", "none", ...index)).code).toBe(0)
  expect(await run("--duplicates", "dog", ...index)).toMatchObject({ code: 2 })
  expect(await run("dog", "--words", "2", ...index)).toMatchObject({ code: 2 })
  expect((await run("dog", "--index", join(small.folder, "nowhere"))).err).toMatch(/there is no index in/)
})
