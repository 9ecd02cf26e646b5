// A transcript as captions (WebVTT) and as plain text.
import type { Line } from './transcripts.ts'

export interface Transcript { began_at: Date, lines: Line[], summary: string | null }

const twoDigits = (number: number) => String(number).padStart(2, '0')

/** How long after the start of the session, as hours, minutes, seconds. */
function clockOf (ms: number): string {
  const seconds = Math.floor(ms / 1000)
  return `${twoDigits(Math.floor(seconds / 3600))}:${twoDigits(Math.floor(seconds / 60) % 60)}:${twoDigits(seconds % 60)}`
}

const inOneLine = (text: string) => text.replace(/\s+/g, ' ').trim()

/** https://www.w3.org/TR/webvtt1/: a cue for each line that was spoken, by the voice of its speaker; tools are comments. */
export function toVtt ({ began_at: began, lines, summary }: Transcript): string {
  const offset = (at: number) => {
    const ms = Math.max(0, at - began.getTime())
    return `${clockOf(ms)}.${String(ms % 1000).padStart(3, '0')}`
  }
  const escaped = (text: string) => inOneLine(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  const blocks = lines.map(({ at, until, by, text }) => by === 'tool'
    ? `NOTE tool ${escaped(text)}`
    : `${offset(at.getTime())} --> ${offset(Math.max(until.getTime(), at.getTime() + 1))}\n<v ${by}>${escaped(text)}`)
  if (summary) blocks.unshift(`NOTE summary ${escaped(summary)}`)
  return `${['WEBVTT', ...blocks].join('\n\n')}\n`
}

/** A line each: when, who, what. */
export function toText ({ began_at: began, lines, summary }: Transcript): string {
  const said = lines.map(({ at, by, text }) => `[${clockOf(Math.max(0, at.getTime() - began.getTime()))}] ${by}: ${inOneLine(text)}\n`).join('')
  return summary ? `${said}summary: ${inOneLine(summary)}\n` : said
}
