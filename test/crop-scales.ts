/** The crops that the two students of a comparison's folder see. */
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { SafetensorsFile } from "../src/core/containers/safetensors.ts"
import { openRandomAccess } from "../src/host/files/files.ts"

/** Shares of a picture's area: by the settings of the plain run, and by the job that made the views of the reinforced one. */
export async function cropScalesOf(out: string, plainRun: string): Promise<{ plain: number[]; reinforced: number[] }> {
  const checkpoints = join(out, "students", plainRun, "checkpoints")
  const names = (await readdir(checkpoints)).filter((name) => name.endsWith(".safetensors"))
  const file = openRandomAccess(join(checkpoints, names.at(-1)!))
  try {
    const { settings } = JSON.parse(new SafetensorsFile(file).metadata.training!)
    const { job } = JSON.parse(await readFile(join(out, "reinforced", "config.json"), "utf8"))
    return { plain: JSON.parse(settings.cropScale), reinforced: job.stage.augmentation.randomResizedCrop.scale }
  } finally {
    file.close()
  }
}
