import { setTimeout as sleep } from "node:timers/promises"
import { expect, test } from "vitest"
import { ServedTiny } from "../../test/served-tiny.ts"
import { lifetimeDefaults } from "./processes/lasting.ts"

async function lines(served: ServedTiny): Promise<Record<string, number>> {
  const text = await (await fetch(`${served.url}/metrics`)).text()
  return Object.fromEntries(text.split("\n").map((line) => [line.replace(/ \S+$/, ""), Number(line.split(" ").at(-1))]))
}

test("what is measured: items and batches, what was known, processes that were replaced, and seconds", async () => {
  await using served = await ServedTiny.start({ engine: { lifetime: { ...lifetimeDefaults, mostTasks: 2 } } })
  const began = performance.now()
  for (const input of [["a", "b", "c"], ["a"], ["d"]])
    expect((await served.post("/v1/embeddings", { input })).status).toBe(200)
  const longest = (performance.now() - began) / 1000
  let found = await lines(served)
  const of = (name: string, kind: string) => found[`mobileclip_${name}{model="tiny",kind="${kind}"}`]
  while (of("process_ends", "replaced") === 0) {
    await sleep(20)
    found = await lines(served)
  }
  expect([of("computed", "texts"), of("batches", "texts")]).toEqual([4, 2])
  expect([of("computed", "pictures"), of("refused", "texts")]).toEqual([0, 0])
  expect([of("cache", "hits"), of("cache", "misses")]).toEqual([1, 4])
  expect([of("process_ends", "replaced"), of("process_ends", "died")]).toEqual([1, 0])
  const route = 'route="/v1/embeddings"'
  expect(found[`mobileclip_requests_total{${route},status="200"}`]).toBe(3)
  expect(found[`mobileclip_request_seconds_count{${route}}`]).toBe(3)
  expect(found[`mobileclip_request_seconds_sum{${route}}`]).toBeGreaterThan(longest / 1000)
  expect(found[`mobileclip_request_seconds_sum{${route}}`]).toBeLessThan(longest)
})
