import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Validator } from "@seriousme/openapi-schema-validator"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { IndexFolder, type SearchAnswer } from "../../../test/served-index.ts"
import type { ServedTiny } from "../../../test/served-tiny.ts"
import { thumbnail } from "../../host/image/thumbnail.ts"
import { parseFilters } from "../../search/query/parse/parse-filters.ts"
import type { SearchPage } from "../../search/query/search-page.ts"
import type { SearchRequest, SearchTerm } from "../../search/query/search-request.ts"
import { SearchIndex } from "../../search/search-index.ts"

let made: IndexFolder
let server: ServedTiny
let own: SearchIndex
beforeAll(async () => {
  made = await IndexFolder.make()
  server = await made.serve()
  own = await SearchIndex.open(made.index, { threads: 1 })
})
afterAll(async () => {
  await own.dispose()
  await made[Symbol.asyncDispose]()
})

const ask = (body: object) => made.search(server, body)
const textTerm = (text: string, weight = 1) => ({ kind: "text", weight, text }) as const
const photo = (name: string) => join(made.photos, name)
const namesOf = ({ hits }: SearchAnswer) => hits.map(({ name }) => name)

/** All of it is SearchIndex's own, which computes with as many threads. */
function expectPage(answer: SearchAnswer, page: SearchPage): void {
  expect(namesOf(answer)).toEqual(page.hits.map(({ paths }) => `Photos${paths[0]!.slice(made.photos.length)}`))
  answer.hits.forEach(({ id, name: _, thumbnail, ...hit }, i) => {
    const { rank, paths, camera, position, hash, latitude, longitude, ...wanted } = page.hits[i]!
    expect(hit).toEqual(wanted)
    expect(thumbnail).toBe(`/v1/search/thumbnail/${id}`)
  })
  const { matches, searched, notes } = page
  expect(answer).toMatchObject({ matches, searched, notes })
}

const cases: [string, object, SearchTerm[], object, string][] = [
  ["a text", { query: "a dog" }, [textTerm("a dog")], {}, '"a dog"'],
  [
    "texts to lead away from",
    { query: "a dog", minus: ["snow", "people"] },
    [textTerm("a dog"), textTerm("snow", -1), textTerm("people", -1)],
    {},
    '"a dog" - "snow" - "people"',
  ],
  ["a folder", { query: "x", folders: ["Photos/2023"] }, [textTerm("x")], { in: ["2023"] }, '"x"'],
  ["names", { query: "x", names: ["*o*.jpg"] }, [textTerm("x")], { name: ["*o*.jpg"] }, '"x"'],
  ["a format and a size", { query: "x", format: "png" }, [textTerm("x")], { format: "png" }, '"x"'],
  ["what looks like a path", { query: "/etc/passwd" }, [textTerm("/etc/passwd")], {}, '"/etc/passwd"'],
  ["what looks like a picture", { query: "image:top.jpg" }, [textTerm("image:top.jpg")], {}, '"image:top.jpg"'],
  ["what looks like a sign", { query: "-2:dog" }, [textTerm("-2:dog")], {}, '"-2:dog"'],
]

test.each(cases)("%s: the answer is SearchIndex's own", async (_, body, terms, words, text) => {
  const filters = parseFilters(words, { now: new Date(), folder: made.photos })
  const page = await own.search({ terms, filters })
  expect(page.hits.length > 0 || "format" in body).toBe(true)
  const answer = await ask(body)
  expectPage(answer, page)
  expect(answer.query).toBe(text)
})

test("pages follow each other by cursors, which tell nothing and cannot be made", async () => {
  const request: SearchRequest = { terms: [textTerm("a boat")], limit: 2 }
  // What an answer has may be sent back as it is.
  const pages = [await ask({ query: "a boat", limit: 2, cursor: null })]
  while (pages.at(-1)!.cursor) pages.push(await ask({ query: "a boat", limit: 2, cursor: pages.at(-1)!.cursor }))
  expect(pages.map(({ hits }) => hits.length)).toEqual([2, 2, 1])
  const first = await own.search(request)
  expectPage(pages[0]!, first)
  expectPage(pages[1]!, await own.search({ ...request, cursor: first.cursor }))
  const next = pages[0]!.cursor!
  for (const other of [first.cursor!, `${next.slice(0, -2)}AA`, "nonsense", Buffer.alloc(60).toString("base64url")]) {
    const { status, value } = await made.ask(server, "/v1/search", { query: "a boat", limit: 2, cursor: other })
    expect([status, value]).toMatchObject([400, { error: { kind: "invalid", parameter: "cursor" } }])
  }
  const { value } = await made.ask(server, "/v1/search", { query: "another", limit: 2, cursor: next })
  expect(value).toMatchObject({ error: { message: expect.stringContaining("another query") } })
  const neighbour = await made.serve()
  const foreign = await made.ask(neighbour, "/v1/search", { query: "a boat", limit: 2, cursor: next })
  expect(foreign).toMatchObject({ status: 400, value: { error: { parameter: "cursor" } } })
})

test("a picture by its bytes, and pictures like one of the index", async () => {
  const bytes = readFileSync(photo("2024/snow.jpg"))
  const page = await own.search({ terms: [{ kind: "bytes", weight: 1, bytes }] })
  const found = await ask({ image: bytes.toString("base64") })
  expectPage(found, page)
  expectPage(await ask({ image: `data:image/jpeg;base64,${bytes.toString("base64")}` }), page)
  const like = await ask({ like: found.hits.find(({ name }) => name === "Photos/2024/snow.jpg")!.id })
  expectPage(like, await own.similar(photo("2024/snow.jpg")))
  expect([like.query, like.hits.length]).toEqual(['like "Photos/2024/snow.jpg"', 4])
  const foreign = await sharp({ create: { width: 90, height: 60, channels: 3, background: "#c03010" } })
    .png()
    .toBuffer()
  const mixed = await ask({ query: "red", image: foreign.toString("base64") })
  expectPage(mixed, await own.search({ terms: [textTerm("red"), { kind: "bytes", weight: 1, bytes: foreign }] }))
  expect(mixed.query).toBe('"red" + a picture')
})

test("the index is described without its place", async () => {
  const { pictures, files, model, dim, taken, cameras, formats } = own.describe()
  const { status, value } = await made.ask(server, "/v1/search/index")
  expect(status).toBe(200)
  expect(value).toEqual({ pictures, files, model, dim, taken, cameras, formats, folders: ["Photos"], failures: 0 })
})

test("thumbnails are small JPEG files that clients keep", async () => {
  const { hits } = await ask({ query: "x", names: ["beach.jpg"] })
  const address = `${server.url}${hits[0]!.thumbnail}`
  const answer = await fetch(`${address}?side=32`)
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "image/jpeg"])
  expect(answer.headers.get("cache-control")).toBe("private, max-age=3600")
  const bytes = Buffer.from(await answer.arrayBuffer())
  expect(bytes.equals(await thumbnail(photo("2023/beach.jpg"), { side: 32 }))).toBe(true)
  const etag = answer.headers.get("etag")!
  const again = await fetch(`${address}?side=32`, { headers: { "if-none-match": etag } })
  expect([again.status, await again.text()]).toEqual([304, ""])
  const larger = await fetch(`${address}?side=48`, { headers: { "if-none-match": etag } })
  expect(larger.status).toBe(200)
  await larger.arrayBuffer()
})

const long = "x".repeat(100_000)
const pixel = async (width: number, height: number) =>
  (
    await sharp({ create: { width, height, channels: 3, background: "#fff" } })
      .png()
      .toBuffer()
  ).toString("base64")

test.each<[string, object | (() => Promise<object>), number, string | null, RegExp]>([
  ["nothing to look for", {}, 400, "query", /nothing is looked for/],
  ["only what is not looked for", { minus: ["people"] }, 400, "query", /only says what is not looked for/],
  ["a blank text", { query: " \n" }, 400, "query", /query is blank/],
  ["a blank minus", { query: "x", minus: ["a", " "] }, 400, "minus[1]", /minus\[1\] is blank/],
  ["terms that cancel each other", { query: "x", minus: ["x"] }, 400, null, /cancel each other/],
  ["a field of another name", { query: "x", befor: "2023" }, 400, null, /befor/],
  ["a huge text", { query: long }, 400, "query", /2000/],
  ["an object for a text", { query: { toString: "x" } }, 400, "query", /^query: a text is expected, not an object$/],
  ["a limit", { query: "x", limit: 101 }, 400, "limit", /100/],
  ["a huge cursor", { query: "x", cursor: long }, 400, "cursor", /50000/],
  ["a path for a picture", { image: "/etc/passwd" }, 400, "image", /image is not a picture/],
  ["an address for a picture", { image: "http://127.0.0.1/x" }, 400, "image", /does not fetch/],
  ["a file for a picture", { image: "file:///etc/passwd" }, 400, "image", /image is not base64/],
  ["bytes that are not a picture", { image: "bm90IGEgcGljdHVyZQ==" }, 400, "image", /^image is not /],
  ["half a picture", async () => ({ image: (await pixel(80, 80)).slice(0, 120) }), 400, null, /picture|image/],
  ["a picture of many pixels", async () => ({ image: await pixel(2000, 1000) }), 400, "image", /2000 x 1000 pixels/],
  ["a path for an id", { like: "../../etc/passwd" }, 400, "like", /not an id/],
  ["a foreign id", { like: Buffer.alloc(38, 7).toString("base64url") }, 404, "like", /another index/],
  ["an absolute folder", { query: "x", folders: ["/etc"] }, 400, "folders[0]", /not a folder's name/],
  [
    "a folder that climbs",
    { query: "x", folders: ["Photos", "Photos/../.."] },
    400,
    "folders[1]",
    /not a folder's name/,
  ],
  ["a folder that is unknown", { query: "x", folders: ["Fotos"] }, 400, "folders[0]", /it has "Photos"/],
  ["a time of two meanings", { query: "x", after: "03/04/2023" }, 400, "after", /^after "03\/04\/2023".*2023-04-03/],
  ["braces that multiply", { query: "x", names: ["{a,b}".repeat(40)] }, 400, "names", /^names .*more than 200/],
  ["a format", { query: "x", format: "bmp" }, 400, "format", /^format: "bmp"/],
  ["a place", { query: "x", near: "95,200" }, 400, "near", /write LAT,LON .*: near 52/],
])("refused: %s", async (_, given, status, parameter, message) => {
  const answer = await made.ask(server, "/v1/search", typeof given === "function" ? await given() : given)
  expect(answer).toMatchObject({ status, value: { error: { parameter, message: expect.stringMatching(message) } } })
  expect(JSON.stringify(answer.value).length).toBeLessThan(1000)
})

test.each([
  ["/v1/search/thumbnail/..%2f..%2fetc%2fpasswd", 400],
  [`/v1/search/thumbnail/${Buffer.alloc(38, 7).toString("base64url")}`, 404],
  ["/v1/search/thumbnail/%00", 400],
  [`/v1/search/thumbnail/${long.slice(0, 5000)}`, 400],
  ["/v1/search/other", 404],
])("refused: %s", async (path, status) => {
  const answer = await made.ask(server, path)
  expect(answer).toMatchObject({ status, value: { error: { message: expect.any(String) } } })
})

test("sides of thumbnails have bounds", async () => {
  const { hits } = await ask({ query: "x", limit: 1 })
  for (const side of ["0", "1e9", "64.5", "many"]) {
    const answer = await made.ask(server, `${hits[0]!.thumbnail}?side=${side}`)
    expect(answer).toMatchObject({ status: 400, value: { error: { parameter: "side" } } })
  }
})

test("with tokens, only who brings one is answered; without an index nobody is", async () => {
  const guarded = await made.serve({ tokens: ["a token"] })
  const without = await made.serve({ index: undefined })
  const { hits } = await ask({ query: "x", limit: 1 })
  for (const path of ["/v1/search/index", hits[0]!.thumbnail]) {
    expect((await made.ask(guarded, path)).status).toBe(401)
    expect(await made.ask(without, path)).toMatchObject({
      status: 404,
      value: { error: { message: expect.stringContaining("--index DIR") } },
    })
  }
  expect((await made.ask(guarded, "/v1/search", { query: "x" })).status).toBe(401)
  expect((await made.ask(without, "/v1/search", { query: "x" })).status).toBe(404)
  const headers = { authorization: "Bearer a token", "content-type": "application/json" }
  expect((await fetch(`${guarded.url}/v1/search/index`, { headers })).status).toBe(200)
  // What an <img> of the page asks for brings no token.
  const body = JSON.stringify({ query: "x", limit: 1 })
  const found = (await (
    await fetch(`${guarded.url}/v1/search`, { method: "POST", headers, body })
  ).json()) as SearchAnswer
  const [address] = found.hits.map(({ thumbnail }) => thumbnail)
  expect(address).toMatch(/^\/v1\/search\/thumbnail\/[\w-]{51}\?key=[\w-]{43}$/)
  const picture = await fetch(`${guarded.url}${address}&side=32`)
  expect([picture.status, picture.headers.get("content-type")]).toEqual([200, "image/jpeg"])
  expect((await picture.arrayBuffer()).byteLength).toBeGreaterThan(100)
  const other = hits[0]!.id.replace(/^./, (first) => (first === "A" ? "B" : "A"))
  expect((await made.ask(guarded, address!.replace(hits[0]!.id, other))).status).toBe(401)
})

test("the description of the interface is valid and has the search", async () => {
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: object }
  const { valid, errors } = await new Validator().validate(document)
  expect([errors ?? [], valid]).toEqual([[], true])
  const searches = Object.keys(document.paths).filter((path) => path.startsWith("/v1/search"))
  expect(searches).toEqual(["/v1/search", "/v1/search/thumbnail/{id}", "/v1/search/index"])
  const without = await made.serve({ index: undefined })
  const other = (await (await fetch(`${without.url}/openapi.json`)).json()) as { paths: object }
  expect(Object.keys(other.paths).filter((path) => path.startsWith("/v1/search"))).toEqual([])
})
