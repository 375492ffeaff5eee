/**
 * Running: this library against @huggingface/transformers on the same towers and files, in one command.
 *
 *     npm run build && node dist/bench/run.js [--model NAME|DIR]... [--pictures DIR] [--rounds 5] [--quick]
 *                                             [--one-process] [--no-family] [--json FILE]
 *
 * Files of pictures to vectors (640 x 480 and 12 MP, whole lists and one by one), texts to vectors (short, and of full
 * length), `classify` from the start of a process to its end, twice (an empty cache, then what the first run left), and
 * memory. Each library is in a process of its own and the processes take turns, because in one process their threads spin
 * against each other; --one-process shows that. The other library is given its best: fp32, its own threads, and the best of
 * batches of 1, 8 and 16, whose pictures are read at the same time; while it computes one batch it reads no other. The tower alone and everything but the tower are measured in the same rounds, for the overlap.
 * Vectors of the two are compared, so that both do the work. Then every tower of the family against the processor's peak.
 * Names of the family need no weights: they are generated. Fails where vectors have nothing to do with each other.
 */
import { writeFile } from "node:fs/promises"
import { parseArgs } from "node:util"
import { familyNames, quickNames } from "../src/benchmark/latency/subjects.ts"
import { messageOf, UserError } from "../src/core/errors.ts"
import { markdownOf } from "./run/markdown.ts"
import { measureRun, type RunOptions, type RunReport } from "./run/measure-run.ts"

/** Their resize samples large pictures without a filter, so vectors are near each other and not equal. */
const leastCosine = 0.8

async function main(): Promise<void> {
  const { options, json } = parsed()
  const report = await measureRun(options)
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`)
  console.log(markdownOf(report))
  const apart = groupsOf(report).filter(({ agreement }) => !(agreement.mean >= leastCosine))
  if (apart.length === 0) return
  console.error(`the libraries' vectors differ: ${apart.map(({ name }) => name).join(", ")}`)
  process.exitCode = 1
}

function groupsOf({ models }: RunReport) {
  return models.flatMap(({ images, texts }) => [...images, ...texts])
}

function parsed(): { readonly options: RunOptions; readonly json: string | undefined } {
  const { values } = parseArgs({
    options: {
      model: { type: "string", multiple: true, default: ["mobileclip2-s0", "vit-b-32-256"] },
      pictures: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      "one-process": { type: "boolean", default: false },
      "no-family": { type: "boolean", default: false },
      json: { type: "string" },
    },
  })
  const { quick, json } = values
  return {
    json,
    options: {
      models: values.model,
      family: values["no-family"] ? [] : quick ? quickNames : familyNames,
      pictures: values.pictures ?? null,
      sizes: [
        { name: "640 x 480", width: 640, height: 480, count: quick ? 16 : 64 },
        { name: "12 MP", width: 4000, height: 3000, count: quick ? 4 : 16 },
      ],
      texts: quick ? 16 : 64,
      rounds: roundsOf(values.rounds ?? (quick ? "3" : "7")),
      coldRounds: quick ? 1 : 5,
      ...{ oneProcess: values["one-process"], quick },
      say: (line) => console.error(line),
    },
  }
}

function roundsOf(text: string): number {
  const rounds = Number(text)
  if (Number.isInteger(rounds) && rounds > 0) return rounds
  throw new UserError(`--rounds is ${text}`, "give a whole number from 1 on")
}

try {
  await main()
} catch (error) {
  console.error(`run: ${messageOf(error)}`)
  process.exitCode = 1
}
