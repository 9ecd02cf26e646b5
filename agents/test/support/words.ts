// Words as they are compared: however numbers and titles are written.
import { wordErrors, words } from './speech.ts'

const ONES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen', 'nineteen']
const TENS = ['', '', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety']
const SAME: Record<string, string> = { dr: 'doctor', doctor: 'doctor', kilometres: 'kilometers', km: 'kilometers', kg: 'kilograms', kilogrammes: 'kilograms', colour: 'color' }

/** The words of a text; numbers are figures ("one hundred and forty" and "140", "six thirty" and "6:30" are the same). */
export function wordsHeard (text: string): string[] {
  const found: string[] = []
  let isNumber = false
  for (const word of words(text)) {
    const [one, ten] = [ONES.indexOf(word), TENS.indexOf(word)]
    const before = isNumber ? found.at(-1)! : ''
    if (one >= 0 || ten > 0 || /^\d+$/.test(word)) {
      const figure = one >= 0 ? String(one) : ten > 0 ? String(10 * ten) : word
      if (/[2-9]0$/.test(before) && one > 0 && one < 10) found.push(`${found.pop()!.slice(0, -1)}${figure}`)
      else if (/00$/.test(before) && figure.length < 3) found.push(`${found.pop()!.slice(0, -figure.length)}${figure}`)
      else if (isNumber) found.push(found.pop()! + figure)
      else found.push(figure)
      isNumber = true
    } else if (word === 'hundred' && isNumber) found.push(`${found.pop()!}00`)
    else if (!(word === 'and' && isNumber && before.endsWith('00'))) {
      found.push(SAME[word] ?? word)
      isNumber = false
    }
  }
  return found
}

/** Words that are wrong, missing or too many. */
export function wordErrorsOf (said: string, heard: string): number {
  return wordErrors(wordsHeard(said).join(' '), wordsHeard(heard).join(' '))
}
