import sharp from "sharp"
import { expect, test } from "vitest"
import { withoutTurns } from "./without-turns.ts"

const picture = sharp({ create: { width: 6, height: 4, channels: 3, background: "red" } })

test.each(["jpeg", "png", "webp", "avif"] as const)("%s loses its orientation and nothing else", async (format) => {
  const turned = Uint8Array.from(await picture.clone().withMetadata({ orientation: 6 }).toFormat(format).toBuffer())
  const still = withoutTurns(turned)
  expect(still.length).toBe(turned.length)
  expect((await sharp(still).metadata()).orientation ?? 1).toBe(1)
  expect(still.filter((byte, i) => byte !== turned[i]).length).toBeLessThan(5)
})

test("a picture without one is not copied, and a note at the very end is not written beyond it", async () => {
  const plain = Uint8Array.from(await picture.clone().png().toBuffer())
  expect(withoutTurns(plain)).toBe(plain)
  const cut = Uint8Array.of(0xff, 0x01, 0x12, 0, 3, 0, 0, 0, 1)
  expect(withoutTurns(cut)).toEqual(cut)
})
