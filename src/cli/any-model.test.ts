/** What a model may be called, in each command; and what is refused before anything is brought. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { HubServer } from "../../test/hub-server.ts"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { writeCheckpoint, writeTrainable } from "../../test/tiny-model.ts"
import { writeShard } from "../data/shards.ts"
import { modelChecks } from "../doctor/model.ts"
import type { Result } from "./classifying.ts"
import { main } from "./main.ts"

let folder: string
let hub: HubServer
const before = process.cwd()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "any-model-"))
  process.chdir(folder)
  for (const name of ["run", "coca", "in"]) mkdirSync(name)
  writeTrainable("run/model.safetensors")
  const coca = tinyCoca()
  writeCheckpoint("coca/model.safetensors", coca, { ...tinyCocaInfo, config: coca.config })
  const jpg = await sharp({ create: { width: 40, height: 40, channels: 3, background: "teal" } })
    .jpeg()
    .toBuffer()
  await sharp(jpg).toFile("teal.jpg")
  await writeShard("in/0.tar", [
    {
      key: "0",
      members: new Map([
        ["jpg", jpg],
        ["txt", Buffer.from("teal")],
      ]),
    },
  ])
  hub = await HubServer.start({
    "apple/MobileCLIP2-S0": {
      commit: "a".repeat(40),
      tags: ["license:apple-amlr"],
      files: { "mobileclip2_s0.pt": readFileSync("run/model.safetensors") },
    },
  })
  const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, "hf"), XDG_CACHE_HOME: join(folder, "cache") }
  for (const [name, value] of Object.entries({ ...env, HF_TOKEN: "", HF_HUB_CACHE: "", HF_HUB_OFFLINE: "" }))
    vi.stubEnv(name, value)
})
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  vi.unstubAllEnvs()
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

async function run(line: string) {
  let [out, err] = ["", ""]
  const words = line.split(" ")
  const code = await main(words, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

const classify = (model: string) => run(`classify teal.jpg --labels cat,dog --json --model ${model}`)

test("a name that was not pulled is told with the commands that bring it; nothing is asked of the hub", async () => {
  for (const line of ["classify teal.jpg --labels cat,dog --model", "caption teal.jpg --model"]) {
    expect(await run(`${line} MobileCLIP2-S0`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^mobileclip: MobileCLIP2-S0 is not on this machine\n {2}`mobileclip pull MobileCLIP2-S0` brings/,
      ),
    })
  }
  const { code, out } = await run("doctor MobileCLIP2-S0 --json")
  expect(code).toBe(1)
  expect(JSON.parse(out).checks.at(-1)).toMatchObject({
    state: "problem",
    text: "MobileCLIP2-S0 is not on this machine",
  })
  expect(await run("classify teal.jpg --labels cat,dog")).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /^mobileclip: no --model was given, and runs\/quickstart\/model, which is used then, does not exist\n {2}`mobileclip quickstart` writes it; or name a model/,
    ),
  })
  expect(hub.log).toEqual([])
})

test("what can be refused is refused before a download", async () => {
  mkdirSync("taken")
  await sharp({ create: { width: 4, height: 4, channels: 3, background: "red" } }).toFile("taken/mine.png")
  const lines = {
    "convert MobileCLIP2-S0 --out taken": "taken has other content (mine.png)",
    "convert MobileCLIP2-S0 --out teal.jpg/m": "teal.jpg",
    "convert MobileCLIP2-S0 --out m --model mobilclip-s9": 'there is no model named "mobilclip-s9"',
    "export MobileCLIP2-S0 --out taken": "taken has other content (mine.png)",
    "finetune taken --model MobileCLIP2-S0 --out tuned": "taken/mine.png has no caption",
    "finetune in --model MobileCLIP2-S0 --out tuned": "in holds shards",
    "train --train-data none --pretrained MobileCLIP2-S0 --out trained": "none: no such file or folder",
    "train --train-data none --pretrained MobileCLIP2-S0 --dry-run": "none: no such file or folder",
    "train --train-data in --pretrained MobileCLIP2-S0 --out trained evaluate.tasks=none":
      "none: there is no such task list",
    "train --train-data in --pretrained MobileCLIP2-S0 --out trained --export taken": "taken has other content",
  }
  for (const [line, message] of Object.entries(lines)) {
    const { code, err } = await run(line)
    expect([code, err], line).toEqual([1, expect.stringContaining(message)])
  }
  expect(hub.log).toEqual([])
  // The user's cache is in this folder, and may be written to after a command has ended.
  const names = readdirSync(".").filter((name) => name !== "cache")
  expect(names.sort()).toEqual(["coca", "in", "run", "taken", "teal.jpg"])
})

test("a plan of a run that begins with a released name brings it, with its licence, and is that of its file", async () => {
  mkdirSync("pairs")
  for (const name of ["a", "b", "c", "d"]) {
    copyFileSync("teal.jpg", `pairs/${name}.jpg`)
    writeFileSync(`pairs/${name}.txt`, "teal")
  }
  const options = "--dry-run --json --samples-per-second 9 batch.size=2 schedule.epochs=3"
  const plan = (start: string) => run(`train --train-data pairs --pretrained ${start} ${options}`)
  const [named, file] = [await plan("MobileCLIP2-S0"), await plan("run")]
  expect([named.code, file.code], named.err).toEqual([0, 0])
  expect(named.err).toMatch(/^licence of apple\/MobileCLIP2-S0: /)
  expect(JSON.parse(named.out)).toMatchObject({ model: "tiny", length: { steps: 6, samples: 12 } })
  const parts = ({ out }: typeof named) => {
    const { image, text, memory, multiplyAdds, disk } = JSON.parse(out)
    return { image, text, memory, multiplyAdds, disk }
  }
  expect(parts(named)).toEqual(parts(file))
  expect(parts(named).image.parameters.train).toBeGreaterThan(0)
}, 120_000)

test("a run's folder, its file, an exported folder of it and a released name are one model in every command", async () => {
  const labelsOf = async (model: string) => {
    const { code, out, err } = await classify(model)
    expect(code, err).toBe(0)
    return JSON.parse(out).map(({ labels }: Result) => labels)
  }
  const wanted = await labelsOf("run/model.safetensors")
  expect(await run("export run --out new/deep/exported")).toMatchObject({ code: 0 })
  expect(await run("convert run --out new/deeper/converted")).toMatchObject({ code: 0 })
  expect(await run("convert MobileCLIP2-S0 --out new/pulled")).toMatchObject({ code: 0 })
  for (const model of ["run", "new/deep/exported", "new/deeper/converted", "new/pulled", "MobileCLIP2-S0"]) {
    expect(await labelsOf(model), model).toEqual(wanted)
    expect(
      (await modelChecks(model)).filter(({ state }) => state === "problem"),
      model,
    ).toEqual([])
  }
  for (const model of ["coca", "coca/model.safetensors"]) {
    expect(await run(`caption teal.jpg --seq-len 8 --model ${model}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining("teal.jpg"),
    })
  }
  const embed = "reinforce embed --input in --num-samples 1 --workers 1 --threads 1 --progress none"
  expect(await run(`${embed} --output made/embedded --model-name run,MobileCLIP2-S0,new/pulled`)).toMatchObject({
    code: 0,
  })
  expect(existsSync("made/embedded/0.tar")).toBe(true)
}, 600_000)

test("a wrong model name leaves nothing that the corrected command is refused for", async () => {
  const embed = "reinforce embed --input in --output fixed --num-samples 1 --workers 1 --threads 1 --progress none"
  expect(await run(`${embed} --model-name runn`)).toMatchObject({
    code: 1,
    err: expect.stringContaining('"runn" is not a known model'),
  })
  expect(await run(`${embed} --model-name run`)).toMatchObject({ code: 0 })
}, 300_000)
