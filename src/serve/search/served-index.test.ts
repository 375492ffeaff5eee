import { randomBytes } from "node:crypto"
import { existsSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, test } from "vitest"
import { endsProcesses } from "../../../test/deadly-task.ts"
import { IndexFolder, type SearchAnswer } from "../../../test/served-index.ts"
import type { ServedTiny } from "../../../test/served-tiny.ts"
import { makeThumbnails } from "../../search/indexing/thumbnails.ts"
import { SearchIndex } from "../../search/search-index.ts"
import { compactIndex } from "../../search/upkeep/compact.ts"
import { forgetPaths } from "../../search/upkeep/forget.ts"
import { lifetimeDefaults } from "../processes/lasting.ts"
import type { IndexTask, PublicPage } from "./index-work.ts"
import { OpenedIndex } from "./opened-index.ts"
import { ServedIndex } from "./served-index.ts"

let made: IndexFolder
beforeAll(async () => {
  made = await IndexFolder.make()
})
afterAll(() => made[Symbol.asyncDispose]())

const processOf = (server: ServedTiny) => server.server.index!.process
const hitOf = ({ hits }: SearchAnswer, name: string) => hits.find((hit) => hit.name === name)!

async function statusOf(server: ServedTiny, path: string): Promise<number> {
  const answer = await fetch(`${server.url}${path}`)
  await answer.arrayBuffer()
  return answer.status
}

/** An index of its own of the same pictures. */
async function another(name: string): Promise<string> {
  const folder = join(made.folder, name)
  await made.grow(folder)
  return folder
}

test("a process that is killed under load loses no search, and cursors and ids of before hold", async () => {
  const server = await made.serve()
  const before = await made.search(server, { query: "a boat", limit: 2 })
  const pid = processOf(server).pid!
  const asked = Array.from({ length: 40 }, (_, i) => made.search(server, { query: `text ${i % 4}` }))
  await sleep(5)
  process.kill(pid, "SIGKILL")
  const found = await Promise.all(asked)
  await using own = await SearchIndex.open(made.index, { threads: 1 })
  for (let i = 0; i < 4; i++) {
    const page = await own.search({ terms: [{ kind: "text", weight: 1, text: `text ${i}` }] })
    for (let n = i; n < found.length; n += 4)
      expect(found[n]!.hits.map(({ cosine }) => cosine)).toEqual(page.hits.map(({ cosine }) => cosine))
  }
  // All of them may have had their answers before it was killed, and its end is told later.
  while (processOf(server).counts.deaths === 0) await sleep(5)
  expect([processOf(server).pid !== pid, processOf(server).counts.deaths]).toEqual([true, 1])
  const next = await made.search(server, { query: "a boat", limit: 2, cursor: before.cursor! })
  expect(next.hits.map(({ id }) => id)).not.toEqual(before.hits.map(({ id }) => id))
  expect(next.hits.length).toBe(2)
  expect(await statusOf(server, before.hits[0]!.thumbnail)).toBe(200)
})

test("the index's process is among those of the server, and in what it measures", async () => {
  const server = await made.serve()
  const indexPid = processOf(server).pid!
  expect(server.server.pids()).toHaveLength(2)
  expect(server.server.pids().at(-1)).toBe(indexPid)
  const { hits } = await made.search(server, { query: "x" })
  await made.search(server, { query: "y" })
  expect(await statusOf(server, hits[0]!.thumbnail)).toBe(200)
  process.kill(indexPid, "SIGKILL")
  while (processOf(server).counts.deaths === 0) await sleep(5)
  await made.search(server, { query: "z" })
  const lines = (await (await fetch(`${server.url}/metrics`)).text()).split("\n")
  const [bytes] = lines.flatMap(
    (line) => /^mobileclip_index_process_bytes\{kind="resident"\} (\d+)$/.exec(line)?.[1] ?? [],
  )
  expect(Number(bytes)).toBeGreaterThan(2e7)
  expect(lines).toEqual(
    expect.arrayContaining([
      'mobileclip_index_begun{kind="searches"} 3',
      'mobileclip_index_begun{kind="thumbnails"} 1',
      'mobileclip_index_waiting{kind="searches"} 0',
      'mobileclip_index_refused{kind="searches"} 0',
      'mobileclip_index_seconds_count{kind="search"} 3',
      'mobileclip_index_seconds_bucket{le="+Inf",kind="thumbnail"} 1',
      'mobileclip_index_process_ends{kind="died"} 1',
      'mobileclip_index_process_ends{kind="replaced"} 0',
    ]),
  )
})

test("a request that the index's process dies of is refused by its field, and the others go on", async () => {
  const server = await made.serve()
  const { hits } = await made.search(server, { query: "x" })
  const [deadly] = await Promise.all([
    endsProcesses(processOf(server), () => made.ask(server, "/v1/search", { query: "deadly" }), isSearchOf("deadly")),
    made.search(server, { query: "y" }),
  ])
  const message = "a process ended each time it worked on this: leave it out"
  expect(deadly).toEqual({ status: 422, value: { error: { kind: "unsupported", message, parameter: "query" } } })
  expect(processOf(server).counts.deaths).toBe(4)
  const thumbnail = await endsProcesses(processOf(server), () => made.ask(server, hits[0]!.thumbnail), isThumbnail)
  expect(thumbnail).toMatchObject({ status: 422, value: { error: { parameter: "id" } } })
  expect((await made.search(server, { query: "x" })).hits).toEqual(hits)
  expect(await statusOf(server, hits[0]!.thumbnail)).toBe(200)
})

const isSearchOf = (text: string) => (task: IndexTask) => task.kind === "search" && task.query.query === text
const isThumbnail = (task: IndexTask) => task.kind === "thumbnail"

test("pictures that another process adds are found; ids stay through growth, forgetting and compacting", async () => {
  const index = await another("grows")
  const server = await made.serve({}, index)
  const before = await made.search(server, { query: "x" })
  await made.addPhoto("2025/new.jpg", 9)
  await made.grow(index)
  const after = await made.search(server, { query: "x" })
  expect([before.hits.length, after.hits.length]).toEqual([5, 6])
  const idsOf = ({ hits }: SearchAnswer) => hits.map(({ id, name }) => `${name} ${id}`).sort()
  expect(idsOf(after).filter((each) => !each.includes("/new.jpg"))).toEqual(idsOf(before))
  expect((await made.ask(server, "/v1/search/index")).value).toMatchObject({ pictures: 6, files: 6 })
  const beach = hitOf(before, "Photos/2023/beach.jpg")
  await forgetPaths(index, [join(made.photos, "2023/beach.jpg")])
  const during = Array.from({ length: 30 }, () => made.search(server, { query: "x" }))
  await compactIndex(index)
  // Rows have other numbers now: a hit's name and its id are of one state.
  for (const page of await Promise.all(during)) expect(idsOf(after)).toEqual(expect.arrayContaining(idsOf(page)))
  expect(idsOf(await made.search(server, { query: "x" }))).toEqual(
    idsOf(after).filter((each) => !each.includes("beach.jpg")),
  )
  expect(await statusOf(server, hitOf(after, "Photos/2025/new.jpg").thumbnail)).toBe(200)
  for (const [path, body] of [[beach.thumbnail], ["/v1/search", { like: beach.id }]] as const)
    expect(await made.ask(server, path, body)).toMatchObject({
      status: 404,
      value: { error: { message: expect.stringContaining("not in the index any more") } },
    })
})

test("rows that get other numbers while a page is on its way give no hit another picture's id", async () => {
  const index = await another("renumbered")
  await using opened = await OpenedIndex.open({ folder: index, threads: 1, maxPixels: 1e6, cursorKey: randomBytes(32) })
  const inner: SearchIndex = Reflect.get(opened, "index")
  const search = inner.search.bind(inner)
  let pages = 0
  inner.search = async (request) => {
    const page = await search(request)
    if (pages++ > 0) return page
    await forgetPaths(index, [join(made.photos, "2023/beach.jpg")])
    await compactIndex(index)
    return page
  }
  const idsOf = ({ hits }: PublicPage) => hits.map(({ id, name }) => `${name} ${id}`)
  const found = idsOf(await opened.search({ query: "x" }))
  expect(pages).toBe(2)
  expect(found).toEqual(idsOf(await opened.search({ query: "x" })))
  expect(found.length).toBeGreaterThan(3)
})

test("another index in the same place is searched, and refuses what belongs to the one before", async () => {
  const [index, other] = [await another("replaced"), await another("other")]
  await forgetPaths(other, [join(made.photos, "top.jpg")])
  const server = await made.serve({}, index)
  const before = await made.search(server, { query: "x", limit: 2 })
  renameSync(index, `${index}.before`)
  renameSync(other, index)
  const after = await made.search(server, { query: "x" })
  expect(after.hits.map(({ name }) => name)).not.toContain("Photos/top.jpg")
  expect(after.hits.length).toBeGreaterThan(3)
  expect(await made.ask(server, before.hits[0]!.thumbnail)).toMatchObject({
    status: 404,
    value: { error: { message: expect.stringContaining("another index") } },
  })
  const cursor = await made.ask(server, "/v1/search", { query: "x", limit: 2, cursor: before.cursor })
  expect(cursor).toMatchObject({
    status: 400,
    value: { error: { message: expect.stringContaining("first page again") } },
  })
  for (const { thumbnail } of after.hits) expect(await statusOf(server, thumbnail)).toBe(200)
})

test("an index that is gone is unavailable, before and after its process died, and answers when it is back", async () => {
  const index = await another("gone")
  const server = await made.serve({}, index)
  const { hits } = await made.search(server, { query: "x" })
  renameSync(index, `${index}.away`)
  const expectGone = async () => {
    for (const [path, body] of [["/v1/search", { query: "x" }], ["/v1/search/index"], [hits[0]!.thumbnail]] as const)
      expect(await made.ask(server, path, body)).toMatchObject({
        status: 503,
        value: { error: { kind: "unavailable" } },
      })
  }
  await expectGone()
  process.kill(processOf(server).pid!, "SIGKILL")
  while (processOf(server).counts.deaths === 0) await sleep(5)
  await expectGone()
  renameSync(`${index}.away`, index)
  expect((await made.search(server, { query: "x" })).hits).toEqual(hits)
})

test("thumbnails that the index keeps are sent as they are; a picture whose file is gone has none but these", async () => {
  const index = await another("kept")
  const server = await made.serve({}, index)
  const bytes = await made.addPhoto("2026/lost.jpg", 11)
  await made.grow(index)
  const { hits } = await made.search(server, { query: "x", names: ["lost.jpg"] })
  const address = hits[0]!.thumbnail
  expect(bytes.length).toBeGreaterThan(0)
  rmSync(join(made.photos, "2026/lost.jpg"))
  expect(await made.ask(server, address)).toMatchObject({
    status: 404,
    value: { error: { message: expect.stringMatching(/^the file of this picture is gone/) } },
  })
  await made.addPhoto("2026/lost.jpg", 11)
  expect((await makeThumbnails(index)).failed).toBe(0)
  rmSync(join(made.photos, "2026/lost.jpg"))
  const answer = await fetch(`${server.url}${address}`)
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "image/webp"])
  expect(
    Buffer.from(await answer.arrayBuffer())
      .subarray(8, 12)
      .toString(),
  ).toBe("WEBP")
  expect((await fetch(`${server.url}${address}?side=64`)).headers.get("content-type")).toBe("image/jpeg")
  expect(await statusOf(server, `${address}?side=512`)).toBe(404)
})

test("a model that is gone: texts that are new are refused, pictures of the index still find others", async () => {
  const index = await another("without-model")
  await using own = await SearchIndex.open(index)
  await own.search({ terms: [{ kind: "text", weight: 1, text: "asked before" }] })
  await own.dispose()
  renameSync(made.model, `${made.model}.away`)
  try {
    const server = await made.serve({}, index)
    const refused = await made.ask(server, "/v1/search", { query: `new ${Math.random()}` })
    expect(refused).toMatchObject({ status: 503, value: { error: { kind: "unavailable" } } })
    const { hits } = await made.search(server, { query: "asked before" })
    expect((await made.search(server, { like: hits[0]!.id })).hits.length).toBe(hits.length - 1)
  } finally {
    renameSync(`${made.model}.away`, made.model)
  }
})

test("a visitor's filter that would hold up others is refused by its field", async () => {
  const server = await made.serve()
  const many = (value: string) => Array<string>(17).fill(value)
  for (const [field, filter, message] of [
    ["names", { names: many("*1*2*3*") }, "names stands for 17 values"],
    ["names", { names: ["{a,b}{c,d}{e,f}{g,h}{i,j}"] }, "names stands for 32 values"],
    ["folders", { folders: many("Photos") }, "folders stands for 17 values"],
    ["cameras", { cameras: many("x") }, "cameras stands for 17 values"],
    [
      "larger",
      { larger: many("1MP").slice(8), smaller: many("9MP").slice(9) },
      "larger and smaller together have 17 values",
    ],
  ] as const)
    expect(await made.ask(server, "/v1/search", { query: "x", ...filter })).toEqual({
      status: 400,
      value: { error: { kind: "invalid", message: `${message}, and may have 16`, parameter: field } },
    })
  const { hits } = await made.search(server, {
    query: "x",
    names: many("*.jpg").slice(1),
    folders: many("Photos").slice(1),
  })
  expect(hits).toHaveLength(5)
})

test("a folder without an index is refused when it is opened", async () => {
  const settings = { folder: join(made.folder, "nothing"), threads: 1, maxPixels: 1e6, cursorKey: randomBytes(32) }
  const opening = ServedIndex.open(settings, { mostWaiting: 1, lifetime: lifetimeDefaults })
  await expect(opening).rejects.toThrow(/there is no index in/)
  expect(existsSync(join(made.folder, "nothing"))).toBe(false)
})
