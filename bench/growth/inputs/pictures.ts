/** Small pictures that differ, and as few bytes as a JPEG of them takes. */
import sharp from "sharp"
import { Random } from "../../../src/core/arrays/random.ts"

/** JPEG files of noise, `side` x `side`. */
export function jpegs(count: number, side: number): Promise<Buffer[]> {
  const random = new Random(1)
  return Promise.all(
    Array.from({ length: count }, () => {
      // Noise of a quarter of the size, enlarged, is about 1 kB at 48 pixels.
      const [small, channels] = [Math.ceil(side / 4), 3 as const]
      const pixels = Uint8Array.from({ length: small * small * channels }, () => random.int(256))
      return sharp(pixels, { raw: { width: small, height: small, channels } })
        .resize(side, side)
        .jpeg({ quality: 70 })
        .toBuffer()
    }),
  )
}
