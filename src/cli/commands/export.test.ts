import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { tinyInfo, tinyModel, writeCheckpoint } from "../../../test/tiny-model.ts"
import { main } from "../main.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "export-"))
  writeCheckpoint(at("tiny.safetensors"))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function run(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["export", ...argv], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err: err.replaceAll(folder, "DIR") }
}

test("a checkpoint becomes a model directory that is compared with libtorch", async () => {
  const { code, out, err } = await run(at("tiny.safetensors"), "--out", at("model"), "--json")
  expect({ code, err }).toEqual({ code: 0, err: "" })
  const manifest = JSON.parse(out)
  expect(manifest).toEqual(JSON.parse(readFileSync(at("model", "mobileclip.json"), "utf8")))
  expect(manifest.verification.reference).toMatch(/^libtorch \d/)
  const sha256 = createHash("sha256")
    .update(readFileSync(at("tiny.safetensors")))
    .digest("hex")
  expect(manifest.source).toEqual({ file: "tiny.safetensors", sha256 })
})

test("a model that is the user's own gets the licence that he names; research weights keep theirs", async () => {
  const licenseOf = async (...argv: string[]) => JSON.parse((await run(...argv, "--json")).out).license
  const named = [at("tiny.safetensors"), "--out", at("model"), "--license", "Acme-1.0"]
  expect(await licenseOf(...named)).toBe("Acme-1.0")
  writeCheckpoint(at("tuned.safetensors"), tinyModel(), { ...tinyInfo, license: "apple-amlr" })
  const tuned = [at("tuned.safetensors"), "--out", at("tuned")]
  const { code, err } = await run(...tuned, "--license", "Acme-1.0")
  expect([code, err]).toEqual([1, expect.stringContaining("under apple-amlr, which is for research only")])
  expect(existsSync(at("tuned"))).toBe(false)
  expect(await licenseOf(...tuned)).toBe("apple-amlr")
})

test("a damaged checkpoint is one line and leaves nothing", async () => {
  truncateSync(at("tiny.safetensors"), 1_000_000)
  const { code, out, err } = await run(at("tiny.safetensors"), "--out", at("model"))
  expect({ code, out }).toEqual({ code: 1, out: "" })
  expect(err).toMatch(/^mobileclip: DIR\/tiny\.safetensors[^\n]+\n( {2}[^\n]+\n)?$/)
  expect(existsSync(at("model"))).toBe(false)
})

test("other content beside a model is named and kept", async () => {
  expect(await run(at("tiny.safetensors"), "--out", at("model"))).toMatchObject({
    code: 0,
    out: expect.stringMatching(/\nnext: {3}mobileclip classify PICTURES --model .*model --labels cat,dog\n$/),
  })
  mkdirSync(at("model", "notes"))
  writeFileSync(at("model", "notes", "a.txt"), "mine")
  const { code, err } = await run(at("missing.safetensors"), "--out", at("model"))
  expect([code, err]).toEqual([1, expect.stringContaining("DIR/model has other content (notes/) and is not replaced")])
  expect(readFileSync(at("model", "notes", "a.txt"), "utf8")).toBe("mine")
})
