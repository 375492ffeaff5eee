/** A scene as a JPEG file: rasterised by librsvg (through sharp), lit and made noisy here, encoded by mozjpeg. */
import sharp from "sharp"
import { Random } from "../../core/arrays/random.ts"
import type { Look, Scene } from "./scene.ts"
import { sceneToSvg } from "./svg.ts"

/** The JPEG bytes of `scene`: the same on each run with one version of sharp. */
export async function renderScene(scene: Scene): Promise<Uint8Array> {
  const { width, height, look } = scene
  const drawing = sharp(Buffer.from(sceneToSvg(scene))).removeAlpha()
  if (look.blur) drawing.blur(look.blur)
  const pixels = await drawing.raw().toBuffer()
  expose(pixels, width, height, look)
  const raw = { width, height, channels: 3 } as const
  return sharp(pixels, { raw }).jpeg({ quality: look.quality }).toBuffer()
}

/** `render` makes several scenes at once: they are small, so threads within one would only cost time. */
export async function inSingleThreads<T>(render: () => Promise<T>): Promise<T> {
  const threads = sharp.concurrency()
  sharp.concurrency(1)
  try {
    return await render()
  } finally {
    sharp.concurrency(threads)
  }
}

/** Lights RGB pixels [H, W, 3] from one side and adds noise, the same in the three channels. In place. */
function expose(pixels: Uint8Array, width: number, height: number, { light, lightAngle, noise, detail }: Look): void {
  const [right, down] = [Math.cos(lightAngle) * light, Math.sin(lightAngle) * light]
  const random = Random.of(detail, "noise")
  for (let y = 0, i = 0; y < height; y++) {
    const start = random.int(NOISE.length - width)
    const rowGain = 1 + down * (y / height - 0.5)
    for (let x = 0; x < width; x++, i += 3) {
      const gain = rowGain + right * (x / width - 0.5)
      const grain = noise * NOISE[start + x]!
      pixels[i] = clamp(pixels[i]! * gain + grain)
      pixels[i + 1] = clamp(pixels[i + 1]! * gain + grain)
      pixels[i + 2] = clamp(pixels[i + 2]! * gain + grain)
    }
  }
}

/** Standard normal values; a row of noise is a run of them from a random position, 20 times as fast as drawing each. */
const NOISE = normals(1 << 14)

function normals(count: number): Float32Array {
  const random = Random.of(0, "noise")
  return Float32Array.from({ length: count }, () => random.normal())
}

function clamp(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value + 0.5
}
