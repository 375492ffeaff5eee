/** Teach: groups of own pictures, a head that tells them apart, tested, tried and saved. */
import { useSignal } from "@preact/signals"
import {
  type LabelScore,
  type LabelVectors,
  parseLabels,
  serializeLabels,
  UserError,
  weightsDigest,
} from "mobileclip/browser"
import { useEffect } from "preact/hooks"
import { type Ready, ready } from "../model/state.ts"
import { Thumbnail } from "../search/results.tsx"
import { receiveIn, takePictures } from "../shared/intake.ts"
import { AskFirst, FileButton, Picture, Problem, ScoreBars } from "../shared/parts.tsx"
import { counted, percent, pictureError } from "../shared/words.ts"
import {
  addExamples,
  addGroup,
  type Example,
  encodeExamples,
  type Group,
  groups,
  isChangedSince,
  isEncoding,
  removeExample,
  removeGroup,
  rename,
  restore,
  trainingSet,
} from "./groups.ts"
import { weightsOf } from "./head.ts"
import { headVectors } from "./head-file.ts"
import { type Trained, train } from "./leave-one-out.ts"

interface Head {
  readonly labels: LabelVectors
  /** Null where it came from a file. */
  readonly test: Test | null
}

interface Test extends Pick<Trained, "judged" | "right" | "interval" | "strength"> {
  readonly examples: readonly Example[]
  readonly places: readonly number[]
  readonly names: readonly string[]
  readonly seconds: number
}

export function Teach() {
  const head = useSignal<Head | null>(null)
  const progress = useSignal<number | null>(null)
  const error = useSignal<unknown>(null)
  const tried = useSignal<{ file: File; scores: readonly LabelScore[] } | null>(null)
  const target = useSignal<number | null>(null)
  const open = ready.value
  useEffect(() => void restore(), [])
  useEffect(() => {
    if (open) encodeExamples(open).catch(() => {})
  }, [open, groups.value])
  useEffect(() => {
    head.value = null
    tried.value = null
  }, [open?.key])
  useEffect(() => {
    receiveIn("teach", (pictures) => {
      const id = target.peek() ?? groups.peek()[0]?.id
      if (id !== undefined)
        addExamples(
          id,
          pictures.map(({ file }) => file),
        )
    })
  }, [])

  const test = head.value?.test
  const isOld = test !== undefined && test !== null && isChangedSince(test.names, test.examples)

  const attempt = async (work: () => Promise<void>) => {
    try {
      error.value = null
      await work()
    } catch (thrown) {
      error.value = thrown
    }
  }
  const teach = () =>
    attempt(async () => {
      const using = requireOpen(open)
      progress.value = 0
      try {
        await encodeExamples(using)
        head.value = await trainHead(using, trainingSet(), (share) => (progress.value = share))
        tried.value = null
      } finally {
        progress.value = null
      }
    })
  const attemptPicture = (file: File) =>
    attempt(async () => {
      tried.value = null
      const [scores] = await requireOpen(open)
        .clip.classify([file], head.value!.labels)
        .catch((thrown) => {
          throw pictureError(thrown, file)
        })
      tried.value = { file, scores: scores! }
    })
  const load = (file: File) =>
    attempt(async () => {
      head.value = { labels: await readHead(file, requireOpen(open)), test: null }
      tried.value = null
    })

  return (
    <div class="teach">
      <p class="lede">
        Name two or more groups and give each some pictures; twenty in all are enough to begin. The page trains a head
        on the model's vectors, tests it on pictures that it did not see, and saves it as a file.
      </p>
      <div class="groups">
        {groups.value.map((group) => (
          <GroupBox
            key={group.id}
            group={group}
            isTarget={(target.value ?? groups.value[0]?.id) === group.id}
            onTarget={() => (target.value = group.id)}
          />
        ))}
      </div>
      <div class="row">
        <button type="button" onClick={addGroup}>
          Add a group
        </button>
        <button type="button" class="primary" disabled={!open || progress.value !== null} onClick={teach}>
          {progress.value !== null ? `Training and testing, ${percent(progress.value)}` : "Teach"}
        </button>
        <FileButton accept=".json,application/json" multiple={false} disabled={!open} onFiles={([file]) => load(file!)}>
          Open a saved head …
        </FileButton>
        {isEncoding.value && <span role="status">Encoding pictures …</span>}
      </div>
      <Problem error={error.value} />
      {isOld && (
        <p class="notice" role="status">
          The groups have changed since: test and head are those of before. Teach again to test and save what is here
          now.
        </p>
      )}
      {head.value?.test && <Tested test={head.value.test} />}
      {head.value && (
        <section aria-label="Try it">
          <h2>Try it</h2>
          <p class="soft">
            {head.value.test ? "The head tells" : "A head from a file, which tells"}{" "}
            {new Intl.ListFormat("en").format(head.value.labels.labels)} apart.
          </p>
          <div class="row">
            <FileButton
              multiple={false}
              onFiles={(files) => {
                const [first] = takePictures(files)
                if (first) void attemptPicture(first.file)
              }}
            >
              Try a picture …
            </FileButton>
            <button type="button" disabled={isOld} onClick={() => save(head.value!.labels)}>
              Save the head
            </button>
          </div>
          {tried.value && (
            <div class="tried">
              <div class="stage">
                <Picture blob={tried.value.file} alt={`The picture ${tried.value.file.name}`} />
              </div>
              <div aria-live="polite">
                <ScoreBars
                  caption="Scores of the groups, the best first"
                  bars={tried.value.scores.map(({ label, score }) => ({ label, score, cosine: null }))}
                />
              </div>
            </div>
          )}
          <p class="soft">
            Every picture is put into one of the groups, even one of something else. On a command line:{" "}
            <code>mobileclip classify photos --model MODEL --baked head.json --orientation apply</code>, which turns
            pictures as this page does.
          </p>
        </section>
      )}
    </div>
  )
}

function GroupBox({ group, isTarget, onTarget }: { group: Group; isTarget: boolean; onTarget: () => void }) {
  const { id, name, examples } = group
  const broken = examples.filter(({ reason }) => reason !== null)
  return (
    <fieldset class={`group${isTarget ? " target" : ""}`} onFocusIn={onTarget} onPointerDown={onTarget}>
      <legend class="hidden">Group {name}</legend>
      <div class="row">
        <label class="grow">
          Name
          <input type="text" value={name} onInput={({ currentTarget }) => rename(id, currentTarget.value)} />
        </label>
        {groups.value.length > 2 && (
          <AskFirst
            small
            label={`Remove the group ${name}`}
            question={`Remove ${name || "it"} with ${counted(examples.length, "picture")}?`}
            yes="Remove it"
            onYes={() => removeGroup(id)}
          >
            Remove
          </AskFirst>
        )}
      </div>
      <ul class="examples" aria-label={`Pictures of ${name}`}>
        {examples.map((example) => (
          <li
            key={example.id}
            class={example.reason ? "broken" : undefined}
            title={example.reason ?? example.file.name}
          >
            {example.reason ? <span class="blank" /> : <Thumbnail file={example.file} alt={example.file.name} />}
            <button
              type="button"
              class="cross"
              aria-label={`Remove ${example.file.name}`}
              onClick={() => removeExample(example.id)}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      {broken.map(({ id, reason }) => (
        <p key={id} class="unread">
          Left out: {reason}
        </p>
      ))}
      <div class="row">
        <FileButton
          label={`Add pictures to ${name}`}
          onFiles={(files) =>
            addExamples(
              id,
              takePictures(files).map(({ file }) => file),
            )
          }
        >
          Add pictures …
        </FileButton>
        <span class="soft">
          {counted(examples.length - broken.length, "picture")}
          {isTarget && "; pasted and dropped ones come here"}
        </span>
      </div>
    </fieldset>
  )
}

function Tested({ test }: { readonly test: Test }) {
  const { judged, right, interval, places, names, examples, seconds } = test
  const all = judged.length
  const wrong = judged.flatMap((one, i) => (one.said === places[i] ? [] : [{ ...one, i }]))
  return (
    <section aria-label="Test">
      <h2>Test</h2>
      <p role="status">
        <strong>
          {right} of {all} right ({percent(right / all)})
        </strong>
        , with 95 % confidence between {percent(interval[0])} and {percent(interval[1])}. Trained and tested in{" "}
        {seconds.toFixed(1)} s.
      </p>
      <p class="soft">
        Each picture was judged by a head that was trained without it. How boldly heads speak was chosen by the same
        test, which makes the figure a little too good; pictures that resemble each other, such as frames of one film,
        make it much too good.
      </p>
      {wrong.length > 0 && (
        <ul class="grid" aria-label="Pictures that were wrong">
          {wrong.map(({ said, share, i }) => (
            <li key={examples[i]!.id} class="found wrong">
              <Thumbnail file={examples[i]!.file} alt={examples[i]!.file.name} />
              <p class="name">{examples[i]!.file.name}</p>
              <p class="soft">
                is {names[places[i]!]}, was called {names[said]} ({percent(share)})
              </p>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

// ------------------------------------------------------------------------------------------------------- training

function requireOpen(open: Ready | null): Ready {
  if (open) return open
  throw new UserError("no model is open", "choose one at the top of the page")
}

async function trainHead(
  { clip }: Ready,
  { vectors, places, names, examples }: ReturnType<typeof trainingSet>,
  onProgress: (share: number) => void,
): Promise<Head> {
  const began = performance.now()
  const { fit, ...trained } = await train(vectors, places, names.length, { onProgress })
  const of = { model: clip.info.name, weights: weightsDigest(clip.info.manifest), embedDim: clip.embedDim }
  const labels = headVectors(weightsOf(fit, vectors, names.length), names, of)
  const seconds = (performance.now() - began) / 1000
  return { labels, test: { ...trained, examples, places, names, seconds } }
}

/** Throws UserError where it is none, or another model made it. */
async function readHead(file: File, { clip }: Ready): Promise<LabelVectors> {
  try {
    const labels = parseLabels(await file.text(), file.name)
    await clip.classifier(labels)
    return labels
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new UserError(error.message, "choose a file that “Save the head” wrote with this model, or teach again")
  }
}

function save(labels: LabelVectors): void {
  const url = URL.createObjectURL(new Blob([serializeLabels(labels)], { type: "application/json" }))
  const link = document.createElement("a")
  link.href = url
  link.download = "head.json"
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
