import { resolve } from "node:path"
import { expect, test } from "vitest"
import { UserError } from "../../../core/errors.ts"
import { requireFilters } from "../filters.ts"
import { type FilterWords, parseFilters } from "./parse-filters.ts"

const here = { now: new Date(2024, 5, 15, 12), folder: resolve("/home/photos") }
const parse = (words: FilterWords) => parseFilters(words, here)

test("no words are no filters", () => {
  expect(parse({})).toEqual({})
  expect(parse({ in: [], name: [], larger: [], camera: [] })).toEqual({})
})

test("--after includes its time, --before ends where its time begins, --date is all of its time", () => {
  expect(parse({ after: "2023" }).taken).toEqual({ from: "2023-01-01T00:00:00", until: null })
  expect(parse({ before: "2024-06" }).taken).toEqual({ from: null, until: "2024-06-01T00:00:00" })
  expect(parse({ date: "2023-07" }).taken).toEqual({ from: "2023-07-01T00:00:00", until: "2023-08-01T00:00:00" })
  expect(parse({ date: "yesterday" }).taken).toEqual({ from: "2024-06-14T00:00:00", until: "2024-06-15T00:00:00" })
  expect(parse({ date: "2023", after: "2023-07-14", before: "2025" }).taken).toEqual({
    from: "2023-07-14T00:00:00",
    until: "2024-01-01T00:00:00",
  })
})

test("folders are absolute, by whole names", () => {
  expect(parse({ in: ["2023/", "../other", "/abs/x"] }).folders).toEqual(
    ["/home/photos/2023", "/home/other", "/abs/x"].map((path) => resolve(path)),
  )
  expect(parse({ in: ["."] }).folders).toEqual([here.folder])
})

test("the root of a drive is a folder that a search takes", () => {
  const filters = parse({ in: ["/"] })
  expect(filters.folders).toEqual([resolve("/")])
  expect(() => requireFilters(filters)).not.toThrow()
})

test("names are SQLite's patterns", () => {
  expect(parse({ name: ["IMG_2*", "*.{JPG,heic}", "[!A-C]?.png"] }).names).toEqual([
    ...["img_2*", "*.jpg", "*.heic", "[^a-c]?.png"],
  ])
})

test("braces that stand for very many patterns are refused before they are counted out", () => {
  expect(parse({ name: ["{a,b}{c,d,e}.*"] }).names).toHaveLength(6)
  expect(parse({ name: ["{1,2,3,4,5,6,7,8,9,0}{1,2,3,4,5,6,7,8,9,0}*"] }).names).toHaveLength(100)
  expect(() => parse({ name: ["{a,b}".repeat(40)] })).toThrow("--name stands for 1099511627776 values, more than 200")
  expect(() => parse({ name: Array(101).fill("{a,b}") })).toThrow("--name stands for 202 values")
  expect(() => parse({ in: Array(201).fill("a") })).toThrow("--in stands for 201 values")
})

test("sizes say of what", () => {
  expect(parse({ larger: ["2MP", "800x1000"], smaller: ["1.5 MB", "2MiB"] }).sizes).toEqual([
    { than: "larger", unit: "pixels", pixels: 2_000_000 },
    { than: "larger", unit: "sides", longer: 1000, shorter: 800 },
    { than: "smaller", unit: "bytes", bytes: 1_500_000 },
    { than: "smaller", unit: "bytes", bytes: 2_097_152 },
  ])
})

test("orientation, format, camera", () => {
  expect(parse({ orientation: "Landscape, square" }).shapes).toEqual(["landscape", "square"])
  expect(parse({ format: "jpeg,.JPG,heif" }).formats).toEqual(["jpg", "heic"])
  expect(parse({ camera: [" Pixel 8", "EOS"] }).cameras).toEqual(["pixel 8", "eos"])
})

test("a place, with or without a distance", () => {
  expect(parse({ near: "52.52,13.405" }).near).toEqual({ latitude: 52.52, longitude: 13.405, kilometers: 10 })
  expect(parse({ near: "-33.86, 151.2, .5".replace(" .5", "0.5") }).near).toEqual({
    latitude: -33.86,
    longitude: 151.2,
    kilometers: 0.5,
  })
})

test.each<[string, FilterWords, string, string]>([
  ["an empty time", { after: "" }, '--after "" is not a time', "expected 2023"],
  ["times that exclude each other", { after: "2024", before: "2023" }, "no time is within --after", "--before ends"],
  ["the same time twice", { after: "2024", before: "2024" }, '--after "2024" and --before "2024"', "--after includes"],
  [
    "a day or a week",
    { date: "3 weeks ago" },
    "may be a day, or all of that week",
    "--date 2024-05-25, --date 2024-05",
  ],
  ["no folder", { in: [" "] }, "--in names no folder", "--in photos/2023"],
  ["a folder in a name", { name: ["2023/*.jpg"] }, "has a separator", "--in FOLDER"],
  ["no name", { name: [""] }, "--name holds no pattern", "IMG_2*"],
  ["a number alone", { larger: ["1000"] }, '--larger "1000" is not a size', "of what? write 1000x1000"],
  ["one side", { smaller: ["640px"] }, '--smaller "640px" is not a size', "write 640x640"],
  ["megabits", { larger: ["2Mbit"] }, '--larger "2Mbit" is not a size', "2MP for pixels"],
  ["nothing", { larger: ["0MP"] }, '--larger "0MP" is not a size', "2MP for pixels"],
  [
    "another shape",
    { orientation: "landscpe" },
    '--orientation: "landscpe" is not an orientation',
    "perhaps landscape",
  ],
  ["another format", { format: "jpg,raw" }, '--format: "raw" is not a format', "there are jpg, jpeg"],
  ["no camera", { camera: [""] }, "--camera holds no text", "--camera pixel"],
  ["decimal commas", { near: "52,52,13,4" }, '--near "52,52,13,4" is not a place', "decimal points"],
  ["latitude and longitude the wrong way", { near: "151.2,-33.86" }, "is not a place", "LAT,LON"],
  ["no distance", { near: "1,2,0" }, "is not a place", "LAT,LON,KM"],
  ["one number", { near: "52.5" }, "is not a place", "LAT,LON"],
  ["an empty number", { near: "52.5," }, "is not a place", "LAT,LON"],
])("refused: %s", (_, words, message, hint) => {
  const expected = { message: expect.stringContaining(message), hint: expect.stringContaining(hint) }
  expect(() => parse(words)).toThrow(expect.objectContaining({ constructor: UserError, ...expected }))
})
