/** HEIF files made of parts of others, as phones write them: tiles in a grid, properties that turn it, EXIF beside it. ISO/IEC 23008-12. */
import { boxesBelow } from "../src/host/image/heif/boxes.ts"

/** A picture of one tile, as a file of heif-enc has it. */
interface Tile {
  readonly codec: Buffer
  readonly data: Buffer
}

export interface HeifParts {
  /** Each as large as `side`, by rows. */
  readonly tiles: readonly Tile[]
  readonly side: number
  readonly columns: number
  /** The whole picture's, which the tiles may exceed. */
  readonly width: number
  readonly height: number
  /** A quarter turn, against the clock, so many times. */
  readonly turns?: number
  /** 0: top and bottom change places; 1: left and right. */
  readonly mirror?: 0 | 1
  /** A colour profile (ICC). */
  readonly profile?: Buffer
  /** A block of EXIF, from its byte order on. */
  readonly exif?: Buffer
  readonly xmp?: string
}

export function tileOf(heic: Buffer): Tile {
  const [codec] = [...boxesBelow(heic, ["meta", "iprp", "ipco"])].filter(({ type }) => type === "hvcC")
  const [data] = [...boxesBelow(heic, [])].filter(({ type }) => type === "mdat")
  return { codec: heic.subarray(codec!.start, codec!.end), data: heic.subarray(data!.start, data!.end) }
}

export function heifFile(parts: HeifParts): Buffer {
  const { tiles, columns, side, width, height, turns, mirror, profile, exif, xmp } = parts
  const rows = tiles.length / columns
  const grid = Buffer.concat([Buffer.of(0, 1, rows - 1, columns - 1), number(width, 4), number(height, 4)])
  const others = [
    ...(exif ? [{ type: "Exif", data: Buffer.concat([number(6, 4), Buffer.from("Exif\0\0"), exif]) }] : []),
    ...(xmp ? [{ type: "mime", data: Buffer.from(xmp) }] : []),
  ]
  const gridId = tiles.length + 1
  const items = [...tiles.map(({ data }) => ({ type: "hvc1", data })), { type: "grid", data: grid }, ...others].map(
    (item, i) => ({ ...item, id: i + 1 }),
  )
  const properties = [
    fullBox("ispe", 0, number(side, 4), number(side, 4)),
    box("hvcC", tiles[0]!.codec),
    fullBox("ispe", 0, number(width, 4), number(height, 4)),
    ...(turns === undefined ? [] : [box("irot", Buffer.of(turns))]),
    ...(mirror === undefined ? [] : [box("imir", Buffer.of(mirror))]),
    ...(profile === undefined ? [] : [box("colr", Buffer.concat([Buffer.from("prof"), profile]))]),
  ]
  const ofGrid = properties.slice(2).map((_, i) => 3 + i)
  const associations = items
    .filter(({ id }) => id <= gridId)
    .map(({ id }) => {
      const list = id === gridId ? ofGrid : [1, 2]
      return Buffer.concat([
        number(id, 2),
        Buffer.of(list.length, ...list.map((at) => (at > 3 || at === 2 ? 0x80 : 0) | at)),
      ])
    })
  const tileIds = tiles.map((_, i) => number(i + 1, 2))
  const references = [
    box("dimg", number(gridId, 2), number(tiles.length, 2), ...tileIds),
    ...others.map((_, i) => box("cdsc", number(gridId + 1 + i, 2), number(1, 2), number(gridId, 2))),
  ]
  const head = box("ftyp", Buffer.from("heic\0\0\0\0mif1heic"))
  const meta = (start: number) => {
    let at = start
    const places = items.map(({ id, data }) => {
      const place = Buffer.concat([number(id, 2), number(0, 2), number(1, 2), number(at, 4), number(data.length, 4)])
      at += data.length
      return place
    })
    return fullBox(
      "meta",
      0,
      fullBox("hdlr", 0, Buffer.alloc(4), Buffer.from("pict"), Buffer.alloc(13)),
      fullBox("pitm", 0, number(gridId, 2)),
      fullBox("iinf", 0, number(items.length, 2), ...items.map(({ id, type }) => itemInfo(id, type))),
      fullBox("iref", 0, ...references),
      box("iprp", box("ipco", ...properties), fullBox("ipma", 0, number(associations.length, 4), ...associations)),
      fullBox("iloc", 0, Buffer.of(0x44, 0), number(items.length, 2), ...places),
    )
  }
  const start = head.length + meta(0).length + 8
  return Buffer.concat([head, meta(start), box("mdat", ...items.map(({ data }) => data))])
}

/** Tiles are hidden. */
function itemInfo(id: number, type: string): Buffer {
  const rest = type === "mime" ? [Buffer.from("application/rdf+xml\0")] : []
  const version = Buffer.of(2, 0, 0, type === "hvc1" ? 1 : 0)
  return box("infe", version, number(id, 2), number(0, 2), Buffer.from(type), Buffer.of(0), ...rest)
}

function box(type: string, ...content: Buffer[]): Buffer {
  const all = Buffer.concat(content)
  return Buffer.concat([number(8 + all.length, 4), Buffer.from(type), all])
}

function fullBox(type: string, version: number, ...content: Buffer[]): Buffer {
  return box(type, Buffer.of(version, 0, 0, 0), ...content)
}

function number(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  buffer.writeUIntBE(value, 0, bytes)
  return buffer
}
