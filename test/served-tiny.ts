/** A server of the tiny model, with what the library says of some texts and pictures. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect } from "vitest"
import { renderScene } from "../src/data/scenes/render.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"
import { exportModel } from "../src/export/export.ts"
import { readingDefaults } from "../src/pictures/reading.ts"
import { EmbeddingServer, type ServeOptions } from "../src/serve/server.ts"
import { MobileCLIP } from "../src/weights/clip-node.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

const dim = 16

export class ServedTiny implements AsyncDisposable {
  readonly texts = ["a red circle", "a blue square on green", "a", "two yellow triangles beside a star"]

  private constructor(
    readonly folder: string,
    readonly server: EmbeddingServer,
    /** JPEG files. */
    readonly pictures: readonly Uint8Array[],
    private readonly expected: Record<string, Float32Array>,
  ) {}

  /** @param names that the one model is served under */
  static async start(options: ServeOptions = {}, names: readonly string[] = ["tiny"]): Promise<ServedTiny> {
    const folder = mkdtempSync(join(tmpdir(), "served-"))
    const model = join(folder, "tiny")
    await exportModel(tinyModel(), tinyInfo, model)
    const pictures = await Promise.all([0, 1, 2].map((i) => renderScene(sampleScene(3, "train", i))))
    const settings = { model, threads: 2, maxPixels: options.limits?.pixels ?? 1e8, ...readingDefaults }
    const models = new Map(names.map((name) => [name, settings]))
    const server = await EmbeddingServer.start(models, { port: 0, ...options })
    const served = new ServedTiny(folder, server, pictures, {})
    await using clip = await MobileCLIP.load(model, { threads: 1 })
    for (const [i, text] of served.texts.entries()) served.expected[`text ${i}`] = await clip.encodeText(text)
    for (const [i, picture] of pictures.entries()) served.expected[`picture ${i}`] = await clip.encodeImage(picture)
    return served
  }

  /** What the library says of the same model. */
  async clip<T>(work: (clip: MobileCLIP) => Promise<T>): Promise<T> {
    await using clip = await MobileCLIP.load(join(this.folder, "tiny"), { threads: 1 })
    return await work(clip)
  }

  get url(): string {
    return this.server.url
  }

  post(path: string, body: unknown): Promise<Response> {
    const headers = { "content-type": "application/json" }
    return fetch(`${this.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) })
  }

  /** The library's unit vector: "text 0", "picture 2". */
  vector(name: string): number[] {
    return [...this.expected[name]!]
  }

  /** Batches of other sizes add up in another order, so the last bits may differ. "*" is any vector. */
  expectClose(rows: readonly (readonly number[])[], names: readonly string[]): void {
    expect(rows.map(({ length }) => length)).toEqual(names.map(() => dim))
    rows.forEach((row, i) => {
      const wanted = names[i] === "*" ? row : this.vector(names[i]!)
      const largest = Math.max(...row.map((value, j) => Math.abs(value - wanted[j]!)))
      expect(largest).toBeLessThan(2e-6)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true })
  }
}
