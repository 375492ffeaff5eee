import { readFileSync } from "node:fs"
import sharp from "sharp"
import { expect, test } from "vitest"
import { heifFile, tileOf } from "../../../test/heif-file.ts"
import { Random } from "../../core/arrays/random.ts"
import { decodeImage } from "./images.ts"
import { exifBlock } from "./metadata/blocks.ts"
import { pictureFormat } from "./picture-format.ts"
import { cameraName, noMetadata, placeOf, readPictureMetadata } from "./picture-metadata.ts"

const exif = {
  IFD0: { Make: "Apple", Model: "iPhone 15", ImageDescription: "Zwei Hunde am Meer, gr--n", XPKeywords: "x" },
  IFD2: { DateTimeOriginal: "2024:05:17 14:03:22", OffsetTimeOriginal: "+02:00", LensModel: "wide 26 mm" },
  IFD3: {
    ...{ GPSLatitudeRef: "N", GPSLatitude: "48/1 8/1 1234/100" },
    ...{ GPSLongitudeRef: "W", GPSLongitude: "11/1 34/1 0/1" },
  },
}
const xmp = (fields: string) =>
  `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" ${fields}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`
const words = xmp(
  'xmp:Rating="4"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">Surf &amp; sand</rdf:li><rdf:li xml:lang="de">Meer</rdf:li></rdf:Alt></dc:description><dc:subject><rdf:Bag><rdf:li>dog</rdf:li><rdf:li>beach</rdf:li><rdf:li>dog</rdf:li></rdf:Bag></dc:subject>',
)

const picture = () => sharp({ create: { width: 24, height: 16, channels: 3, background: "#456" } })
const read = (bytes: Uint8Array) => readPictureMetadata(bytes, pictureFormat(bytes))

const fromExif = {
  taken: { text: "2024-05-17T14:03:22", utcOffset: "+02:00", ms: Date.UTC(2024, 4, 17, 12, 3, 22) },
  camera: "Apple iPhone 15",
  lens: "wide 26 mm",
  latitude: 48 + 8 / 60 + 12.34 / 3600,
  longitude: -(11 + 34 / 60),
  caption: "Zwei Hunde am Meer, grün",
  orientation: 1,
}

const tile = tileOf(readFileSync(new URL("../../../test/fixtures/heif/tile.heic", import.meta.url)))
const heic = (parts: object) => heifFile({ tiles: [tile], side: 64, columns: 1, width: 50, height: 30, ...parts })

/** libexif, which writes it, leaves letters out that are not ASCII; cameras and programs write UTF-8. */
function withLetter(bytes: Buffer): Buffer {
  const at = bytes.indexOf("gr--n")
  if (at >= 0) bytes.write("ü", at + 2)
  return bytes
}

async function block(): Promise<Buffer> {
  return exifBlock(withLetter(await picture().withExif(exif).webp().toBuffer()), "webp")!
}

test("JPEG, PNG, WebP, AVIF, HEIC and TIFF: time, place, camera, lens and caption", async () => {
  for (const format of ["jpeg", "png", "webp", "avif"] as const) {
    const found = await read(withLetter(await picture().withExif(exif).toFormat(format).toBuffer()))
    expect(found).toMatchObject({ ...fromExif, latitude: expect.closeTo(fromExif.latitude, 9) })
    expect(found.longitude).toBeCloseTo(fromExif.longitude, 9)
  }
  for (const file of [heic({ exif: await block() }), await block()]) expect(await read(file)).toMatchObject(fromExif)
})

test("XMP in each of them: its caption comes first, keywords are given once, and stars", async () => {
  const expected = { caption: "Surf & sand", keywords: ["dog", "beach"], rating: 4 }
  for (const format of ["jpeg", "png", "webp", "tiff", "avif"] as const) {
    expect(await read(await picture().withXmp(words).toFormat(format).toBuffer())).toMatchObject(expected)
  }
  const chunk = (name: string, content: string) => {
    const bytes = Buffer.from(`\0\0\0\0${name}${content}\0\0\0\0`)
    bytes.writeUInt32BE(bytes.length - 12)
    return bytes
  }
  const png = await picture().png().toBuffer()
  const standard = chunk("iTXt", `XML:com.adobe.xmp\0\0\0\0\0${words}`)
  expect(await read(Buffer.concat([png.subarray(0, 33), standard, png.subarray(33)]))).toMatchObject(expected)
  expect(await read(heic({ xmp: words, exif: await block() }))).toMatchObject({
    ...fromExif,
    ...expected,
    keywords: ["dog", "beach", "x"],
  })
})

test("IPTC's caption and keywords", async () => {
  const field = (dataset: number, text: string) =>
    Buffer.concat([Buffer.of(0x1c, 2, dataset, 0, Buffer.byteLength(text)), Buffer.from(text)])
  const iptc = Buffer.concat([field(120, "A dog by the sea"), field(25, "dog"), field(25, "sea")])
  const resource = Buffer.concat([Buffer.from("8BIM\x04\x04\0\0\0\0\0", "latin1"), Buffer.of(iptc.length), iptc])
  const content = Buffer.concat([Buffer.from("Photoshop 3.0\0"), resource])
  const head = Buffer.of(0xff, 0xed, 0, content.length + 2)
  const jpeg = await picture().jpeg().toBuffer()
  const file = Buffer.concat([jpeg.subarray(0, 2), head, content, jpeg.subarray(2)])
  expect(await read(file)).toMatchObject({ caption: "A dog by the sea", keywords: ["dog", "sea"] })
})

test.each([
  ["OLYMPUS DIGITAL CAMERA         ", null],
  ["SAMSUNG", null],
  ["DCIM\\100MEDIA\\DJI_0001.JPG", null],
  ["IMG_1234.JPG", null],
  ["  two\nlines ", "two lines"],
  ["Samsung's new office", "Samsung's new office"],
])("caption %j gives %j", async (ImageDescription, caption) => {
  const bytes = await picture().withExif({ IFD0: { ImageDescription } }).jpeg().toBuffer()
  expect((await read(bytes)).caption).toBe(caption)
})

test.each([
  ["2024:02:29 23:59:59", null, "2024-02-29T23:59:59"],
  ["2023:02:29 10:00:00", null, null],
  ["0000:00:00 00:00:00", null, null],
  ["    :  :     :  :  ", null, null],
  ["2024:05:17 24:00:00", null, null],
  ["2024:05:17 14:03:22", "-08:00", "2024-05-17T14:03:22"],
  ["2024:05:17 14:03:22", "+99:00", "2024-05-17T14:03:22"],
])("taken at %j with offset %j: %j", async (DateTimeOriginal, OffsetTimeOriginal, text) => {
  const IFD2 = { DateTimeOriginal, ...(OffsetTimeOriginal ? { OffsetTimeOriginal } : {}) }
  const { taken } = await read(await picture().withExif({ IFD2 }).jpeg().toBuffer())
  expect(taken?.text ?? null).toBe(text)
  if (!taken) return
  const isKnown = OffsetTimeOriginal === "-08:00"
  expect(taken.utcOffset).toBe(isKnown ? "-08:00" : null)
  // Without an offset, the camera's clock counts as UTC.
  expect(taken.ms).toBe(Date.parse(`${text}${isKnown ? "-08:00" : "Z"}`))
})

test("a camera's name without repetition, and places that are none", () => {
  expect(cameraName("NIKON CORPORATION", "NIKON D90")).toBe("NIKON D90")
  expect(cameraName("Canon", "Canon EOS 5D")).toBe("Canon EOS 5D")
  expect(cameraName("SONY", "DSC-RX100")).toBe("SONY DSC-RX100")
  expect(cameraName(null, "Pixel 8")).toBe("Pixel 8")
  expect(cameraName(null, null)).toBeNull()
  expect(placeOf(0, 0)).toEqual({ latitude: null, longitude: null })
  expect(placeOf(0, 12)).toEqual({ latitude: 0, longitude: 12 })
  for (const [latitude, longitude] of [
    [91, 0],
    [1, 181],
    [Number.NaN, 1],
    ["1", 1],
  ])
    expect(placeOf(latitude, longitude)).toEqual({ latitude: null, longitude: null })
})

test.each([1, 2, 3, 4, 5, 6, 7, 8])("orientation %i: what is left to turn after decoding", async (orientation) => {
  const turnedFile = picture().withMetadata({ orientation })
  for (const format of ["jpeg", "png", "webp", "avif"] as const) {
    const bytes = await turnedFile.toFormat(format).toBuffer()
    expect((await read(bytes)).orientation).toBe(orientation)
    const [{ width }, upright] = [await decodeImage(bytes), await decodeImage(bytes, { exif: "apply" })]
    expect(upright.width).toBe(orientation > 4 ? 16 : width)
  }
  expect((await read(await turnedFile.tiff().toBuffer())).orientation).toBe(1)
  expect((await read(heic({ turns: 1, exif: await block() }))).orientation).toBe(1)
})

test("nothing to be read is nothing, whatever the file is", async () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from("text"),
    await picture().gif().toBuffer(),
    await picture().jpeg().toBuffer(),
  ])
    expect(await read(bytes)).toEqual(noMetadata)
})

test("damage anywhere, cuts and large numbers leave fields out: no error, and no time", async () => {
  const random = new Random(9)
  const files = [heic({ exif: await block(), xmp: words }), await block()]
  for (const format of ["jpeg", "png", "webp", "avif"] as const)
    files.push(await picture().withExif(exif).withXmp(words).toFormat(format).toBuffer())
  let found = 0
  const started = process.cpuUsage()
  for (const file of files) {
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(i % 3 === 0 ? file.subarray(0, random.int(file.length)) : file)
      for (let n = random.int(6); n >= 0 && bytes.length > 0; n--) bytes[random.int(bytes.length)] = random.int(2) * 255
      const { taken, keywords } = await readPictureMetadata(bytes, pictureFormat(file))
      if (taken || keywords.length > 0) found++
    }
  }
  expect(found).toBeGreaterThan(200)
  // 0.1 to 0.3 ms each; what loops or allocates by a number of the file takes seconds.
  expect(process.cpuUsage(started).user / 1200).toBeLessThan(5000)
})

test("a packet of XMP that opens everything and closes nothing is read in one pass", async () => {
  const opened = `<x:xmpmeta>${'<dc:description><rdf:li xml:lang="x"><dc:subject><xmp:Rating>'.repeat(60_000)}`
  const started = process.cpuUsage()
  const metadata = await readPictureMetadata(Buffer.from(opened), "webp")
  expect(metadata).toEqual(noMetadata)
  expect(process.cpuUsage(started).user).toBeLessThan(500_000)
})
