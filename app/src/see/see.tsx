/** See: a picture or the camera, and which of some labels fits. */
import { useSignal } from "@preact/signals"
import { type LabelScore, UserError } from "mobileclip/browser"
import { useEffect, useMemo, useRef } from "preact/hooks"
import { isClosed, type Ready, ready } from "../model/state.ts"
import { openTab, receiveIn, takePictures } from "../shared/intake.ts"
import { Awaited, FileButton, Picture, Problem, ScoreBars } from "../shared/parts.tsx"
import { isAbort, pictureError } from "../shared/words.ts"
import { closeCamera, FrameRate, nextFrame, openCamera } from "./camera.ts"
import { Explain } from "./explain.tsx"
import { labelsIn, templatesIn } from "./labels.ts"
import { defaultTemplates, manyTemplates, presets, shapeColours } from "./presets.ts"
import { Samples } from "./samples.tsx"
import { write, writePreset, written } from "./written.ts"

export function See() {
  const picture = useSignal<File | null>(null)
  const isFilming = useSignal(false)
  const error = useSignal<unknown>(null)
  const filmed = useSignal<Filmed | null>(null)
  const rate = useSignal<{ perSecond: number; frames: number } | null>(null)
  const video = useRef<HTMLVideoElement>(null)

  const show = (file: File) => {
    error.value = null
    isFilming.value = false
    picture.value = file
  }
  useEffect(() => receiveIn("see", ([first]) => first && show(first.file)), [])
  const ofPicture = usePictureScores(ready.value, isFilming.value ? null : picture.value)
  useCamera(ready.value, isFilming.value && openTab.value === "see", video, { filmed, error, rate, isFilming })
  const ofFilm = filmed.value?.open === ready.value ? filmed.value!.scores : []
  const scores = isFilming.value ? ofFilm : ofPicture.scores

  return (
    <div class="see">
      <div class="column">
        <div class="row">
          <FileButton
            primary
            multiple={false}
            onFiles={(files) => {
              const [first] = takePictures(files)
              if (first) show(first.file)
            }}
          >
            Choose a picture
          </FileButton>
          <button
            type="button"
            aria-pressed={isFilming.value}
            onClick={() => {
              error.value = null
              isFilming.value = !isFilming.value
            }}
          >
            {isFilming.value ? "Stop the camera" : "Use the camera"}
          </button>
        </div>
        <div class="stage">
          <video ref={video} muted playsInline hidden={!isFilming.value} aria-label="What the camera sees" />
          {!isFilming.value && picture.value && (
            <Picture blob={picture.value} alt={`The picture ${picture.value.name}`} />
          )}
          {!isFilming.value && !picture.value && (
            <p class="soft">Choose, drop or paste a picture, or use the camera.</p>
          )}
        </div>
        {isFilming.value && <Rate rate={rate.value} />}
        {shapeColours.models?.test(ready.value?.clip.info.name ?? "") && (
          <Samples onPicture={show} onError={(thrown) => (error.value = thrown)} />
        )}
      </div>
      <div class="column scores">
        <Problem error={error.value ?? ofPicture.error} />
        <div aria-live={isFilming.value ? "off" : "polite"}>
          <Awaited isAwaited={ofPicture.isAwaited}>
            {scores.length > 0 && (
              <ScoreBars
                caption="Scores of the labels, the best first"
                bars={scores.map(({ label, score, cosine }) => ({ label, score, cosine }))}
              />
            )}
          </Awaited>
        </div>
        {ready.value && <Explain scores={scores} logitScale={ready.value.clip.logitScale} />}
      </div>
      <Words />
    </div>
  )
}

function Rate({ rate }: { readonly rate: { perSecond: number; frames: number } | null }) {
  if (!rate) return <p class="soft">Measuring …</p>
  return (
    <p class="soft">
      <strong>{rate.perSecond.toFixed(1)} pictures a second</strong>, from a frame of the camera to its scores on this
      page (median of the last {rate.frames})
    </p>
  )
}

function Words() {
  const { labels, templates } = written.value
  const chosen = presets.find((preset) => preset.labels.join("\n") === labels)
  return (
    <fieldset class="words">
      <legend>Words</legend>
      <label>
        Begin with
        <select
          value={chosen?.name ?? ""}
          onChange={({ currentTarget }) => {
            const preset = presets.find(({ name }) => name === currentTarget.value)
            if (preset) writePreset(preset)
          }}
        >
          {!chosen && <option value="">own words</option>}
          {presets.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        Labels, one in each line
        <textarea
          rows={7}
          spellcheck={false}
          value={labels}
          onInput={({ currentTarget }) => write({ labels: currentTarget.value })}
        />
      </label>
      <details>
        <summary>Prompts</summary>
        <label>
          What each label is put into, in place of {"{}"}; several lines are averaged
          <textarea
            rows={4}
            spellcheck={false}
            value={templates}
            onInput={({ currentTarget }) => write({ templates: currentTarget.value })}
          />
        </label>
        <div class="row">
          <button type="button" onClick={() => write({ templates: defaultTemplates.join("\n") })}>
            One prompt
          </button>
          <button type="button" onClick={() => write({ templates: manyTemplates.join("\n") })}>
            Seven prompts
          </button>
          <button type="button" onClick={() => write({ templates: "{}" })}>
            The label alone
          </button>
        </div>
      </details>
    </fieldset>
  )
}

// ------------------------------------------------------------------------------------------------------- computing

function classify({ clip }: Ready, picture: Blob | HTMLVideoElement, signal: AbortSignal): Promise<LabelScore[]> {
  const labels = labelsIn(written.value.labels)
  const templates = templatesIn(written.value.templates)
  return clip.classify([picture], labels, { templates, signal }).then(([scores]) => scores!)
}

interface Question {
  readonly open: Ready | null
  readonly picture: File | null
}

interface Answer {
  readonly scores: readonly LabelScore[]
  readonly error: unknown
}

/**
 * A change of the picture, the words or the model computes again; the last one counts. Scores of another picture or another model
 * go at once, as errors do; those of other words stay until the new ones come.
 */
function usePictureScores(open: Ready | null, picture: File | null): Answer & { readonly isAwaited: boolean } {
  const { labels, templates } = written.value
  const question = useMemo((): Question => ({ open, picture }), [open, picture, labels, templates])
  const last = useSignal<(Answer & { readonly question: Question }) | null>(null)
  useEffect(() => {
    if (!open || !picture) return
    const own = new AbortController()
    const answer = ({ scores = [], error = null }: Partial<Answer>) => {
      if (!own.signal.aborted) last.value = { question, scores, error }
    }
    const timer = setTimeout(() => {
      classify(open, picture, own.signal).then(
        (scores) => answer({ scores }),
        (thrown) => isAbort(thrown) || answer({ error: pictureError(thrown, picture) }),
      )
    }, 150)
    return () => {
      clearTimeout(timer)
      own.abort()
    }
  }, [question])
  const isOfThis = last.value?.question.open === open && last.value.question.picture === picture
  const isAnswered = last.value?.question === question
  return {
    scores: isOfThis ? last.value!.scores : [],
    error: isAnswered ? last.value!.error : null,
    isAwaited: open !== null && picture !== null && !isAnswered,
  }
}

/** Scores of the last frame, and the model that they are by. */
interface Filmed {
  readonly open: Ready
  readonly scores: readonly LabelScore[]
}

interface Film {
  readonly filmed: { value: Filmed | null }
  readonly error: { value: unknown }
  readonly rate: { value: { perSecond: number; frames: number } | null }
  readonly isFilming: { value: boolean }
}

function useCamera(
  open: Ready | null,
  isOn: boolean,
  video: { current: HTMLVideoElement | null },
  { filmed, error, rate, isFilming }: Film,
): void {
  useEffect(() => {
    if (!isOn || !open) return
    const own = new AbortController()
    let stream: MediaStream | null = null
    const film = async () => {
      stream = await openCamera(video.current!)
      const measured = new FrameRate()
      let last: number | null = null
      while (!own.signal.aborted) {
        await nextFrame(video.current!)
        const found = await classify(open, video.current!, own.signal).catch(wordsProblem)
        // Another model took its place, and films anew.
        if (isClosed(open)) return
        if (Array.isArray(found)) {
          ;[filmed.value, error.value] = [{ open, scores: found }, null]
        } else {
          ;[filmed.value, error.value] = [null, found]
          await pause(300)
          continue
        }
        const now = performance.now()
        if (last !== null) measured.add(now - last)
        last = now
        const { perSecond, frames } = measured
        rate.value = perSecond === null ? null : { perSecond, frames }
      }
    }
    film()
      .catch((thrown) => {
        if (own.signal.aborted || isAbort(thrown)) return
        ;[error.value, isFilming.value] = [thrown, false]
      })
      .finally(() => closeCamera(stream))
    return () => {
      own.abort()
      closeCamera(stream)
      ;[filmed.value, rate.value] = [null, null]
    }
  }, [open, isOn])
}

/** While words are being written they may be none, or without a place for the label: the camera goes on. */
function wordsProblem(error: unknown): unknown {
  if (error instanceof UserError) return error
  throw error
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
