/** Pictures whose class is known, for measurements of search with a model. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { COLOURS, namesOf } from "../../src/data/scenes/attributes.ts"
import { renderScene } from "../../src/data/scenes/render.ts"
import { sampleScene } from "../../src/data/scenes/scene.ts"
import { otherNames } from "../../src/experiments/cifar10/classes.ts"

export interface ClassPictures {
  readonly classNames: readonly string[]
  /** Texts of a class that say its name. */
  readonly phrasings: (name: string) => readonly string[]
  /** Texts of a class that say another name of it. */
  readonly otherPhrasings: (name: string) => readonly string[]
  /** Class after class where they are files. */
  readonly pictures: AsyncIterable<ClassPicture>
}

export interface ClassPicture {
  readonly bytes: Buffer
  /** The number of its class. */
  readonly label: number
}

/** @param place a folder with a folder for each class, in it or in its `test`; or `scenes` */
export function classPictures(place: string): ClassPictures {
  return place === "scenes" ? scenes() : classFolders(place)
}

function classFolders(root: string): ClassPictures {
  const top = readdirSync(root).includes("test") ? join(root, "test") : root
  const classNames = readdirSync(top).sort()
  const others = otherNames as Readonly<Record<string, readonly string[]>>
  const templates = ["{}", "a photo of a {}.", "a picture of a {}", "the {}", "a small {}"]
  async function* pictures() {
    for (const [label, name] of classNames.entries())
      for (const file of readdirSync(join(top, name)).sort())
        yield { bytes: readFileSync(join(top, name, file)), label }
  }
  return {
    classNames,
    pictures: pictures(),
    phrasings: (name) => templates.map((text) => text.replace("{}", name)),
    otherPhrasings: (name) => (others[name] ?? []).flatMap((other) => [other, `a photo of a ${other}`]),
  }
}

/** Pictures of one object from a seed that no model is trained on; the class is the object's colour. */
function scenes(): ClassPictures {
  const classNames = namesOf(COLOURS)
  const templates = ["{}", "one {} object", "a {} shape", "a picture of a {} object", "something {}"]
  async function* pictures() {
    for (let index = 0; index < 5000; index++) {
      const scene = sampleScene(424_242, "train", index)
      if (scene.layout !== "single") continue
      const label = classNames.indexOf(scene.objects[0]!.colour)
      yield { bytes: Buffer.from(await renderScene(scene)), label }
    }
  }
  return {
    classNames,
    pictures: pictures(),
    phrasings: (name) => templates.map((text) => text.replace("{}", name)),
    otherPhrasings: () => [],
  }
}
