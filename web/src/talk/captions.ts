// The conversation as a file: what the page has seen, as captions (WebVTT) or as text. The service writes transcripts in the same forms.
import { clockTime } from '../frame.tsx'

/** What was said, and when, ms since 1970. */
export interface Said { by: 'user' | 'agent', text: string, at: number }

/** How long a caption is shown when nothing follows, ms. */
const SHOWN = 5000

const inOneLine = (text: string) => text.replace(/\s+/g, ' ').trim()

/** https://www.w3.org/TR/webvtt1/ */
export function toVtt (said: Said[], began: number): string {
  const offset = (at: number) => new Date(Math.max(0, at - began)).toISOString().slice(11, 23)
  const cues = said.map(({ by, text, at }, n) => {
    const until = Math.max(at + 500, Math.min(at + SHOWN, said[n + 1]?.at ?? Infinity))
    return `${offset(at)} --> ${offset(until)}\n<v ${by}>${inOneLine(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')}`
  })
  return `${['WEBVTT', ...cues].join('\n\n')}\n`
}

/** A line each: when, who, what. */
export function toText (said: Said[], began: number, names: Record<Said['by'], string>): string {
  return said.map(({ by, text, at }) => `[${clockTime(Math.max(0, at - began))}] ${names[by]}: ${inOneLine(text)}\n`).join('')
}

/** Gives the browser a file to keep. */
export function save (name: string, type: string, content: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
