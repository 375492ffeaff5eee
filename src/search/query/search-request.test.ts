import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { count, pictures, rowsOf, SmallIndex, textTerm } from "../../../test/small-index.ts"
import { UserError } from "../../core/errors.ts"
import { SearchIndex } from "../search-index.ts"

let small: SmallIndex
let index: SearchIndex
beforeAll(async () => {
  small = await SmallIndex.make()
  index = await SearchIndex.open(small.path)
})
afterAll(async () => {
  await index.dispose()
  small[Symbol.dispose]()
})

test.each<[string, object, string, string]>([
  [
    "a folder that is not absolute",
    { folders: ["Photos"] },
    'filters.folders: "Photos" is not an absolute path',
    "resolve",
  ],
  ["a folder outside of a list", { folders: "/photos" }, "filters.folders must be a list, not", "resolve"],
  ["a filter of another name", { camera: ["pixel"] }, 'there is no filter "camera"', "perhaps cameras"],
  ["a prototype's name", { constructor: 1 }, 'there is no filter "constructor"', "there are taken"],
  ["another name of a format", { formats: ["jpeg"] }, 'filters.formats: "jpeg" is not a format', "jpg, png"],
  [
    "a shape in other letters",
    { shapes: ["Portrait"] },
    'filters.shapes: "Portrait" is not a shape',
    "portrait, square",
  ],
  ["no camera", { cameras: [""] }, 'filters.cameras: "" is not a part', "pixel"],
  ["a path for a name", { names: ["a/b"] }, 'filters.names: "a/b" is not a pattern', "img_2"],
  ["a time that is none", { taken: { from: "14.7.2023", until: null } }, "is not a range of times", "2023-07-14T"],
  ["a range without an end", { taken: { from: "2023" } }, "is not a range of times", "until: null"],
  ["a bound without a number", { sizes: [{ than: "larger", unit: "pixels" }] }, "is not a bound", "2e6"],
  ["a place beyond the pole", { near: { latitude: 91, longitude: 0, kilometers: 1 } }, "is not a place", "degrees"],
  ["very many values", { cameras: Array(2000).fill("a") }, "has 2000 values, more than 200", "several times"],
])("a filter that would find nothing or everything is refused: %s", async (_, filters, message, hint) => {
  const refused = { message: expect.stringContaining(message), hint: expect.stringContaining(hint) }
  for (const asked of [index.search({ terms: [textTerm("x")], filters }), index.duplicates({ filters })]) {
    await expect(asked).rejects.toBeInstanceOf(UserError)
    await expect(asked).rejects.toMatchObject(refused)
  }
})

test.each<[string, unknown, string]>([
  ["no terms", { terms: [] }, "the query is empty"],
  ["nothing", undefined, "a request must be an object"],
  ["an empty text", { terms: [textTerm(" ")] }, "terms: number 1 has no text"],
  ["a kind of the command line", { terms: [{ kind: "image", weight: 1, path: "/a.jpg" }] }, 'of the kind "image"'],
  ["a path that is not absolute", { terms: [{ kind: "like", weight: 1, path: "a.jpg" }] }, "has no absolute path"],
  ["bytes of another type", { terms: [{ kind: "bytes", weight: 1, bytes: [1] }] }, "has no bytes"],
  ["no weight", { terms: [textTerm("a", Number.NaN)] }, "weight NaN"],
  ["a cursor that is a number", { terms: [textTerm("a")], cursor: 3 }, "cursor must be a text"],
  ["a controller for its signal", { terms: [textTerm("a")], signal: new AbortController() }, "AbortSignal"],
])("a request that cannot be asked is refused: %s", async (_, request, message) => {
  const asked = index.search(request as Parameters<SearchIndex["search"]>[0])
  await expect(asked).rejects.toBeInstanceOf(UserError)
  await expect(asked).rejects.toThrow(message)
})

test("the case of a camera and of a name does not count", async () => {
  const ask = { terms: [textTerm("x")], limit: count }
  expect((await index.search({ ...ask, filters: { cameras: ["PIXEL"] } })).hits).toHaveLength(count / 2)
  expect((await index.search({ ...ask, filters: { names: ["IMG_1?.JPG"] } })).hits).toHaveLength(10)
})

test("a picture is a path, its address, or bytes; anything else is refused", async () => {
  const path = join(pictures, "ab/winter/beach/IMG_4.jpg")
  const expected = rowsOf(await index.similar(path))
  expect(rowsOf(await index.similar(pathToFileURL(path)))).toEqual(expected)
  expect(rowsOf(await index.similar(pathToFileURL(path).href))).toEqual(expected)
  await expect(index.similar(new Blob(["no picture"]))).rejects.toThrow("is not a picture")
  for (const wrong of [3, "", null, { path }])
    await expect(index.similar(wrong as unknown as string)).rejects.toBeInstanceOf(UserError)
})
