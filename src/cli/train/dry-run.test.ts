import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Command } from "commander"
import { expect, test } from "vitest"
import { addTrainOptions, trainArgumentsOf } from "./arguments.ts"
import { dryRun, memoryText, storageText } from "./dry-run.ts"
import { resolveRecipe } from "./run.ts"

/** The plan of a command line, and its text. */
async function planOfLine(line: string, samples: number | null = null) {
  const argv = line.split(" ")
  const command = addTrainOptions(new Command("train")).exitOverride()
  command.parse(argv, { from: "user" })
  const args = trainArgumentsOf(command, {})
  const { plan, text } = await dryRun(await resolveRecipe(args), args.launch, { samples }, argv)
  return { plan, text: text(), start: plan.start }
}

test("what fits on a named GPU is said first, and the command that starts it last", async () => {
  const { text, plan } = await planOfLine("--recipe dfndr-12m --dry-run --gpu h100 --gpus 8 --ema 0.9995")
  expect(plan.fit).toMatchObject({ gpu: "h100", fits: true, largestChunk: 1024 })
  expect(text).toMatch(/^fits: a rank takes [\d.]+ GiB, and the H100 has 79 GiB, a tenth of which stays free\n/)
  expect(text).toMatch(
    /to start it:\n {2}mobileclip train --recipe dfndr-12m --ema 0.9995 --train-data DATA --out RUN --device cuda --nproc 8$/,
  )
  expect(text).toMatch(/^data +about 2.1 TB to download, 165 kB a pair/m)
  expect(text).toMatch(/^disk +7.8 GB for checkpoints and the model; a checkpoint has 2.4 GB$/m)
  expect(text).toMatch(/^H100 +8 +all 1,024 +1426\/s +48 +5 h \d\d min +4$/m)
  expect(text).toContain("31 % of the measured one")
  expect(text).not.toMatch(/NaN|undefined|null/)
})

test("where it does not fit: the largest chunk that does, the number of GPUs that do, and both in the command", async () => {
  const { text, start, plan } = await planOfLine("--recipe dfndr-12m --gpu h100 --dry-run --json")
  expect(text.split("\n").slice(0, 3)).toEqual([
    expect.stringMatching(
      /^does not fit: a rank takes \d+ GiB with 8,192 pairs encoded at once, and the H100 has 79 GiB/,
    ),
    expect.stringMatching(
      /^ {2}--chunk-size 2048 does: [\d.]+ GiB; every pair is encoded once more, and batch norm sees 2,048/,
    ),
    "  --gpus 4 does as it is",
  ])
  expect(text).toMatch(/^ +2,048 +[\d.]+ GiB {2}yes, the most$/m)
  expect(text).toMatch(/^ +4,096 +[\d.]+ GiB {2}no$/m)
  expect(start).toEqual([
    "mobileclip train --recipe dfndr-12m --train-data DATA --out RUN --device cuda batch.chunk=2048",
  ])
  expect(JSON.parse(JSON.stringify(plan))).toMatchObject({ fit: { fits: false, fewestRanks: 4 }, start })
})

test("several machines: torchrun's and SLURM's commands, with what the user gave, quoted", async () => {
  const line = "--recipe mobileclip2-s4 --gpu=a100 --gpus 128 --dry-run --train-data s3://b/$x.tar --out runs/s4"
  const { start, text } = await planOfLine(line)
  const own = "mobileclip train --recipe mobileclip2-s4 --train-data 's3://b/$x.tar' --out runs/s4 --device cuda"
  expect(start[0]).toBe(
    `torchrun --nnodes 16 --nproc-per-node 8 --node-rank N --master-addr HOST --master-port 29500 --no-python ${own}`,
  )
  expect(start[2]).toBe(`srun --nodes 16 --ntasks-per-node 8 --gpus-per-node 8 ${own}`)
  expect(start[3]).toContain("WORLD_SIZE=128")
  expect(text).toMatch(/^A100 80 GB +128 +all 896 /m)
})

test.each([
  ["--gpus 12", 12, 2, 6],
  ["--gpus 10 --nproc 4", 10, 5, 2],
  ["--gpus 9", 9, 3, 3],
])("%s: the machines have as many processes each, %i together", async (given, ranks, machines, perMachine) => {
  const { start } = await planOfLine(`--recipe dfndr-12m --dry-run --gpu h100 batch.size=7200 ${given}`)
  expect(start[0]).toContain(`torchrun --nnodes ${machines} --nproc-per-node ${perMachine} --node-rank N `)
  expect(start[1]).toContain(`on each of ${machines} machines; N is 0 to ${machines - 1}`)
  expect(start[2]).toContain(
    `srun --nodes ${machines} --ntasks-per-node ${perMachine} --gpus-per-node ${perMachine} mobileclip`,
  )
  expect(start[3]).toContain(`WORLD_SIZE=${ranks},`)
})

test("a rate says whether it is one rank's", async () => {
  const rate = "--recipe dfndr-12m --dry-run --gpu h100 --samples-per-second 8000"
  expect((await planOfLine(`${rate} --gpus 8`)).text).toMatch(
    /^time +8 h 32 min at 8000 pairs\/s over all 8 ranks, 1000\/s on each$/m,
  )
  expect((await planOfLine(rate)).text).toMatch(/^time +8 h 32 min at 8000 pairs\/s on one rank$/m)
})

test("--gpu and --gpus are a plan's", async () => {
  await expect(planOfLine("--recipe dfndr-12m --gpu h100 --out x")).rejects.toThrow("--gpu and --gpus are for a plan")
  await expect(planOfLine("--recipe dfndr-12m --dry-run --gpus 8")).rejects.toThrow("--gpus does not say which GPUs")
})

test("data on this machine is not to be downloaded, whatever its form; what is elsewhere is", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dry-run-"))
  const dataOf = async (train: string) => {
    const { plan, text } = await planOfLine(`--dry-run --gpu h100 --steps 9 --train-data ${train}`, 1000)
    return [plan.data, /^data +(.*?) *$/m.exec(text)![1]]
  }
  try {
    for (const path of ["photos/cat/1.jpg", "packed/00000.tar", "packed/00001.tar", "a.csv"]) {
      mkdirSync(join(folder, path, ".."), { recursive: true })
      writeFileSync(join(folder, path), "x".repeat(600))
    }
    const here = { bytes: null, isHere: true }
    const unmeasured = [here, "on this machine; its size was not measured"]
    for (const name of ["photos", "a.csv"]) expect(await dataOf(join(folder, name)), name).toEqual(unmeasured)
    expect(await dataOf(`file://${join(folder, "photos")}`)).toEqual(unmeasured)
    const measured = [{ bytes: 1200, isHere: true }, "1.2 kB on this machine"]
    for (const name of ["packed", "packed/{00000..00001}.tar"])
      expect(await dataOf(join(folder, name)), name).toEqual(measured)
    for (const name of [join(folder, "absent"), "s3://b/{0..9}.tar"])
      expect((await dataOf(name))[1], name).toMatch(/^about 70 MB to download.*; .* is not on this machine$/)
    const { text } = await planOfLine("--dry-run --gpu h100 --steps 9", 1000)
    expect(text).toMatch(/^data +about 70 MB to download, .* as in the published sets *$/m)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test("memory in units of 1024, storage in units of 1000", () => {
  expect([5e5, 336e6, 2 ** 30, 26.5e9, 2.2e12].map(memoryText)).toEqual([
    "0.5 MiB",
    "320 MiB",
    "1 GiB",
    "24.7 GiB",
    "2,050 GiB",
  ])
  expect([999, 165_000, 4.2e9, 2.1e12, 219e12].map(storageText)).toEqual([
    "999 bytes",
    "165 kB",
    "4.2 GB",
    "2.1 TB",
    "219 TB",
  ])
})
