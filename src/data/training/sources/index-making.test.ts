import { expect, test } from "vitest"
import { indexCacheFolder } from "../../sample-index/index-places.ts"
import { IndexMaking } from "./index-making.ts"

function recorded() {
  const shown: unknown[] = []
  const clock = { seconds: 0 }
  const start = (label: string, total: number, { seconds }: { readonly seconds?: number }) => {
    shown.push([label, total, seconds])
    return { update: (done: number) => shown.push(done), done: () => shown.push("done") }
  }
  return { shown, clock, making: new IndexMaking(40, start, () => clock.seconds) }
}

test("what is quick is neither shown nor told", () => {
  const { shown, clock, making } = recorded()
  clock.seconds = 4
  making.add(null)
  expect([making.end(), shown, making.count]).toEqual([[], [], 1])
})

test("what takes long is shown while it goes on, and told", () => {
  const { shown, clock, making } = recorded()
  for (const seconds of [2, 6, 31.4]) {
    clock.seconds = seconds
    making.add(null)
  }
  expect(making.end()).toEqual([`indexed 3 shards in 31 s; the next start finds the indexes in ${indexCacheFolder()}`])
  expect(shown).toEqual([["indexing", 40, 6], 2, 3, "done"])
})

test("why indexes are not kept is told, with the first reason, and nothing that comes when all shards are open", () => {
  const { shown, clock, making } = recorded()
  making.add("the disk is full")
  making.add("another")
  const line = "the indexes of 2 shards are not kept, and are made at each start: the disk is full"
  expect(making.end()).toEqual([line])
  clock.seconds = 100
  making.add(null)
  expect([shown, making.count]).toEqual([[], 3])
})
