import { render } from "preact"
import { App, followAddress } from "./app.tsx"
import { start } from "./model/state.ts"
import { watchForUpdates } from "./offline/update.ts"
import { listenForPictures } from "./shared/intake.ts"
import "./style.css"

const page = document.getElementById("page")!
page.replaceChildren()
followAddress()
render(<App />, page)
listenForPictures()
void watchForUpdates()
void start()
