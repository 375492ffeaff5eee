/**
 * The commands of README.md and docs/commands.md, in their order, in one folder: made small by options that are added, they
 * are run. For those that stay large the script, the file and the flags are checked, and the table names the test of the same
 * code. Stand-ins take the place of what is downloaded, and of hosts. The README's program is compiled and run.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { main } from "../src/cli/main.ts"
import { renderScene } from "../src/data/scenes/render.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"
import { openStorage } from "../src/data/stores/open.ts"
import { exportModel } from "../src/export/export.ts"
import { HubServer } from "./hub-server.ts"
import { NatsServer } from "./nats-server.ts"
import { program } from "./program.ts"
import { credentials, S3Server } from "./s3-server.ts"
import { tinyCoca, tinyCocaInfo } from "./tiny-coca.ts"
import { writeTrainable } from "./tiny-model.ts"

/** Run here, or by a test of the same code. */
type Entry = { readonly provenBy: string } | Small

/** Run here; in this process, where the command starts no others. */
interface Small {
  /** What makes it small. */
  readonly add: string
  /** Brings what the reader has got elsewhere. */
  readonly first?: () => Promise<unknown>
  readonly leaves?: readonly string[]
  readonly printing?: RegExp
  readonly asProcess?: true
  /** It ends when the command after it has done its work. */
  readonly background?: true
}

const one = "--threads 1 --progress none"
const oneTraining = `${one} --model quickstart batch.size=8 schedule.warmup=0`
const oneStage = `${one} --workers 1`
const run = ["checkpoints", "config.json", "metrics.jsonl", "model.safetensors", "report.html", "tensorboard"]

/** By the command's words; options that are given twice count as they are given last. */
const table: Readonly<Record<string, Entry>> = {
  "npm ci": { provenBy: "test/build.test.ts" },
  "npm run quickstart": { provenBy: "src/experiments/quickstart/pipeline.test.ts" },
  "npm run quickstart -- --preset tiny --out runs/tiny": { provenBy: "src/experiments/quickstart/pipeline.test.ts" },
  "node dist/recipes/cifar10.js cifar10 --seeds 3": { provenBy: "src/experiments/cifar10/pipeline.test.ts" },
  "npm run build": { provenBy: "test/build.test.ts" },
  "npm pack": { provenBy: "test/package.test.ts" },
  "npm test": { provenBy: "test/readme.test.ts" },
  "npm run test:fast": { provenBy: "test/readme.test.ts" },
  "npm run test:fast -- src/train": { provenBy: "test/readme.test.ts" },
  "npm run golden -- test/golden": { provenBy: "test/golden.test.ts" },
  "node dist/bench/compare-pytorch.js": { provenBy: "src/train/step.test.ts" },
  "node dist/bench/run.js": { provenBy: "test/bench-run.test.ts" },
  "node dist/bench/cuda-proof.js": { provenBy: "test/cuda-proof.test.ts" },
  "node dist/bench/sigkill.js": { provenBy: "test/sigkill.test.ts" },
  "node dist/bench/hostile-chain.js": { provenBy: "test/hostile-chain.test.ts" },
  "npx mobileclip setup": { provenBy: "test/package.test.ts" },
  "npx mobileclip classify": { provenBy: "test/package.test.ts" },

  "npx mobileclip reinforce embed --input runs/quickstart/captioned --output data/first --model-name runs/quickstart/teachers/a":
    { add: `${oneStage} --num-samples 2`, first: () => writeQuickstart(), leaves: ["data/first/00000.tar"] },
  "npx mobileclip train --train-data data/first --dataset-reinforcement --out runs/first --epochs 4 loss.kind=distill 'loss.teacherScales=[20]'":
    { add: `${oneTraining} --epochs 1`, leaves: run.map((name) => `runs/first/${name}`) },
  "npx mobileclip export runs/first/model.safetensors --out models/first": {
    add: "",
    leaves: ["models/first/onnx/vision_model.onnx", "models/first/onnx/text_model.onnx"],
  },
  "npx mobileclip classify runs/quickstart/pictures --model models/first --labels red,green,blue": {
    add: "",
    printing: /pictures\/1\.jpg[\s\S]*green/,
  },
  "npx mobileclip evaluate --model models/first --suite self --out runs/first-scores": {
    add: "--progress none --limit-per-task 8 --no-cache",
    leaves: ["runs/first-scores/results.jsonl"],
    printing: /self\/shape +acc1/,
  },
  "npx mobileclip index runs/quickstart/pictures --model models/first --index runs/first-index": {
    add: one,
    printing: /the index has 2 pictures/,
  },
  "npx mobileclip search a red star --index runs/first-index": {
    add: "--limit 2",
    printing: /quickstart\/pictures\/\d\.jpg/,
  },
  "npx mobileclip serve --model models/first": { provenBy: "src/cli/commands/serve.test.ts" },

  "npx mobileclip pull --list": { add: "", printing: /MobileCLIP2-S0 +apple\/MobileCLIP2-S0 +clip +research only/ },
  "npx mobileclip models --free": { add: "", printing: /ViT-B-32-256/i },
  "npx mobileclip models": { add: "", printing: /mobileclip2-s0/i },

  "npx mobileclip pull MobileCLIP2-S0": { add: "", printing: /mobileclip2_s0\.pt\n$/ },
  "npx mobileclip convert MobileCLIP2-S0 --out models/s0": { add: "", leaves: ["models/s0/onnx/vision_model.onnx"] },
  "npx mobileclip classify photos --model models/s0 --labels cat,dog": {
    add: "",
    printing: /photos\/1\.jpg[\s\S]*cat/,
  },
  "npx mobileclip classify 'photos/**/*.jpg' --model models/s0 --model models/s2 --labels-file labels.txt --csv --out labels.csv":
    {
      add: "--progress none",
      first: async () => {
        cpSync("models/s0", "models/s2", { recursive: true })
        writeFileSync("labels.txt", "cat\ndog\n")
      },
      leaves: ["labels.csv"],
    },
  "npx mobileclip bake-labels --model models/s0 --labels-file labels.txt --out labels.json": {
    add: "",
    leaves: ["labels.json"],
  },
  "npx mobileclip embed photos --model models/s0 --out vectors": {
    add: "--progress none",
    leaves: ["vectors/embed.json", "vectors/img_emb/img_emb_0.npy", "vectors/metadata/metadata_0.parquet"],
  },
  "npx mobileclip caption photos --model models/coca --generation-type top_p": {
    add: "--seq-len 8",
    first: () => exportModel(tinyCoca(), tinyCocaInfo, "models/coca"),
    printing: /1\.jpg/,
  },
  "npx mobileclip doctor models/s0": { add: "", printing: /libtorch/ },
  "npx mobileclip bench --family --html latency.html": { provenBy: "src/cli/commands/bench.test.ts" },
  "npx mobileclip index photos --model models/s0": { add: one, printing: /the index has \d+ pictures/ },
  "npx mobileclip search a red car at night": { add: "--limit 2", printing: /photos\/\d\.jpg/ },
  "npx mobileclip search --like photos/0.jpg --sheet out.png": { add: "--limit 2", leaves: ["out.png"] },
  "npx mobileclip search --date 2024-05-17": { add: "" },
  "npx mobileclip search --duplicates --sheet groups.html": { add: "", leaves: ["groups.html"] },
  "npx mobileclip index status": { add: "", printing: /photos/ },
  "npx mobileclip index migrate --model models/s2": { provenBy: "src/search/migrate/migrate-index.test.ts" },
  "npx mobileclip mcp": { provenBy: "src/cli/commands/mcp.test.ts" },
  "npx mobileclip serve --model models/s0": { provenBy: "src/cli/commands/serve.test.ts" },
  "npx mobileclip serve --model ViT-B-32__openai=models/s0 --host 0.0.0.0 --open": {
    provenBy: "src/serve/compose.test.ts",
  },
  "npx mobileclip finetune pictures --model MobileCLIP2-S0 --out runs/own": {
    add: `${one} --steps 2 --batch-size 8 --average 1`,
    leaves: ["runs/own/report.html", "runs/own/model/onnx/text_model.onnx"],
  },
  "npx mobileclip classify photos --model runs/own/model --labels cat,dog": { add: "", printing: /photos\/1\.jpg/ },
  "npx mobileclip evaluate --model models/s0 --suite self --out runs/scenes": {
    add: "--progress none --limit-per-task 8 --no-cache",
    leaves: ["runs/scenes/results.jsonl", "runs/scenes/evaluation.json"],
    printing: /self\/retrieval +mean_recall@1/,
  },
  "npx mobileclip evaluate pack pictures --out data/my/own": {
    add: "--progress none",
    leaves: ["data/my/own/classnames.txt", "data/my/own/test/0.tar"],
  },
  "npx mobileclip evaluate --model models/s0 --data data --task my/own": {
    add: "--progress none --no-cache",
    printing: /my\/own +acc1 /,
  },
  "npx mobileclip evaluate compare runs/scenes --html compare.html": {
    add: "",
    leaves: ["compare.html"],
    printing: /Scenes: retrieval/,
  },
  "npx mobileclip evaluate curve runs/quickstart --html curve.html": {
    add: "",
    first: async () => writeStudents({ "plain-0": [0.3, 0.5], "reinforced-0": [0.5, 0.6] }),
    leaves: ["curve.html"],
    printing: /plain needs 2\.0 times the samples of reinforced/,
  },
  "npx mobileclip render --out data/scenes --train 4000": {
    add: "--train 8 --test 4 --retrieval 4 --progress none",
    leaves: ["data/scenes/train/00000.tar"],
  },
  "npx mobileclip shards pictures --out data/shards": {
    add: "--progress none",
    leaves: ["data/shards/00000.tar", "data/shards/manifest.jsonl"],
  },
  "npx mobileclip shards index data/shards": {
    add: "--progress none",
    leaves: ["data/shards/00000.tar.index"],
    printing: /^1 shard indexed: 16 samples\n$/,
  },
  "npx mobileclip reinforce caption --input data/scenes/train --output data/captioned --model-name models/coca": {
    add: `${oneStage} --seq-len 8`,
    leaves: ["data/captioned/00000.tar"],
  },
  "npx mobileclip reinforce embed --input data/captioned --output data/dr --model-name models/s0 --num-samples 30 --bfloat16":
    { add: `${oneStage} --num-samples 2`, leaves: ["data/dr/00000.tar"] },
  "npx mobileclip reinforce stats data/dr --contact-sheet sheet.png": { add: "", leaves: ["sheet.png"] },
  "npx mobileclip train --train-data data/dr --dataset-reinforcement --out runs/dr loss.kind=distill 'loss.teacherScales=[70]'":
    { add: `${oneTraining} schedule.steps=2`, leaves: run.map((name) => `runs/dr/${name}`) },
  "npx mobileclip train --train-data data/scenes/train --out runs/mine --epochs 4": {
    add: `${oneTraining} --epochs 1`,
    leaves: run.map((name) => `runs/mine/${name}`),
  },
  "npx mobileclip train --out runs/mine --resume": { add: one },
  "npx mobileclip export runs/mine/model.safetensors --out runs/mine/model": {
    add: "",
    leaves: ["runs/mine/model/onnx/vision_model.onnx"],
  },
  "npx mobileclip train --recipe dfndr-12m --dry-run": { add: "", printing: /mobileclip2-b/ },
  "npx mobileclip train --train-data data/scenes/train --out runs/two --nproc 2": {
    add: `${oneTraining} schedule.steps=2`,
    asProcess: true,
    leaves: run.map((name) => `runs/two/${name}`),
  },
  "npx mobileclip reinforce run embedding --nats nats://HOST --input s3://b/in --output s3://b/out --model-name models/s0":
    {
      add: "--num-samples 2 --progress none",
      first: () => openStorage().put("s3://b/in/00000.tar", [readFileSync("data/captioned/00000.tar")]),
      background: true,
    },
  "npx mobileclip reinforce worker --nats nats://HOST --output-root s3://b/out": { add: "--threads 1 --workers 1" },
  "npx mobileclip reinforce run verify --nats nats://HOST --input s3://b/out --output s3://b/checks": {
    add: "--samples 2 --progress none --job checks",
    first: async () => {
      background = mobileclip("npx mobileclip reinforce worker --nats nats://HOST --job checks --workers 1")
    },
    printing: /\nall is well\n$/,
  },
}

const root = fileURLToPath(new URL("..", import.meta.url))
const readme = readFileSync(join(root, "README.md"), "utf8")
const pages = `${readme}\n${readFileSync(join(root, "docs/commands.md"), "utf8")}`
const blocksOf = (language: string) =>
  [...pages.matchAll(RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g"))].map(([, text]) => text!)
const lines = [
  ...blocksOf("sh").flatMap((block) => block.split("\n").filter(Boolean)),
  ...[...pages.matchAll(/`((?:npx|npm run|node) [^`]+)`/g)].map(([, command]) => command!),
].flatMap((line) => line.replace(/\s+#.*$/, "").split(" && "))
const commands = [...new Set(lines)]

const folder = mkdtempSync(join(tmpdir(), "readme-"))
const scratch = join(root, "dist/readme")
const servers: AsyncDisposable[] = []
const before = process.cwd()
let nats: NatsServer
let background: Promise<Ended> | null = null

beforeAll(async () => {
  process.chdir(folder)
  // Stands for the released weights.
  const weights = readFileSync(writeTrainable("weights.safetensors"))
  const commit = "a".repeat(40)
  const repository = { commit, tags: ["license:apple-amlr"], files: { "mobileclip2_s0.pt": weights } }
  const hub = await HubServer.start({ "apple/MobileCLIP2-S0": repository })
  nats = await NatsServer.start()
  const s3 = await S3Server.start(folder, "b")
  servers.push(hub, nats, s3)
  const own = {
    HF_ENDPOINT: hub.endpoint,
    HF_HOME: folder,
    XDG_CACHE_HOME: folder,
    MOBILECLIP_INDEX: join(folder, "index"),
    AWS_ENDPOINT_URL: await s3.door(),
  }
  const unset = ["HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
  const env = { ...own, ...credentials, ...Object.fromEntries(unset.map((name) => [name, ""])) }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  await writePictures({ photos: 2, "pictures/red": 8, "pictures/blue": 8 })
}, 60_000)
afterAll(async () => {
  process.chdir(before)
  vi.unstubAllEnvs()
  for (const server of servers) await server[Symbol.asyncDispose]()
  for (const path of [folder, scratch]) rmSync(path, { recursive: true, force: true })
})

async function writePictures(counts: Readonly<Record<string, number>>): Promise<void> {
  let index = 0
  for (const [name, count] of Object.entries(counts)) {
    mkdirSync(name, { recursive: true })
    for (let i = 0; i < count; i++)
      writeFileSync(join(name, `${i}.jpg`), await renderScene(sampleScene(7, "train", index++)))
  }
}

/** What the quickstart leaves, and commands take. */
async function writeQuickstart(): Promise<void> {
  const { code, err } = await mobileclip(
    "npx mobileclip render --out runs/quickstart/scenes --train 8 --test 4 --retrieval 4 --progress none",
  )
  expect(code, err).toBe(0)
  cpSync("runs/quickstart/scenes/train", "runs/quickstart/captioned", { recursive: true })
  cpSync("photos", "runs/quickstart/pictures", { recursive: true })
  mkdirSync("runs/quickstart/teachers/a", { recursive: true })
  writeTrainable("runs/quickstart/teachers/a/model.safetensors")
}

/** Evaluated every 200 samples. */
function writeStudents(scores: Readonly<Record<string, readonly number[]>>): void {
  for (const [name, averages] of Object.entries(scores)) {
    const student = join("runs/quickstart/students", name)
    mkdirSync(student, { recursive: true })
    const lines = averages.flatMap((average, i) => {
      const at = { step: 20 * (i + 1), samplesSeen: 200 * (i + 1) }
      return [
        { ...at, losses: { contrastive: 1 }, gradNorm: 1, seconds: 1 },
        { ...at, tasks: { cifar10: average }, average },
      ]
    })
    writeFileSync(join(student, "metrics.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
  }
}

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** By the shell, with the repository's program. */
function shell(command: string): Ended {
  const line = command.replace(/^npx mobileclip/, `"${process.execPath}" "${program}"`)
  const { status, stdout, stderr } = spawnSync(line, { shell: true, encoding: "utf8" })
  return { code: status, out: stdout, err: stderr }
}

/** `npx mobileclip ...` in this process, as its words; quotes are the shell's. */
async function mobileclip(command: string): Promise<Ended> {
  const words = command.replace("nats://HOST", nats.url).replaceAll("'", "").trim().split(/\s+/).slice(2)
  let [out, err] = ["", ""]
  const code = await main(words, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

test("there are commands to run, and no entry of the table is left over", () => {
  expect(commands.length).toBeGreaterThan(25)
  expect(Object.keys(table).filter((command) => !commands.includes(command))).toEqual([])
})

test("the README is short: in one screen how to set up, and a command for each step", () => {
  expect(readme.split("\n").length).toBeLessThanOrEqual(121)
  const screen = readme.split("\n").slice(0, 34).join("\n")
  const steps = ["npm ci && npm run quickstart", "npm ci && npm test"]
  for (const verb of ["reinforce", "train", "export", "classify", "evaluate", "index", "search", "serve"])
    steps.push(`\nnpx mobileclip ${verb} `)
  expect(steps.filter((step) => !screen.includes(step))).toEqual([])
})

test("every page and file that the README names is there", () => {
  const named = [...readme.matchAll(/\]\(([^)#]+)(?:#([\w-]+))?\)/g)]
  expect(named.length).toBeGreaterThan(10)
  for (const [, path, anchor] of named) {
    expect(existsSync(join(root, path!)), path).toBe(true)
    const heading = `\n## ${anchor?.replaceAll("-", " ")}\n`
    if (anchor) expect(readFileSync(join(root, path!), "utf8").toLowerCase(), anchor).toContain(heading)
  }
})

test("every file of this repository that a page names is there", () => {
  const pages = ["README.md", "examples/README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)]
  const named = pages.flatMap((page) =>
    [...readFileSync(join(root, page), "utf8").matchAll(/`((?:src|bench|torch|scan|jpeg|examples)\/[\w./-]+)`/g)].map(
      ([, path]) => ({ page, path: path! }),
    ),
  )
  expect(named.length).toBeGreaterThan(50)
  expect(named.filter(({ path }) => !existsSync(join(root, path)))).toEqual([])
})

/** Shown as a script of npm, which builds first. */
const shownOtherwise: Readonly<Record<string, string>> = { quickstart: "npm run quickstart" }

test("every command of the command line is shown", async () => {
  const { out } = await mobileclip("npx mobileclip --help")
  const names = [...out.split(/Commands:|Examples:/)[1]!.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!)
  expect(names).toContain("classify")
  const shown = (name: string) =>
    commands.some((command) => command.startsWith(shownOtherwise[name] ?? `npx mobileclip ${name}`))
  expect(names.filter((name) => name !== "help" && !shown(name))).toEqual([])
})

test.each(commands)("%s", async (command) => {
  const entry = table[command]
  if (!entry) return expect.unreachable("a new command needs an entry in the table")
  if ("provenBy" in entry) return checkNames(command, entry.provenBy)
  await entry.first?.()
  const whole = `${command} ${entry.add}`
  const ended = entry.asProcess ? Promise.resolve(shell(whole)) : mobileclip(whole)
  if (entry.background) {
    background = ended
    return
  }
  for (const { code, err } of await Promise.all([ended, ...(background ? [background] : [])])) expect(code, err).toBe(0)
  background = null
  for (const path of entry.leaves ?? []) expect(existsSync(path), path).toBe(true)
  if (entry.printing) expect((await ended).out).toMatch(entry.printing)
})

/** What the command is made of exists: the test of the same code, the script, the file, the flags. */
async function checkNames(command: string, test: string): Promise<void> {
  expect(existsSync(join(root, test)), test).toBe(true)
  const [program, verb, name] = command.split(" ") as [string, string, string?]
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  if (program === "node") expect(existsSync(join(root, verb))).toBe(true)
  else if (verb === "run" || verb === "test") expect(scripts).toHaveProperty([name ?? verb])
  const flags = command.match(/--[a-z]\S*/g) ?? []
  const help = async () => {
    if (program !== "node") return (await mobileclip(`npx mobileclip ${name} --help`)).out
    return spawnSync(process.execPath, [join(root, verb), "--help"], { encoding: "utf8" }).stdout
  }
  const out = flags.length > 0 ? await help() : ""
  for (const flag of flags) expect(out, flag).toMatch(RegExp(`${flag}\\b`))
}

test("the program compiles against the package's types, and labels a picture", () => {
  mkdirSync(scratch, { recursive: true })
  const source = join(scratch, "program.mts")
  writeFileSync(source, blocksOf("ts")[0]!)
  const strict = ["--ignoreConfig", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2023"]
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  execFileSync(process.execPath, [compiler, ...strict, "--lib", "es2023,dom", source])

  cpSync("models/s0", "runs/quickstart/model", { recursive: true })
  cpSync("photos/0.jpg", "star.jpg")
  const printed = execFileSync(process.execPath, [join(scratch, "program.mjs")], { encoding: "utf8" })
  expect(printed).toMatch(/^(red|green|blue) 0\.\d+ onnxruntime-node \S+ \[\n/)
}, 60_000)
