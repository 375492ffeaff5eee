/** A server with an index of some pictures, by another model than the one that is served; no answer may name a place of this machine. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { expect } from "vitest"
import { renderScene } from "../src/data/scenes/render.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"
import { exportModel } from "../src/export/export.ts"
import { indexPictures } from "../src/search/indexing/index-pictures.ts"
import type { PublicPage } from "../src/serve/search/index-work.ts"
import type { ServeOptions } from "../src/serve/server.ts"
import { ServedTiny } from "./served-tiny.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

export type SearchAnswer = Omit<PublicPage, "hits"> & {
  readonly hits: readonly (PublicPage["hits"][number] & { readonly thumbnail: string })[]
}

/** With a user's cache of its own until it is disposed. */
export class IndexFolder implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "hidden-place-"))
  readonly photos = join(this.folder, "Photos")
  readonly index = join(this.folder, "index")
  readonly model = join(this.folder, "deeper")
  private readonly cacheBefore = process.env.XDG_CACHE_HOME
  private readonly servers: ServedTiny[] = []

  static async make(): Promise<IndexFolder> {
    const made = new IndexFolder()
    process.env.XDG_CACHE_HOME = join(made.folder, "cache")
    await exportModel(tinyModel({ layers: 2 }), tinyInfo, made.model)
    for (const [i, name] of ["2023/beach.jpg", "2023/dog.jpg", "2024/snow.jpg", "2024/town.jpg", "top.jpg"].entries())
      await made.addPhoto(name, i)
    writeFileSync(join(made.photos, "2023/dog.txt"), "a dog that runs")
    await made.grow()
    return made
  }

  /** Its bytes; those of a scene, which differ by its number. */
  async addPhoto(name: string, scene: number): Promise<Uint8Array> {
    const bytes = await renderScene(sampleScene(3, "train", scene))
    mkdirSync(dirname(join(this.photos, name)), { recursive: true })
    writeFileSync(join(this.photos, name), bytes)
    return bytes
  }

  grow(index = this.index, folders = [this.photos]) {
    return indexPictures(index, folders, { model: this.model, threads: 0 })
  }

  async serve(options: ServeOptions = {}, folder = this.index): Promise<ServedTiny> {
    const server = await ServedTiny.start({ index: { folder, threads: 1, maxPixels: 1e6 }, ...options })
    this.servers.push(server)
    return server
  }

  /** The status, and the body as JSON. */
  async ask(server: ServedTiny, path: string, body?: unknown): Promise<{ status: number; value: unknown }> {
    const answer = await (body === undefined ? fetch(`${server.url}${path}`) : server.post(path, body))
    const text = await answer.text()
    const head = JSON.stringify([...answer.headers])
    for (const place of [this.folder, "hidden-place", tmpdir()]) expect(`${head} ${text}`).not.toContain(place)
    return { status: answer.status, value: JSON.parse(text) }
  }

  async search(server: ServedTiny, body: object): Promise<SearchAnswer> {
    const { status, value } = await this.ask(server, "/v1/search", body)
    expect([status, value]).toMatchObject([200, {}])
    return value as SearchAnswer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.servers) await server[Symbol.asyncDispose]()
    if (this.cacheBefore === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = this.cacheBefore
    rmSync(this.folder, { recursive: true, force: true })
  }
}
