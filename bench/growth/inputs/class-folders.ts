/** Pictures in class folders: a few files, and hard links of them. */
import { link, mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { jpegs } from "./pictures.ts"

const [classes, side, differentPictures] = [10, 224, 20]

/** `pictures/class-0/000000.jpg`, ... in `folder`. */
export async function makeClassFolders(folder: string, pictures: number): Promise<void> {
  const files = await jpegs(differentPictures, side)
  const path = (i: number) => join(folder, "pictures", `class-${i % classes}`, `${String(i).padStart(6, "0")}.jpg`)
  for (let i = 0; i < classes; i++) await mkdir(join(folder, "pictures", `class-${i}`), { recursive: true })
  for (let i = 0; i < pictures; i++) {
    if (i < files.length) await writeFile(path(i), files[i]!)
    else await link(path(i % files.length), path(i))
  }
}
