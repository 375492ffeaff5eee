/** Before the tests, as `npm run build` does with libtorch: Chromium of the distribution, where there is none. `npm test` runs it. */
import { messageOf } from "../src/core/errors.ts"
import { canInstall, downloadSize, installer, installPackages, updateLists } from "../src/native/apt.ts"
import { findChromium } from "./chromium.ts"

const packages = ["chromium"]

/** Tests in a browser fail where there is none, and say what to do; the others go on. */
try {
  findChromium()
} catch (error) {
  console.log(messageOf(error))
  if (canInstall()) install()
}

function install(): void {
  console.log(`installing the distribution's with ${installer()}`)
  try {
    updateLists()
    console.log(`${packages.join(", ")}: ${downloadSize(packages)}`)
    installPackages(packages)
  } catch (error) {
    console.log(messageOf(error))
  }
}
