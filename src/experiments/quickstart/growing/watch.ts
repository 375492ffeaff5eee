/**
 * Watches a run of the quickstart: its observer, and `report.html`, which grows with it until the report takes its place. The times
 * of the stages are kept in `stages.json`, so that a run that goes on knows those before.
 */
import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { UserError } from "../../../core/errors.ts"
import { readJson, writeAtomically } from "../../../host/files/files.ts"
import type { Stage } from "../../comparison/stages.ts"
import { scheduledShares } from "../../comparison/students.ts"
import type { QuickstartOptions } from "../recipe.ts"
import { guessing } from "../report-data.ts"
import { GrowingCurves, type WatchedGroup } from "./curves.ts"
import { RunObserver } from "./observer.ts"
import { growingPage, isGrowing } from "./page.ts"
import { PageFile } from "./page-file.ts"
import { GrowingPictures } from "./pictures.ts"
import { plannedStages } from "./stages.ts"

export interface Watch {
  readonly observer: RunObserver
  readonly earlier: readonly Stage[]
  /** The run is done: the page is not written any more, and the report can take its place. */
  finish(): Promise<void>
  /** The run has ended with an error: the page says so, unless the folder has the report of a run that was finished. */
  fail(error: unknown): Promise<void>
}

/** The folder must be the quickstart's own. */
export async function watchRun(options: QuickstartOptions): Promise<Watch> {
  const { out, seeds, command, say } = options
  const [page, times] = [join(out, "report.html"), join(out, "stages.json")]
  const earlier = await readTimes(times)
  const finished = await finishedReport(out, page)
  const curves = new GrowingCurves(watchedGroups(options))
  const pictures = new GrowingPictures(firstShard(out, "scenes/train"), firstShard(out, "captioned"))
  const file = new PageFile(async () => {
    const shown = { curves: await curves.figures(), pictures: await pictures.all(), command, writtenAt: new Date() }
    return new Map([
      [page, growingPage({ run: observer.state(), ...shown })],
      [times, timesText(observer.times())],
    ])
  }, say)
  const observer = new RunObserver(plannedStages(seeds, scheduledShares(seeds)), earlier, (event) =>
    file.changed(event),
  )
  say(`to watch it, open ${page} in a browser: the page grows until it is the report`)
  return {
    observer,
    earlier,
    async finish() {
      await file.close()
      await writeAtomically(times, [timesText(observer.times())])
    },
    async fail(error) {
      observer.stops(error)
      await file.close()
      // The failure of the run is the one to report.
      if (finished) await writeAtomically(page, [finished]).catch(() => {})
    },
  }
}

/** The report of a run that was finished, whose page this one takes; null where there is none. */
async function finishedReport(out: string, page: string): Promise<string | null> {
  if (!existsSync(page) || !existsSync(join(out, "report.json"))) return null
  const text = await readFile(page, "utf8")
  return isGrowing(text) ? null : text
}

function firstShard(out: string, folder: string): string {
  return join(out, folder, "00000.tar")
}

// ------------------------------------------------------------------------------------------------------- times

const timesSchema = z.record(z.string(), z.number().nonnegative())

async function readTimes(path: string): Promise<Stage[]> {
  if (!existsSync(path)) return []
  const parsed = timesSchema.safeParse(await readJson(path, "seconds of stages"))
  if (!parsed.success) throw new UserError(`${path} should be seconds by stage, and is not`, "delete it")
  return Object.entries(parsed.data).map(([name, seconds]) => ({ name, seconds }))
}

function timesText(times: readonly Stage[]): string {
  return `${JSON.stringify(Object.fromEntries(times.map(({ name, seconds }) => [name, seconds])))}\n`
}

// --------------------------------------------------------------------------------------------------- trainings

/** The trainings in the order in which they begin. */
function watchedGroups({ out, recipe, seed, seeds }: QuickstartOptions): WatchedGroup[] {
  const { teachers, captioner, student } = recipe
  const watched = (folder: string, name: string, { steps, batchSize }: { steps: number; batchSize: number }) => ({
    ...{ name, steps, batchSize, directory: join(out, folder) },
  })
  const pair = (i: number): WatchedGroup => ({
    title: seeds > 1 ? `Students, pair ${i + 1} of ${seeds}` : "Students",
    guessing,
    trainings: ["plain", "reinforced"].map((kind) => watched(`students/${kind}-${seed + i}`, kind, student.training)),
  })
  return [
    {
      title: "Teachers",
      guessing,
      trainings: teachers.map(({ name, training }) => watched(`teachers/${name}`, `teacher ${name}`, training)),
    },
    { title: "Captioner", trainings: [watched(`teachers/${captioner.name}`, captioner.name, captioner.training)] },
    ...Array.from({ length: seeds }, (_, i) => pair(i)),
  ]
}
