import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { captionBeside } from "./caption-beside.ts"
import { noMetadata } from "./picture-metadata.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "beside-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (name: string, content: string | Uint8Array) => writeFileSync(join(folder, name), content)
const beside = (name = "IMG.jpg") => captionBeside(join(folder, name))

const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description xmp:Rating="3" exif:GPSLatitude="48,8.25N" exif:GPSLongitude="11,34,30W"
  photoshop:DateCreated="2021-07-01T10:00:00+02:00"><dc:subject><rdf:Bag><rdf:li>lake</rdf:li></rdf:Bag></dc:subject></rdf:Description></x:xmpmeta>`
const takeout = {
  ...{ title: "IMG.jpg", description: "Lunch at the lake", people: [{ name: "Ada" }] },
  photoTakenTime: { timestamp: "1625126400", formatted: "01.07.2021, 08:00:00 UTC" },
  ...{ geoData: { latitude: 0, longitude: 0 }, geoDataExif: { latitude: -1.5, longitude: 36 } },
}

test.each(["IMG.txt", "IMG.jpg.txt"])("a caption in %s", async (name) => {
  write(name, "\ufeffTwo  dogs\non a beach \n")
  expect(await beside()).toEqual({ ...noMetadata, caption: "Two dogs on a beach" })
})

test.each(["IMG.xmp", "IMG.jpg.xmp"])("XMP in %s", async (name) => {
  write(name, xmp)
  expect(await beside()).toEqual({
    ...noMetadata,
    ...{ keywords: ["lake"], rating: 3 },
    ...{ latitude: 48 + 8.25 / 60, longitude: -(11 + 34 / 60 + 30 / 3600) },
    taken: { text: "2021-07-01T10:00:00", utcOffset: "+02:00", ms: Date.UTC(2021, 6, 1, 8) },
  })
})

test.each(["IMG.jpg.json", "IMG.jpg.supplemental-metadata.json"])("Google Takeout's %s", async (name) => {
  write(name, JSON.stringify(takeout))
  expect(await beside()).toEqual({
    ...noMetadata,
    ...{ caption: "Lunch at the lake", keywords: ["Ada"], latitude: -1.5, longitude: 36 },
    taken: { text: "2021-07-01T08:00:00", utcOffset: "+00:00", ms: 1_625_126_400_000 },
  })
})

test("among several files the first that has a field gives it, and keywords add up", async () => {
  write("IMG.txt", "by hand")
  write("IMG.xmp", xmp)
  write("IMG.jpg.json", JSON.stringify(takeout))
  expect(await beside()).toMatchObject({
    ...{ caption: "by hand", rating: 3, keywords: ["lake", "Ada"], latitude: 48 + 8.25 / 60 },
    taken: { utcOffset: "+02:00" },
  })
})

test("nothing beside it, files of others, and files that cannot be read say nothing", async () => {
  write("IMG2.txt", "another picture's")
  expect(await beside()).toBeNull()
  write("IMG.txt", Buffer.of(0xff, 0xfe, 0x00))
  write("IMG.jpg.json", '{"description": 7, "photoTakenTime": {"timestamp": "soon"}, "geoData": []')
  write("IMG.xmp", "x".repeat(2 ** 20 + 1))
  mkdirSync(join(folder, "IMG.jpg.txt"))
  expect(await beside()).toBeNull()
  for (const text of ["[]", "null", '{"photoTakenTime": {"timestamp": "99999999999999"}}', '{"people": "x"}']) {
    write("IMG.jpg.json", text)
    expect(await beside()).toBeNull()
  }
})

test("a list of names spares looking for files", async () => {
  write("IMG.txt", "by hand")
  const asked: string[] = []
  const isThere = (path: string) => asked.push(path) < 0
  expect(await captionBeside(join(folder, "IMG.jpg"), isThere)).toBeNull()
  expect(asked).toContain(join(folder, "IMG.txt"))
})
