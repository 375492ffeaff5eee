/** The Docker Compose file of docs/serve.md: its command is run, and asked what Immich's server asks, in its order and form. */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { renderScene } from "../data/scenes/render.ts"
import { sampleScene } from "../data/scenes/scene.ts"
import { exportModel } from "../export/export.ts"
import { MobileCLIP } from "../weights/clip-node.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const [, compose] = /```yaml\n([\s\S]*?)```/.exec(readFileSync(join(root, "docs/serve.md"), "utf8"))!
const [, command] = /command: npx -y mobileclip (.+)/.exec(compose!)!
const address = new URL(/IMMICH_MACHINE_LEARNING_URL: (\S+)/.exec(compose!)![1]!)

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "compose-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "s0"))
})
afterAll(() => rmSync(folder, { recursive: true }))

test("Immich's address is the service's name and port", () => {
  expect(compose).toContain(`\n  ${address.hostname}:\n`)
  expect(command).toContain(`--port ${address.port} `)
  expect(compose).not.toContain("ports:")
})

/** Mounted elsewhere, at a port that is free. */
function start() {
  const here = command!.replace("/models/", `${folder}/`).replace(`--port ${address.port}`, "--port 0")
  const words = [join(root, "bin/mobileclip.js"), ...here.split(" "), "--threads", "1"]
  const child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "pipe"] })
  return { child, url: addressIn(child.stderr) }
}

/** The address by the first line that ends with a port, in however many pieces it comes. */
function addressIn(said: Readable): Promise<string> {
  let text = ""
  return new Promise((resolve) => {
    said.on("data", (piece) => {
      text += String(piece)
      const port = /:(\d+)\n/.exec(text)?.[1]
      if (port) resolve(`http://127.0.0.1:${port}`)
    })
  })
}

/** As its server puts a request together: the task and the type that it wants, then the content. */
async function predict(url: string, type: "visual" | "textual", content: [string, string | Blob]): Promise<number[]> {
  const form = new FormData()
  const options = type === "textual" ? { options: { language: "en" } } : {}
  form.append("entries", JSON.stringify({ clip: { [type]: { modelName: "ViT-B-32__openai", ...options } } }))
  form.append(...(content as [string, string]))
  const answer = await fetch(new URL("/predict", url), { method: "POST", body: form })
  expect(answer.status).toBe(200)
  return JSON.parse(((await answer.json()) as { clip: string }).clip)
}

test("the command serves what Immich asks for: ping, a picture, a text", async () => {
  const { child, url } = start()
  try {
    const at = await url
    expect(await (await fetch(new URL("/ping", at))).text()).toBe("pong")
    const picture = await renderScene(sampleScene(3, "train", 0))
    const found = {
      picture: await predict(at, "visual", ["image", new Blob([picture as Uint8Array<ArrayBuffer>])]),
      text: await predict(at, "textual", ["text", "a red circle"]),
    }
    await using clip = await MobileCLIP.load(join(folder, "s0"), { threads: 1 })
    const expected = { picture: await clip.encodeImage(picture), text: await clip.encodeText("a red circle") }
    for (const what of ["picture", "text"] as const) {
      const differences = found[what].map((value, i) => Math.abs(value - expected[what][i]!))
      expect(differences).toHaveLength(16)
      expect(Math.max(...differences)).toBeLessThan(2e-6)
    }
  } finally {
    child.kill("SIGTERM")
  }
})
